import { createHash, timingSafeEqual } from 'node:crypto'
import type { PinnedIdentity } from '../../broker/domain/grant.ts'

/** The word for an identity that is a certificate: SHA-256 of its DER form, written as SSH host keys are. */
export const CERTIFICATE_ALGORITHM = 'x509-sha256'

export function describeCertificate(der: Uint8Array): PinnedIdentity {
  const digest = createHash('sha256').update(der).digest('base64').replace(/=+$/, '')
  return { algorithm: CERTIFICATE_ALGORITHM, fingerprint: `SHA256:${digest}` }
}

export function isPinned(pins: readonly PinnedIdentity[], seen: PinnedIdentity): boolean {
  const shown = Buffer.from(seen.fingerprint)
  return pins.some(({ algorithm, fingerprint }) => {
    const pin = Buffer.from(fingerprint)
    return algorithm === seen.algorithm && pin.length === shown.length && timingSafeEqual(pin, shown)
  })
}
