import { z } from 'zod'
import { jcs, sha256 } from '../domain/canonical.ts'
import { CRITICALITIES, ENDING_MODES, FEATURES, PROTOCOLS, ROLES } from '../domain/words.ts'
import { instant, sha256Hex, text, uuid } from './audit-entry.ts'

/**
 * An approval as it is signed, kept and carried in an evidence package. The approver's passkey signs the *document*:
 * the WebAuthn challenge is SHA-256("sallyport/approval/v1\0" || JCS(document)), and the approval is named
 * everywhere else (grant, manifest, audit entry) by SHA-256(JCS(document)). docs/evidence-format.md freezes this;
 * unknown fields are refused, so nobody is shown less than what was signed.
 */
const APPROVAL_DOMAIN = 'sallyport/approval/v1\0'

const line = (max: number) => text(max).min(1)
/** Base64url without padding, in its one canonical spelling. */
export const base64url = (maxBytes: number) =>
  z
    .string()
    .min(1)
    .max(Math.ceil((maxBytes * 4) / 3))
    .refine(
      (value) => Buffer.from(value, 'base64url').toString('base64url') === value,
      'base64url without padding',
    )

const endingRule = z.strictObject({
  mode: z.enum(ENDING_MODES),
  holdSeconds: z.number().int().min(0).max(1800),
  inputDuringGrace: z.boolean(),
})

/** The request exactly as the approver saw it. Built and stored by the server. */
export const requestSnapshot = z.strictObject({
  v: z.literal(1),
  deployment: uuid,
  request: z.strictObject({ id: uuid, version: z.number().int().min(1) }),
  requester: z.strictObject({
    id: uuid,
    issuer: line(500),
    subject: line(500),
    name: line(200),
    /** The vendor company whose people never count as approvers. */
    vendor: z.strictObject({ id: uuid, name: line(200) }),
  }),
  site: z.strictObject({ id: uuid, name: line(200), timeZone: line(64) }),
  /** `hash`: the asset's row at that time. */
  asset: z.strictObject({ id: uuid, name: line(200), criticality: z.enum(CRITICALITIES), hash: sha256Hex }),
  endpoint: uuid,
  protocol: z.enum(PROTOCOLS),
  account: line(64),
  features: z.array(z.enum(FEATURES)).max(FEATURES.length),
  viewOnly: z.boolean(),
  purpose: line(500),
  /** `hash`: SHA-256 of the ticket snapshot's canonical JSON (ticket.json in a package). */
  ticket: z.strictObject({ system: line(40), key: line(80), title: text(500), hash: sha256Hex }),
  /** Half open: opensAt <= t < closesAt. */
  window: z.strictObject({ opensAt: instant, closesAt: instant }),
  ending: endingRule,
  /**
   * Null for the request itself. For more time inside a running session: the session, the snapshot it prolongs,
   * and the new end; every other field repeats the prolonged snapshot.
   */
  extension: z
    .strictObject({ id: uuid, session: uuid, of: sha256Hex, closesAt: instant, reason: line(500) })
    .nullable(),
})
export type RequestSnapshot = z.infer<typeof requestSnapshot>

/** An approver narrows, never widens; `inputDuringGrace` is the one thing only an approver can give. */
export const approvalConstraints = z.strictObject({
  opensAt: instant.optional(),
  closesAt: instant.optional(),
  viewOnly: z.literal(true).optional(),
  features: z.array(z.enum(FEATURES)).max(FEATURES.length).optional(),
  inputDuringGrace: z.literal(true).optional(),
})
export type ApprovalConstraints = z.infer<typeof approvalConstraints>

export const approvalDocument = z.strictObject({
  snapshot: requestSnapshot,
  constraints: approvalConstraints,
  decision: z.enum(['granted', 'declined', 'withdrawn']),
  /** The sentence the page showed above the button. */
  meaning: line(2000),
  /** 32 random bytes: no two approvals share a challenge. */
  nonce: base64url(32).refine((value) => value.length === 43, '32 bytes'),
})
export type ApprovalDocument = z.infer<typeof approvalDocument>

/** What the authenticator returned, raw, and the public key it verifies with. */
export const approvalAssertion = z.strictObject({
  credentialId: base64url(1023),
  authenticatorData: base64url(4096),
  clientDataJSON: base64url(8192),
  signature: base64url(1024),
  /** COSE_Key (RFC 9052): ES256, RS256 or EdDSA. */
  publicKey: base64url(2048),
  backupEligible: z.boolean(),
  backupState: z.boolean(),
})
export type ApprovalAssertion = z.infer<typeof approvalAssertion>

export const approvalRecord = z
  .strictObject({
    v: z.literal(1),
    id: uuid,
    document: approvalDocument,
    approver: z.strictObject({
      id: uuid,
      issuer: line(500),
      subject: line(500),
      /** The printed name. */
      name: line(200),
      organisation: line(200),
      role: z.enum(ROLES),
    }),
    /** `password-totp` is an approval but not a signature; every report says so. */
    method: z.enum(['passkey', 'password-totp']),
    assertion: approvalAssertion.nullable(),
    at: instant,
  })
  .refine((record) => (record.method === 'passkey') === (record.assertion !== null), {
    path: ['assertion'],
    message: 'present with a passkey, and only then',
  })
export type ApprovalRecord = z.infer<typeof approvalRecord>

/** The 32 bytes a passkey signs (before WebAuthn's own wrapping). */
export function approvalChallenge(document: ApprovalDocument): Buffer {
  return sha256(APPROVAL_DOMAIN, jcs(document))
}

/** The approval's name in grants, manifests and audit entries: lower-case hex. */
export function approvalHash(document: ApprovalDocument): string {
  return sha256(jcs(document)).toString('hex')
}
