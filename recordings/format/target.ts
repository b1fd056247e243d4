import type { PinnedIdentity } from '../../broker/domain/grant.ts'
import { X509_IDENTITY } from '../../broker/domain/vnc.ts'
import type { TargetIdentity } from './header.ts'

const SHA256_BASE64 = /^SHA256:([A-Za-z0-9+/]{43})$/

/** What a segment's header says of the machine that was reached; null for one that cannot prove who it is. */
export function targetOf(identity: PinnedIdentity | null): TargetIdentity {
  if (identity === null) return { kind: 'none' }
  const { algorithm, fingerprint } = identity
  if (algorithm !== X509_IDENTITY) return { kind: 'ssh-host-key', algorithm, fingerprint }
  const digest = SHA256_BASE64.exec(fingerprint)?.[1]
  if (!digest) throw new TypeError('the fingerprint of a certificate is SHA256: and 43 characters of base64')
  return { kind: 'certificate', fingerprint: Buffer.from(digest, 'base64').toString('hex') }
}

/** What a grant would have to pin for this target; null for one that proves nothing. */
export function pinOf(target: TargetIdentity): PinnedIdentity | null {
  if (target.kind === 'none') return null
  if (target.kind === 'ssh-host-key') return { algorithm: target.algorithm, fingerprint: target.fingerprint }
  const digest = Buffer.from(target.fingerprint, 'hex').toString('base64').replace(/=+$/, '')
  return { algorithm: X509_IDENTITY, fingerprint: `SHA256:${digest}` }
}
