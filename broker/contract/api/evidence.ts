import { z } from 'zod'
import { STREAMS } from '../../domain/words.ts'
import { Cursor, Hash, Id, IdParams, Instant, Limit, only, page, publicRoute, routes } from '../route.ts'

const auditor = only('auditor')

const AuditEntryView = z.strictObject({
  /** Null for the second in which it waits for its place. */
  index: z.number().int().nullable(),
  id: Id,
  time: Instant,
  type: z.string(),
  action: z.string(),
  result: z.string(),
  actor: z.string(),
  object: z.string(),
  reason: z.string().nullable(),
  sourceAddress: z.string().nullable(),
  session: Id.nullable(),
  request: Id.nullable(),
  details: z.record(z.string(), z.unknown()),
  leaf: Hash,
})
const auditFilter = {
  from: Instant.optional(),
  to: Instant.optional(),
  actor: z.string().max(100).optional(),
  /** A prefix: `session.` gives all that happened to sessions. */
  action: z.string().max(60).optional(),
  session: Id.optional(),
  request: Id.optional(),
  result: z.enum(['ok', 'denied', 'failed']).optional(),
}

export const Check = z.strictObject({
  name: z.string(),
  /** `absent`: there was nothing to check, and the sentence says so. */
  result: z.enum(['passed', 'failed', 'absent']),
  code: z.string().nullable(),
  text: z.string(),
})

export const evidenceApi = routes({
  'GET /api/recordings/:id': {
    summary: 'A recording: its segments, markers and seal, for the player. The view is an audit entry',
    access: auditor,
    params: IdParams,
    response: z.strictObject({
      id: Id,
      sessionId: Id,
      media: z.enum(['terminal', 'desktop']),
      state: z.enum(['arriving', 'complete', 'recovered']),
      durationMs: z.number(),
      startedAt: Instant,
      /** Of a terminal; a desktop's segments say its size in pixels. */
      cols: z.number().int(),
      rows: z.number().int(),
      segments: z.array(
        z.strictObject({
          number: z.number().int(),
          t0Ms: z.number(),
          t1Ms: z.number(),
          bytes: z.number().int(),
        }),
      ),
      /** Buckets of equal length over the duration. Input is a count only: its stream stays sealed. */
      activity: z.strictObject({
        bucketMs: z.number(),
        output: z.array(z.number()),
        input: z.array(z.number()),
      }),
      markers: z.array(z.strictObject({ tMs: z.number(), kind: z.string(), text: z.string() })),
      gaps: z.array(
        z.strictObject({ stream: z.enum(STREAMS), t0Ms: z.number(), t1Ms: z.number(), reason: z.string() }),
      ),
      unanchoredTailMs: z.number().nullable(),
      lastCheck: z
        .strictObject({ at: Instant, verdict: z.enum(['VALID', 'VALID-TRUNCATED', 'INVALID']) })
        .nullable(),
    }),
  },
  'GET /api/recordings/:id/screen/:segment': {
    summary:
      'One verified and opened screen segment: asciicast v2, or the records of a desktop (docs/evidence-format.md)',
    access: auditor,
    params: z.strictObject({ id: Id, segment: z.coerce.number().int().min(0).max(100_000) }),
    response: { raw: ['application/x-asciicast', 'application/octet-stream'] },
  },
  'GET /api/recordings/:id/text': {
    summary: 'What was on the screen, as lines with their times, to search and jump',
    access: auditor,
    params: IdParams,
    query: z.strictObject({
      search: z.string().max(100).optional(),
      afterMs: z.coerce.number().min(0).default(0),
      limit: Limit,
    }),
    response: z.strictObject({
      lines: z.array(z.strictObject({ tMs: z.number(), text: z.string() })),
      next: z.number().nullable(),
    }),
  },
  'POST /api/recordings/:id/verify': {
    summary: 'Verify chain, seals, anchors and approvals now',
    access: auditor,
    params: IdParams,
    body: z.strictObject({}),
    response: z.strictObject({
      verdict: z.enum(['VALID', 'VALID-TRUNCATED', 'INVALID']),
      at: Instant,
      checks: z.array(Check),
    }),
  },
  'POST /api/recordings/:id/package': {
    summary: "The evidence package: one zip, screen keys re-wrapped to the recipient's key",
    access: auditor,
    stepUp: true,
    params: IdParams,
    body: z.strictObject({
      recipient: z.strictObject({
        kty: z.literal('EC'),
        crv: z.literal('P-256'),
        x: z.string().max(60),
        y: z.string().max(60),
        kid: z.string().max(100).optional(),
      }),
      recipientName: z.string().trim().min(1).max(120),
      purpose: z.string().trim().min(3).max(300),
    }),
    response: { raw: 'application/zip' },
  },
  'GET /api/trust': {
    summary: 'keys.json: the public trust file (an auditor should get it by another way too)',
    access: publicRoute,
    response: { raw: 'application/json' },
  },
  'GET /api/audit': {
    summary: 'The audit log. Reading it is itself an entry',
    access: auditor,
    query: z.strictObject({ ...auditFilter, cursor: Cursor.optional(), limit: Limit }),
    response: page(AuditEntryView),
  },
  'GET /api/audit.csv': {
    summary: 'The audit log as CSV',
    access: auditor,
    query: z.strictObject(auditFilter),
    response: { raw: 'text/csv' },
  },
  'GET /api/audit/checkpoint': {
    summary: 'The newest checkpoint (C2SP signed note)',
    access: auditor,
    response: { raw: 'text/plain' },
  },
  'GET /api/audit/entries/:index/proof': {
    summary: 'Inclusion proof of an entry under the newest checkpoint',
    access: auditor,
    params: z.strictObject({ index: z.coerce.number().int().min(0) }),
    response: z.strictObject({
      index: z.number().int(),
      size: z.number().int(),
      leaf: Hash,
      path: z.array(Hash),
      entry: z.string(),
    }),
  },
  'GET /api/audit/consistency': {
    summary: 'Consistency proof between two tree sizes',
    access: auditor,
    query: z.strictObject({ from: z.coerce.number().int().min(0), to: z.coerce.number().int().min(0) }),
    response: z.strictObject({ from: z.number().int(), to: z.number().int(), path: z.array(Hash) }),
  },
  'GET /api/integrity': {
    summary: 'Sessions, recordings verified, gaps, checkpoint age, witness, self-checks',
    access: auditor,
    response: z.strictObject({
      sessions: z.number().int(),
      complete: z.number().int(),
      recovered: z.number().int(),
      arriving: z.number().int(),
      missing: z.array(z.strictObject({ sessionId: Id, endedAt: Instant.nullable() })),
      gaps: z.array(z.strictObject({ recordingId: Id, stream: z.enum(STREAMS), reason: z.string() })),
      checkpoint: z.strictObject({ size: z.number().int(), at: Instant.nullable() }),
      witness: z.strictObject({ state: z.enum(['absent', 'ok', 'late']), detail: z.string() }),
      lastSelfCheckAt: Instant.nullable(),
      alarms: z.array(z.strictObject({ id: Id, kind: z.string(), message: z.string(), since: Instant })),
    }),
  },
})
