import { timingSafeEqual } from 'node:crypto'
import { type ApprovalRecord, approvalChallenge } from '../../broker/contract/approval-record.ts'
import { sha256 } from '../../broker/domain/canonical.ts'
import { parseForeignJson } from '../format/json.ts'
import { type Fault, fault } from '../format/result.ts'
import type { TrustFile } from '../format/trust.ts'
import { readCoseKey } from './cose.ts'

const PRESENT = 0x01
const VERIFIED = 0x04
const BACKUP_ELIGIBLE = 0x08
const BACKED_UP = 0x10

/**
 * Verifies a record's WebAuthn assertion (Web Authentication section 7.2, what applies without a server's state)
 * over the approval challenge. Null when it holds; otherwise codes assertion-*.
 */
export function assertionFault(record: ApprovalRecord, rp: TrustFile['rp']): Fault | null {
  const { assertion } = record
  if (!assertion) return fault('assertion-malformed', 'there is no assertion')
  const clientDataJSON = Buffer.from(assertion.clientDataJSON, 'base64url')
  const data = Buffer.from(assertion.authenticatorData, 'base64url')
  const client = clientFault(clientDataJSON, approvalChallenge(record.document), rp.origins)
  if (client) return client
  if (data.length < 37) return fault('assertion-malformed', 'authenticatorData is too short')
  if (!timingSafeEqual(data.subarray(0, 32), sha256(rp.id))) {
    return fault('assertion-rp', `the passkey signed for another relying party than ${rp.id}`)
  }
  const flags = data[32] as number
  const asStated =
    ((flags & BACKUP_ELIGIBLE) !== 0) === assertion.backupEligible &&
    ((flags & BACKED_UP) !== 0) === assertion.backupState
  if ((flags & (PRESENT | VERIFIED)) !== (PRESENT | VERIFIED) || !asStated) {
    return fault(
      'assertion-flags',
      'the passkey did not verify its user, or its backup flags are not as stated',
    )
  }
  const key = readCoseKey(Buffer.from(assertion.publicKey, 'base64url'))
  if (!key) return fault('assertion-key', 'the public key is no ES256, EdDSA or RS256 COSE key')
  const signed = Buffer.concat([data, sha256(clientDataJSON)])
  if (!key.verify(signed, Buffer.from(assertion.signature, 'base64url'))) {
    return fault('assertion-signature', "the passkey's signature does not verify")
  }
  return null
}

function clientFault(json: Buffer, challenge: Buffer, origins: readonly string[]): Fault | null {
  let client: { type?: unknown; challenge?: unknown; origin?: unknown; crossOrigin?: unknown } | null
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(json)
    client = parseForeignJson(text) as typeof client
  } catch {
    client = null
  }
  if (typeof client !== 'object' || client === null || client.type !== 'webauthn.get') {
    return fault('assertion-type', 'clientDataJSON is not that of an assertion')
  }
  if (client.challenge !== challenge.toString('base64url')) {
    return fault('assertion-challenge', 'the passkey signed another document than this one')
  }
  const crossOrigin = client.crossOrigin !== undefined && client.crossOrigin !== false
  if (typeof client.origin !== 'string' || !origins.includes(client.origin) || crossOrigin) {
    return fault('assertion-origin', 'the passkey signed for an origin that is not trusted')
  }
  return null
}
