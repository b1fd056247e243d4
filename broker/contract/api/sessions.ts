import { z } from 'zod'
import { CRITICALITIES, FEATURES, PROTOCOLS, SESSION_ENDS, SESSION_STATES } from '../../domain/words.ts'
import { Cursor, Id, IdParams, Instant, Limit, Line, Ok, only, page, routes } from '../route.ts'

const operators = only('operator', 'approver')

export const SessionView = z.strictObject({
  id: Id,
  requestId: Id,
  recordingId: Id,
  state: z.enum(SESSION_STATES),
  inputFrozen: z.boolean(),
  /** Why it is held or frozen, and by whom. */
  cause: z.string().nullable(),
  by: z.string().nullable(),
  asset: z.strictObject({
    id: Id,
    name: z.string(),
    criticality: z.enum(CRITICALITIES),
    site: z.strictObject({ id: Id, name: z.string(), timeZone: z.string() }),
    zone: z.string(),
  }),
  protocol: z.enum(PROTOCOLS),
  account: z.string(),
  features: z.array(z.enum(FEATURES)),
  person: z.strictObject({ id: Id, name: z.string(), company: z.string() }),
  ticketKey: z.string(),
  purpose: z.string(),
  startedAt: Instant.nullable(),
  /** The permit's end now, extensions included. */
  permitEndsAt: Instant,
  /** When what is held ends by itself. */
  holdEndsAt: Instant.nullable(),
  endedAt: Instant.nullable(),
  end: z.enum(SESSION_ENDS).nullable(),
  endMessage: z.string().nullable(),
  endedBy: z.string().nullable(),
  closedAfterMs: z.number().nullable(),
  watchers: z.array(z.string()),
  /** The vendor's line on what was changed. */
  closingNote: z.string().nullable(),
  /** It is over, but the operator's hold of it was not released: nothing approved before it opens there. */
  holdStands: z.boolean(),
  /** `none`: the session ended before it reached its asset, so there was nothing to record. */
  recording: z.enum(['running', 'none', 'arriving', 'complete', 'recovered', 'missing']),
})

const Opening = z.strictObject({
  sessionId: Id,
  /** wss path of the session's socket. */
  socket: z.string(),
  /** One-use, 30 s; offered as the subprotocol `sallyport.ticket.<this>`. */
  ticket: z.string(),
})

export const sessionsApi = routes({
  'GET /api/requests/:id/notice': {
    summary: "The site's notice that must be accepted before a session",
    access: only('vendor'),
    params: IdParams,
    response: z.strictObject({ version: z.number().int(), text: z.string(), accepted: z.boolean() }),
  },
  'POST /api/requests/:id/session': {
    summary: 'Open the session of an approved request, now, inside its window',
    access: only('vendor'),
    stepUp: true,
    params: IdParams,
    body: z.strictObject({ noticeVersion: z.number().int() }),
    response: Opening,
  },
  'POST /api/sessions/:id/attach': {
    summary: 'Come back to my running session from a lost browser',
    access: only('vendor'),
    params: IdParams,
    body: z.strictObject({}),
    response: Opening,
  },
  'POST /api/sessions/:id/watch': {
    summary: 'Watch a running session, read-only; the vendor sees who watches',
    access: operators,
    params: IdParams,
    body: z.strictObject({}),
    response: Opening,
  },
  'GET /ws/sessions/:id': {
    summary: 'The session socket: a WebSocket upgrade, spliced to the gateway',
    access: only('vendor', 'operator', 'approver'),
    params: IdParams,
    response: { raw: 'application/octet-stream' },
  },
  'GET /api/sessions': {
    summary: 'Sessions: mine as a vendor, those of my sites as staff',
    access: only('vendor', 'operator', 'approver', 'auditor'),
    query: z.strictObject({
      live: z.enum(['true', 'false']).optional(),
      holdStands: z.literal('true').optional(),
      siteId: Id.optional(),
      assetId: Id.optional(),
      personId: Id.optional(),
      end: z.enum(SESSION_ENDS).optional(),
      ticket: z.string().max(80).optional(),
      search: z.string().max(100).optional(),
      from: Instant.optional(),
      to: Instant.optional(),
      cursor: Cursor.optional(),
      limit: Limit,
    }),
    response: page(SessionView),
  },
  'GET /api/sessions.csv': {
    summary: 'The same list as CSV',
    access: only('auditor', 'operator', 'approver'),
    query: z.strictObject({
      siteId: Id.optional(),
      from: Instant.optional(),
      to: Instant.optional(),
      end: z.enum(SESSION_ENDS).optional(),
      ticket: z.string().max(80).optional(),
      search: z.string().max(100).optional(),
    }),
    response: { raw: 'text/csv' },
  },
  'GET /api/sessions/:id': {
    summary: 'One session',
    access: only('vendor', 'operator', 'approver', 'auditor'),
    params: IdParams,
    response: SessionView,
  },
  'POST /api/sessions/:id/hold': {
    summary: 'Freeze the input; the vendor sees why',
    access: operators,
    params: IdParams,
    body: z.strictObject({ cause: Line }),
    response: SessionView,
  },
  'POST /api/sessions/:id/release': {
    summary: 'Give the input back; also takes back the hold of a session that is over',
    access: operators,
    params: IdParams,
    body: z.strictObject({}),
    response: SessionView,
  },
  'POST /api/sessions/:id/stop': {
    summary:
      'Stop at once, every class; also the confirmed end of a held session. Works while the database is down',
    access: operators,
    params: IdParams,
    body: z.strictObject({}),
    response: z.strictObject({ ok: z.literal(true), closedAfterMs: z.number() }),
  },
  'POST /api/sessions/:id/stop-reason': {
    summary: 'The reason, asked after the stop',
    access: operators,
    params: IdParams,
    body: z.strictObject({ reason: Line }),
    response: Ok,
  },
  'POST /api/sessions/:id/closing-note': {
    summary: 'What was changed, in a line, by the vendor',
    access: only('vendor'),
    params: IdParams,
    body: z.strictObject({ text: z.string().trim().min(3).max(500) }),
    response: SessionView,
  },
  'GET /api/events': {
    summary: 'Server-sent events: something in these topics changed, fetch again (hints only, no data)',
    access: only('vendor', 'operator', 'approver', 'auditor', 'administrator'),
    response: { raw: 'text/event-stream' },
  },
})
