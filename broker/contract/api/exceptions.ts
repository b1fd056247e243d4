import { z } from 'zod'
import { EXCEPTION_KINDS, PROTOCOLS } from '../../domain/words.ts'
import { Cursor, Id, IdParams, Instant, Limit, Line, only, page, routes } from '../route.ts'

const keepers = only('operator', 'administrator')
const Person = z.strictObject({ id: Id, name: z.string() })

const Exception = z.strictObject({
  id: Id,
  site: z.strictObject({ id: Id, name: z.string(), timeZone: z.string() }),
  asset: z.strictObject({ id: Id, name: z.string() }),
  endpoint: z.strictObject({ id: Id, protocol: z.enum(PROTOCOLS), port: z.number().int() }),
  kind: z.enum(EXCEPTION_KINDS),
  state: z.enum(['open', 'expired', 'closed']),
  /** False: the row is not the one that the audit log vouches for; it opens nothing, and there is an alarm. */
  counts: z.boolean(),
  reason: z.string(),
  compensatingControl: z.string(),
  owner: z.strictObject({ ...Person.shape, enabled: z.boolean() }),
  expiresAt: Instant,
  openedAt: Instant,
  openedBy: Person,
  closed: z.strictObject({ at: Instant, by: Person, reason: z.string() }).nullable(),
})

/** The exception register: recorded deviations, each with a reason, a compensating control, an owner and an expiry. */
export const exceptionsApi = routes({
  'GET /api/exceptions': {
    summary: 'Exceptions of my sites; those that stand by their expiry, the earliest first',
    access: only('operator', 'administrator', 'auditor', 'approver'),
    query: z.strictObject({
      siteId: Id.optional(),
      /** expiring: open, and over within 30 days. Without it: all of them, the latest expiry first. */
      state: z.enum(['open', 'expiring', 'expired', 'closed']).optional(),
      cursor: Cursor.optional(),
      limit: Limit,
    }),
    response: page(Exception),
  },
  'GET /api/exceptions/owners': {
    summary: 'Who may answer for an exception at a site: its own people',
    access: keepers,
    query: z.strictObject({ siteId: Id }),
    response: z.array(Person),
  },
  'POST /api/exceptions': {
    summary:
      'Open an exception for each of these deviations of an endpoint; it takes the place of a former one',
    access: keepers,
    stepUp: true,
    body: z.strictObject({
      endpointId: Id,
      kinds: z.array(z.enum(EXCEPTION_KINDS)).min(1).max(EXCEPTION_KINDS.length),
      reason: Line,
      compensatingControl: Line,
      ownerId: Id,
      /** Twelve months from now at most. */
      expiresAt: Instant,
    }),
    response: z.array(Exception),
  },
  'POST /api/exceptions/:id/close': {
    summary: 'Close an exception; sessions that rest on it end by the rule of their asset',
    access: keepers,
    stepUp: true,
    params: IdParams,
    body: z.strictObject({ reason: Line }),
    response: Exception,
  },
})
