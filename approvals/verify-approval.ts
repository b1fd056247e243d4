import { verifyAuthenticationResponse } from '@simplewebauthn/server'
import {
  type ApprovalAssertion,
  type ApprovalDocument,
  type ApprovalRecord,
  approvalChallenge,
} from '../broker/contract/approval-record.ts'
import type { Query } from '../broker/store/sql.ts'
import type { ApprovalsDeps } from './deps.ts'
import type { RowName } from './ground.ts'

export interface SigningKey {
  id: string
  personId: string
  credentialId: string
  /** COSE_Key. */
  publicKey: Buffer
  transports: string[]
}

interface PasskeyRow {
  id: string
  person_id: string
  credential_id: string
  public_key: Buffer
  transports: string[]
}

/** Passkeys that may sign approvals: confirmed by somebody else, and not removed. */
export async function signingKeys(query: Query, personIds: readonly string[]): Promise<SigningKey[]> {
  if (personIds.length === 0) return []
  const rows = await query<PasskeyRow[]>`
    SELECT id, person_id, credential_id, public_key, transports FROM passkey
    WHERE person_id = ANY(${[...personIds]}::uuid[]) AND confirmed_at IS NOT NULL AND removed_at IS NULL`
  return rows.map((row) => ({
    id: row.id,
    personId: row.person_id,
    credentialId: row.credential_id,
    publicKey: row.public_key,
    transports: row.transports,
  }))
}

export function keyRows(keys: readonly SigningKey[]): RowName[] {
  return keys.map((key) => ({ kind: 'passkey', id: key.id }))
}

/**
 * Verifies what an authenticator returned against the document it is said to sign: challenge, origin, relying party,
 * user verification, signature. Null when it does not verify.
 */
export async function verifyAssertion(
  webauthn: ApprovalsDeps['webauthn'],
  document: ApprovalDocument,
  key: Pick<SigningKey, 'credentialId' | 'publicKey'>,
  parts: Pick<ApprovalAssertion, 'authenticatorData' | 'clientDataJSON' | 'signature'>,
): Promise<ApprovalAssertion | null> {
  try {
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({
      response: {
        id: key.credentialId,
        rawId: key.credentialId,
        type: 'public-key',
        clientExtensionResults: {},
        response: {
          authenticatorData: parts.authenticatorData,
          clientDataJSON: parts.clientDataJSON,
          signature: parts.signature,
        },
      },
      expectedChallenge: approvalChallenge(document).toString('base64url'),
      expectedOrigin: [...webauthn.origins],
      expectedRPID: webauthn.rpId,
      expectedType: 'webauthn.get',
      requireUserVerification: true,
      // The counter is the sign-in's business: here the same assertion is verified again and again.
      credential: { id: key.credentialId, publicKey: new Uint8Array(key.publicKey), counter: 0 },
    })
    if (!verified || !authenticationInfo.userVerified) return null
    return {
      credentialId: key.credentialId,
      authenticatorData: parts.authenticatorData,
      clientDataJSON: parts.clientDataJSON,
      signature: parts.signature,
      publicKey: Buffer.from(key.publicKey).toString('base64url'),
      backupEligible: authenticationInfo.credentialDeviceType === 'multiDevice',
      backupState: authenticationInfo.credentialBackedUp,
    }
  } catch {
    // The library throws on each kind of mismatch; none of them is an approval.
    return null
  }
}

/** Verifies a stored approval again, with the passkey as it is registered now (threat 10). */
export async function verifyStored(
  webauthn: ApprovalsDeps['webauthn'],
  record: ApprovalRecord,
  keys: readonly SigningKey[],
): Promise<'valid' | 'invalid' | 'none'> {
  const { assertion } = record
  if (assertion === null) return 'none'
  const key = keys.find(
    (candidate) =>
      candidate.personId === record.approver.id &&
      candidate.credentialId === assertion.credentialId &&
      candidate.publicKey.equals(Buffer.from(assertion.publicKey, 'base64url')),
  )
  if (!key) return 'invalid'
  const again = await verifyAssertion(webauthn, record.document, key, assertion)
  return again ? 'valid' : 'invalid'
}
