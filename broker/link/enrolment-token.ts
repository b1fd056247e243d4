import { randomBytes } from 'node:crypto'
import { sha256 } from '../domain/canonical.ts'

/** An enrolment token is good for one hour and one use. */
export const ENROLMENT_MS = 3_600_000

const FORMAT = /^sp1\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})$/

/**
 * `sp1.<secret>.<base64url SHA-256 of the link CA's DER>`: the secret lets the gateway in, the fingerprint lets it
 * trust the broker before it has said the secret.
 */
export function newEnrolmentToken(caFingerprint: Buffer): { token: string; hash: Buffer } {
  const secret = randomBytes(32).toString('base64url')
  return { token: `sp1.${secret}.${caFingerprint.toString('base64url')}`, hash: tokenHash(secret) }
}

/** The hash under which a token is stored; null when it is not one of ours. Looked up by hash, so no compare leaks. */
export function hashOfToken(token: string): Buffer | null {
  const secret = FORMAT.exec(token)?.[1]
  return secret === undefined ? null : tokenHash(secret)
}

function tokenHash(secret: string): Buffer {
  return sha256('sallyport/enrolment/v1\0', secret)
}
