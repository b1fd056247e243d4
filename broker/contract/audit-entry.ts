import { z } from 'zod'
import { isId } from '../domain/ids.ts'

/**
 * One entry of the audit log. Its bytes are the RFC 8785 canonical JSON of this object, kept and hashed exactly as
 * they were written (Merkle leaf: SHA-256(0x00 || bytes), RFC 6962). docs/evidence-format.md freezes it: every
 * field is always present, what is unknown is null, and an unknown field is refused, so that two verifiers in two
 * languages read the same thing.
 */
export const uuid = z.string().refine(isId, 'a lower-case UUID')
export const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/, '64 lower-case hex digits')
/** Integers only: RFC 8785 number formatting of fractions differs too easily between languages. */
const integer = z.number().int().min(Number.MIN_SAFE_INTEGER).max(Number.MAX_SAFE_INTEGER)
/** Text that UTF-8 can hold: a lone surrogate has no canonical form. */
export const text = (max: number) =>
  z
    .string()
    .max(max)
    .refine((value) => value.isWellFormed(), 'text that UTF-8 can hold')
/** An instant: UTC, milliseconds, always this one spelling. */
export const instant = z.iso.datetime({ precision: 3, offset: false, local: false })

export const AUDIT_ACTOR_KINDS = ['person', 'gateway', 'broker', 'system', 'anonymous'] as const
export const AUDIT_RESULTS = ['ok', 'denied', 'failed'] as const
/** `suspect`: below the highest wall clock ever seen, or apart by more than 30 s; `unknown`: never compared. */
export const CLOCK_STATES = ['ok', 'suspect', 'unknown'] as const

export const auditActor = z.strictObject({
  kind: z.enum(AUDIT_ACTOR_KINDS),
  /** A person's or gateway's id, a process's name; `-` for an anonymous caller. */
  id: text(200).min(1),
  /** The printed name at that time, for people. */
  name: text(200).nullable(),
  /** The organisation (vendor or site owner) at that time. */
  organisation: text(200).nullable(),
})

export const auditAuthentication = z.strictObject({
  /** `passkey`, `oidc`, `password-totp`, `mtls`, `token` … */
  method: text(40).min(1),
  /** Credential id (passkey), issuer (OIDC), certificate fingerprint; never a secret. */
  credential: text(1364).nullable(),
  at: instant,
})

/** Small structured facts. Values are flat so that a page, a CSV and a second verifier show them the same way. */
export const auditDetail = z.union([
  text(4096),
  integer,
  z.boolean(),
  z.null(),
  z.array(z.union([text(512), integer])).max(256),
])

export const auditEntry = z
  .strictObject({
    v: z.literal(1),
    id: uuid,
    /** The subject area: the part of `action` before its first dot (`session`, `approval`, `recording` …). */
    type: z.string().regex(/^[a-z][a-z0-9-]{0,39}$/),
    /** What happened, as `type.verb`: `session.start`, `recording.anchor`, `approval.granted` … */
    action: z.string().regex(/^[a-z][a-z0-9-]{0,39}(\.[a-z][a-z0-9-]{0,39}){1,3}$/),
    actor: auditActor,
    authentication: auditAuthentication.nullable(),
    /** The caller's IP address as the broker saw it; null for what happened inside. */
    source: text(64).nullable(),
    object: z.strictObject({ kind: text(40).min(1), id: text(200).min(1) }).nullable(),
    result: z.enum(AUDIT_RESULTS),
    /** A stable code or a person's sentence. */
    reason: text(2000).nullable(),
    /** Hashes of the object's row before and after the change. */
    before: sha256Hex.nullable(),
    after: sha256Hex.nullable(),
    correlation: z.strictObject({
      request: text(200).nullable(),
      grant: uuid.nullable(),
      session: uuid.nullable(),
      recording: uuid.nullable(),
      /** The change ticket's key in the customer's system. */
      ticket: text(200).nullable(),
    }),
    time: instant,
    clock: z.enum(CLOCK_STATES),
    /** The broker process that wrote it, and its boot. */
    node: text(200).min(1),
    boot: uuid,
    /** Hash of the policy in force; null before there is one. */
    policy: sha256Hex.nullable(),
    details: z.record(z.string().regex(/^[a-z][A-Za-z0-9_]{0,63}$/), auditDetail),
  })
  .refine((entry) => entry.action.startsWith(`${entry.type}.`), {
    path: ['type'],
    message: 'the area of `action`',
  })

export type AuditEntry = z.infer<typeof auditEntry>
export type AuditActor = z.infer<typeof auditActor>
export type AuditDetail = z.infer<typeof auditDetail>

/** No entry is larger than this; a bigger one is refused by the writer and by every verifier. */
export const AUDIT_ENTRY_LIMIT = 65_536

/**
 * The actions that a verifier reads. Other actions are free; these have the meaning and the details that
 * docs/evidence-format.md gives them.
 */
export const EVIDENCE_ACTIONS = {
  /** correlation: session, recording, grant; details: `grant` (SHA-256 of the grant's JWS). */
  sessionStart: 'session.start',
  /** correlation: session, recording, grant; details: `grant`, `serial`. A grant that prolongs a live session. */
  sessionExtend: 'session.extend',
  /** correlation: session, recording; details: `end` (SessionEnd). */
  sessionEnd: 'session.end',
  /** actor: the gateway; object {kind: 'gateway', id}; details: `root` (hex), `size` (leaves). */
  anchor: 'recording.anchor',
  /** correlation: session, recording; details: `manifest` (SHA-256 of the manifest's JWS), `ended`. */
  manifest: 'recording.manifest',
  /** actor: the approver; authentication.credential: the passkey's id; details: `approval` (hex), `key` (hex). */
  approvalGranted: 'approval.granted',
} as const
