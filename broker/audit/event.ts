import {
  AUDIT_ENTRY_LIMIT,
  type AuditActor,
  type AuditDetail,
  type AuditEntry,
  auditEntry,
} from '../contract/audit-entry.ts'
import { hashOf, jcs } from '../domain/canonical.ts'
import { newId } from '../domain/ids.ts'

/** What a caller says about one event; the log adds id, time, clock state, node, boot and policy. */
export interface AuditEvent {
  /** `area.verb`, e.g. `session.start`. */
  action: string
  actor: AuditActor
  authentication?: AuditEntry['authentication']
  /** The caller's IP address. */
  source?: string | null
  object?: { kind: string; id: string } | null
  /** `ok` unless said otherwise. */
  result?: AuditEntry['result']
  reason?: string | null
  /**
   * The object's canonical form before and after the change (not a hash): null or absent = it did not exist.
   * An entry with either of them vouches for the object's row from then on.
   */
  before?: unknown
  after?: unknown
  correlation?: Partial<AuditEntry['correlation']>
  details?: Record<string, AuditDetail>
}

/** What the log knows by itself at that moment. */
export interface EntryContext {
  /** Fixed beforehand for a journaled event, so that delivering it twice is noticed. */
  id?: string
  now: number
  clock: AuditEntry['clock']
  node: string
  boot: string
  policy: string | null
}

/** The broker itself as the actor. */
export const BROKER: AuditActor = { kind: 'broker', id: 'broker', name: null, organisation: null }

/** Builds the entry and its exact bytes. Texts are cut to the format's limits: a long field must not stop a record. */
export function buildEntry(
  event: AuditEvent,
  context: EntryContext,
): { entry: AuditEntry; bytes: Uint8Array } {
  const correlation = event.correlation ?? {}
  const entry = auditEntry.parse({
    v: 1,
    id: context.id ?? newId(context.now),
    type: event.action.slice(0, Math.max(0, event.action.indexOf('.'))),
    action: event.action,
    actor: {
      kind: event.actor.kind,
      id: clip(event.actor.id, 200),
      name: clipOrNull(event.actor.name, 200),
      organisation: clipOrNull(event.actor.organisation, 200),
    },
    authentication: event.authentication ?? null,
    source: clipOrNull(event.source, 64),
    object: event.object ?? null,
    result: event.result ?? 'ok',
    reason: clipOrNull(event.reason, 2000),
    before: hashOrNull(event.before),
    after: hashOrNull(event.after),
    correlation: {
      request: correlation.request ?? null,
      grant: correlation.grant ?? null,
      session: correlation.session ?? null,
      recording: correlation.recording ?? null,
      ticket: clipOrNull(correlation.ticket, 200),
    },
    time: new Date(context.now).toISOString(),
    clock: context.clock,
    node: clip(context.node, 200),
    boot: context.boot,
    policy: context.policy,
    details: Object.fromEntries(
      Object.entries(event.details ?? {}).map(([name, value]) => [name, clipDetail(value)]),
    ),
  })
  const bytes = jcs(entry)
  if (bytes.length > AUDIT_ENTRY_LIMIT) {
    throw new RangeError(
      `audit entry ${entry.action} has ${bytes.length} bytes, ${AUDIT_ENTRY_LIMIT} are allowed`,
    )
  }
  return { entry, bytes }
}

function hashOrNull(value: unknown): string | null {
  return value === undefined || value === null ? null : hashOf(value)
}

function clipOrNull(value: string | null | undefined, max: number): string | null {
  return value === undefined || value === null ? null : clip(value, max)
}

/** Cut to `max` UTF-16 units, without half a character at the cut and without NUL, which PostgreSQL cannot hold. */
function clip(value: string, max: number): string {
  return value.slice(0, max).toWellFormed().replaceAll('\0', '\ufffd')
}

function clipDetail(value: AuditDetail): AuditDetail {
  if (typeof value === 'string') return clip(value, 4096)
  if (!Array.isArray(value)) return value
  return value.slice(0, 256).map((item) => (typeof item === 'string' ? clip(item, 512) : item))
}
