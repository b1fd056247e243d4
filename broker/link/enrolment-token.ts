import { randomBytes } from 'node:crypto'
import type { AuditEvent } from '../audit/event.ts'
import type { AuditLog } from '../audit/log.ts'
import { sha256 } from '../domain/canonical.ts'
import type { Tx } from '../store/sql.ts'

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

/**
 * What the log vouches for in a token's row. The row's hash alone proves nothing: whoever writes rows could put in one
 * of their own and enrol as any gateway (threat 10). A used token has no form.
 */
function tokenState(gatewayId: string, expiresAt: Date) {
  return { v: 1, gatewayId, expiresAt: expiresAt.toISOString() }
}

/** Keeps a new token of a gateway, with its entry in the log. */
export async function keepToken(
  tx: Tx,
  audit: Pick<AuditLog, 'record'>,
  token: { hash: Buffer; gatewayId: string; createdBy: string | null; createdAt: Date; expiresAt: Date },
  who: Pick<AuditEvent, 'actor' | 'authentication' | 'source' | 'reason'>,
): Promise<void> {
  await tx`
    INSERT INTO enrolment_token (token_hash, gateway_id, created_by, created_at, expires_at)
    VALUES (${token.hash}, ${token.gatewayId}, ${token.createdBy}, ${token.createdAt}, ${token.expiresAt})`
  await audit.record(tx, {
    ...who,
    action: 'gateway.enrolment-token',
    object: { kind: 'enrolment-token', id: token.hash.toString('hex') },
    after: tokenState(token.gatewayId, token.expiresAt),
    details: { gateway: token.gatewayId },
  })
}

/** Uses a token up. Null when it is unknown, used or expired; throws IntegrityError when no broker made the row. */
export async function redeemToken(
  tx: Tx,
  audit: Pick<AuditLog, 'record' | 'verifyObject'>,
  hash: Buffer,
  now: Date,
  source: string,
): Promise<{ gatewayId: string } | null> {
  const [token] = await tx<{ gatewayId: string; expiresAt: Date }[]>`
    UPDATE enrolment_token SET used_at = ${now}
    WHERE token_hash = ${hash} AND used_at IS NULL AND expires_at > ${now}
    RETURNING gateway_id AS "gatewayId", expires_at AS "expiresAt"`
  if (!token) return null
  const id = hash.toString('hex')
  const before = tokenState(token.gatewayId, token.expiresAt)
  await audit.verifyObject(tx, 'enrolment-token', id, before)
  await audit.record(tx, {
    action: 'gateway.enrolment-token-used',
    actor: { kind: 'gateway', id: token.gatewayId, name: null, organisation: null },
    source,
    object: { kind: 'enrolment-token', id },
    before,
    after: null,
    details: { gateway: token.gatewayId },
  })
  return { gatewayId: token.gatewayId }
}

function tokenHash(secret: string): Buffer {
  return sha256('sallyport/enrolment/v1\0', secret)
}
