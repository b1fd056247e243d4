import { z } from 'zod'
import {
  CRITICALITIES,
  EXCEPTION_KINDS,
  FEATURES,
  PROTOCOLS,
  REQUEST_STATES,
  ROLES,
  TICKET_STATES,
} from '../../domain/words.ts'
import {
  Cursor,
  Hash,
  Id,
  IdParams,
  Instant,
  Limit,
  Line,
  Ok,
  only,
  page,
  routes,
  signedIn,
} from '../route.ts'
import { EndingRuleBody } from './inventory.ts'

const vendor = only('vendor')
const operators = only('operator', 'approver')
const WebAuthnJson = z.looseObject({})

const TicketView = z.strictObject({
  system: z.string(),
  key: z.string(),
  title: z.string(),
  state: z.enum(TICKET_STATES),
  plannedStart: Instant.nullable(),
  plannedEnd: Instant.nullable(),
  /** Configuration items as the customer's system names them. */
  items: z.array(z.string()),
  link: z.string().nullable(),
  fetchedAt: Instant,
  hash: Hash,
})

/** One line of what `decideAccess` says: it holds, or it is missing and somebody can give it. */
export const DecisionLine = z.strictObject({
  code: z.string(),
  holds: z.boolean(),
  text: z.string(),
  /** Who can give what is missing; null when it holds. */
  who: z.string().nullable(),
  /** The structured reason's own fields, e.g. {opensAt}, {have, need, roles}. */
  facts: z.record(z.string(), z.unknown()),
})
const Decision = z.strictObject({
  permitted: z.boolean(),
  until: Instant.nullable(),
  lines: z.array(DecisionLine),
})

const RequestBody = z.strictObject({
  endpointId: Id,
  account: z.string().min(1).max(64),
  features: z.array(z.enum(FEATURES)).max(FEATURES.length),
  purpose: z.string().trim().min(5).max(500),
  ticket: z.strictObject({ system: z.string().max(40), key: z.string().trim().min(1).max(80) }),
  window: z.strictObject({ opensAt: Instant, closesAt: Instant }),
})

const AssetCard = z.strictObject({
  id: Id,
  name: z.string(),
  type: z.string(),
  description: z.string(),
  criticality: z.enum(CRITICALITIES),
  site: z.strictObject({ id: Id, name: z.string(), timeZone: z.string() }),
  zone: z.string(),
})

export const Constraints = z.strictObject({
  opensAt: Instant.optional(),
  closesAt: Instant.optional(),
  viewOnly: z.literal(true).optional(),
  features: z.array(z.enum(FEATURES)).max(FEATURES.length).optional(),
  inputDuringGrace: z.literal(true).optional(),
})

const ApprovalView = z.strictObject({
  id: Id,
  decision: z.enum(['granted', 'declined']),
  by: z.strictObject({ id: Id, name: z.string(), role: z.enum(ROLES) }),
  at: Instant,
  constraints: Constraints,
  reason: z.string().nullable(),
  withdrawnAt: Instant.nullable(),
})

/** An operator's word that a console is free; for one opening. */
const Ready = z.strictObject({ by: z.string(), at: Instant, expiresAt: Instant })

const RequestView = z.strictObject({
  id: Id,
  version: z.number().int(),
  state: z.enum(REQUEST_STATES),
  snapshotHash: Hash,
  requester: z.strictObject({
    id: Id,
    name: z.string(),
    company: z.string(),
    lastVisitAt: Instant.nullable(),
    visits: z.number().int(),
  }),
  asset: AssetCard,
  /** What can go wrong, in words; only for the customer's own people. */
  hazard: z.string().nullable(),
  zonePath: z.string(),
  endpoint: z.strictObject({ id: Id, protocol: z.enum(PROTOCOLS) }),
  /** What the endpoint lacks, and the exception that stands for it; only for the customer's own people. */
  deviations: z.array(
    z.strictObject({
      kind: z.enum(EXCEPTION_KINDS),
      exception: z
        .strictObject({
          reason: z.string(),
          compensatingControl: z.string(),
          owner: z.string(),
          expiresAt: Instant,
        })
        .nullable(),
    }),
  ),
  account: z.string(),
  features: z.array(z.enum(FEATURES)),
  purpose: z.string(),
  ticket: TicketView,
  window: z.strictObject({ opensAt: Instant, closesAt: Instant }),
  ending: EndingRuleBody,
  approvals: z.array(ApprovalView),
  need: z.strictObject({ count: z.number().int(), roles: z.array(z.enum(ROLES)) }),
  /** For the approver: a short list of reasons why this needs care. */
  risks: z.array(z.string()),
  /** Other approved or running work at the same site in the same time. */
  otherWork: z.array(
    z.strictObject({ asset: z.string(), company: z.string(), opensAt: Instant, closesAt: Instant }),
  ),
  /** For the requester: what decideAccess says now. */
  decision: Decision,
  session: z.strictObject({ id: Id, state: z.string() }).nullable(),
  /** Operators use this console: since when one is asked, and the word of one that it is free. Null where none do. */
  console: z.strictObject({ askedAt: Instant.nullable(), ready: Ready.nullable() }).nullable(),
  createdAt: Instant,
})

const ConsoleView = z.strictObject({
  requestId: Id,
  asset: z.strictObject({ id: Id, name: z.string(), criticality: z.enum(CRITICALITIES) }),
  site: z.strictObject({ id: Id, name: z.string(), timeZone: z.string() }),
  person: z.strictObject({ id: Id, name: z.string(), company: z.string() }),
  ticketKey: z.string(),
  purpose: z.string(),
  windowEndsAt: Instant,
  askedAt: Instant,
  ready: Ready.nullable(),
})

const ExtensionView = z.strictObject({
  id: Id,
  sessionId: Id,
  requestId: Id,
  state: z.enum(['waiting', 'granted', 'declined', 'expired']),
  minutes: z.number().int(),
  newEnd: Instant,
  reason: z.string(),
  askedBy: z.string(),
  askedAt: Instant,
  asset: z.string(),
  company: z.string(),
})

export const accessApi = routes({
  'GET /api/my/endpoints': {
    summary: 'What I may ask for: assets in words, without addresses',
    access: vendor,
    response: z.array(
      z.strictObject({
        asset: AssetCard,
        endpointId: Id,
        protocol: z.enum(PROTOCOLS),
        accounts: z.array(z.string()),
        ending: EndingRuleBody,
      }),
    ),
  },
  'POST /api/tickets/lookup': {
    summary: "Read a change ticket from the customer's system",
    access: only('vendor', 'approver', 'administrator'),
    body: z.strictObject({ siteId: Id, system: z.string().max(40), key: z.string().trim().min(1).max(80) }),
    response: TicketView,
  },
  'GET /api/my/tickets': {
    summary: 'Change tickets that name an asset I may ask for and are not over',
    access: vendor,
    query: z.strictObject({ endpointId: Id }),
    response: z.array(TicketView),
  },
  'POST /api/requests/preview': {
    summary: 'What decideAccess says to this, while it is being filled in',
    access: vendor,
    body: RequestBody.partial(),
    response: Decision,
  },
  'POST /api/requests': {
    summary: 'Ask for access',
    access: vendor,
    body: RequestBody,
    response: RequestView,
  },
  'PUT /api/requests/:id': {
    summary: 'Edit a request: a new version, which voids its approvals',
    access: vendor,
    params: IdParams,
    body: RequestBody,
    response: RequestView,
  },
  'POST /api/requests/:id/withdraw': {
    summary: 'Withdraw my request',
    access: vendor,
    params: IdParams,
    body: z.strictObject({}),
    response: RequestView,
  },
  'GET /api/requests': {
    summary: 'Requests: mine as a vendor; those of my sites as staff',
    access: signedIn,
    query: z.strictObject({
      view: z.enum(['mine', 'decide', 'all']).default('mine'),
      siteId: Id.optional(),
      state: z.enum(REQUEST_STATES).optional(),
      cursor: Cursor.optional(),
      limit: Limit,
    }),
    response: page(RequestView),
  },
  'GET /api/requests/:id': {
    summary: 'One request',
    access: signedIn,
    params: IdParams,
    response: RequestView,
  },
  'POST /api/requests/:id/decision/options': {
    summary: 'Begin a decision: the server builds what will be signed; the page shows exactly that',
    access: only('approver'),
    params: IdParams,
    body: z.strictObject({
      decision: z.enum(['granted', 'declined']),
      constraints: Constraints,
      snapshotHash: Hash,
      reason: z.string().trim().max(500).nullable(),
    }),
    response: z.strictObject({
      challengeId: Id,
      /** {snapshot, constraints, decision, meaning, nonce}: the signed document. */
      document: z.looseObject({}),
      meaning: z.string(),
      options: WebAuthnJson,
    }),
  },
  'POST /api/requests/:id/decision': {
    summary: 'Finish a decision with the passkey assertion',
    access: only('approver'),
    params: IdParams,
    body: z.strictObject({ challengeId: Id, assertion: WebAuthnJson }),
    response: RequestView,
  },
  'POST /api/approvals/:id/withdraw': {
    summary: 'Withdraw an approval; a running session ends by its rule',
    access: only('approver'),
    params: IdParams,
    body: z.strictObject({ reason: Line }),
    response: RequestView,
  },

  'GET /api/consoles': {
    summary: 'Consoles of my sites that vendors wait for, and those that were said to be free',
    access: operators,
    response: z.array(ConsoleView),
  },
  'POST /api/requests/:id/console/ask': {
    summary: 'Ask the operators of the site whether the console is free',
    access: vendor,
    params: IdParams,
    body: z.strictObject({}),
    response: RequestView,
  },
  'POST /api/requests/:id/console/ready': {
    summary: 'Say that the console is free: for one opening within 15 minutes',
    access: operators,
    params: IdParams,
    body: z.strictObject({}),
    response: Ok,
  },
  'POST /api/requests/:id/console/take-back': {
    summary: 'Take that back before the session opens',
    access: operators,
    params: IdParams,
    body: z.strictObject({}),
    response: Ok,
  },

  'POST /api/sessions/:id/extension': {
    summary: 'Ask for more time from inside the session',
    access: vendor,
    params: IdParams,
    body: z.strictObject({ minutes: z.number().int().min(5).max(240), reason: Line }),
    response: ExtensionView,
  },
  'GET /api/extensions': {
    summary: 'Extensions: waiting ones of my sites, or mine',
    access: signedIn,
    query: z.strictObject({ sessionId: Id.optional() }),
    response: z.array(ExtensionView),
  },
  'POST /api/extensions/:id/decision/options': {
    summary: 'Begin deciding an extension',
    access: only('approver'),
    params: IdParams,
    body: z.strictObject({ decision: z.enum(['granted', 'declined']) }),
    response: z.strictObject({
      challengeId: Id,
      document: z.looseObject({}),
      meaning: z.string(),
      options: WebAuthnJson,
    }),
  },
  'POST /api/extensions/:id/decision': {
    summary: 'Finish deciding an extension with the passkey assertion',
    access: only('approver'),
    params: IdParams,
    body: z.strictObject({ challengeId: Id, assertion: WebAuthnJson }),
    response: ExtensionView,
  },

  'GET /api/approval-rules': {
    summary: 'Approval rules per site and criticality',
    access: only('administrator', 'approver', 'auditor', 'operator'),
    response: z.array(
      z.strictObject({
        id: Id,
        siteId: Id,
        criticality: z.enum(CRITICALITIES),
        count: z.number().int(),
        roles: z.array(z.enum(ROLES)),
      }),
    ),
  },
  'PUT /api/approval-rules/:siteId/:criticality': {
    summary: 'Set an approval rule (C1 never below two people)',
    access: only('administrator'),
    stepUp: true,
    params: z.strictObject({ siteId: Id, criticality: z.enum(CRITICALITIES) }),
    body: z.strictObject({
      count: z.number().int().min(1).max(5),
      roles: z.array(z.enum(ROLES)).min(1),
      reason: Line,
    }),
    response: Ok,
  },
  'GET /api/ticket-keys': {
    summary: 'Keys that signed ticket files count by',
    access: only('administrator', 'auditor'),
    response: z.array(
      z.strictObject({
        id: Id,
        siteId: Id,
        name: z.string(),
        kid: z.string(),
        enabled: z.boolean(),
        addedAt: Instant,
      }),
    ),
  },
  'POST /api/ticket-keys': {
    summary: 'Register a public key (JWK) for signed ticket files',
    access: only('administrator'),
    stepUp: true,
    body: z.strictObject({
      siteId: Id,
      name: z.string().trim().min(1).max(80),
      jwk: z.looseObject({ kty: z.string() }),
    }),
    response: Ok,
  },
  'POST /api/ticket-files': {
    summary: 'Hand in a signed ticket file (a compact JWS over CSV or JSON)',
    access: only('administrator', 'approver'),
    body: z.strictObject({ siteId: Id, jws: z.string().min(10).max(1_000_000) }),
    response: z.strictObject({ tickets: z.array(TicketView) }),
  },
})
