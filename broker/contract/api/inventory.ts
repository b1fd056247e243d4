import { z } from 'zod'
import {
  ASSET_TYPES,
  CRITICALITIES,
  ENDING_MODES,
  EXCEPTION_KINDS,
  PROTOCOLS,
  RDP_SECURITIES,
  VNC_AUTHENTICATIONS,
  VNC_SECURITIES,
} from '../../domain/words.ts'
import { Id, IdParams, Instant, Line, Name, Ok, only, routes } from '../route.ts'

const port = z.number().int().min(1).max(65535)
const score = z.number().int().min(0).max(4)
export const EndingRuleBody = z.strictObject({
  mode: z.enum(ENDING_MODES),
  holdSeconds: z.number().int().min(0).max(1800),
  inputDuringGrace: z.boolean(),
})
const staff = only('administrator', 'approver', 'operator', 'auditor')
const administrator = only('administrator')

const Site = z.strictObject({
  id: Id,
  name: z.string(),
  /** IANA name. */
  timeZone: z.string(),
  notice: z.strictObject({ version: z.number().int(), text: z.string() }),
})
const Zone = z.strictObject({
  id: Id,
  siteId: Id,
  name: z.string(),
  /** CIDR ranges that its assets' addresses must lie in. */ ranges: z.array(z.string()),
})
const Conduit = z.strictObject({
  id: Id,
  siteId: Id,
  name: z.string(),
  from: z.strictObject({ id: Id, name: z.string() }),
  to: z.strictObject({ id: Id, name: z.string() }),
  protocols: z.array(z.enum(PROTOCOLS)),
  enabled: z.boolean(),
})
const Identity = z.strictObject({ algorithm: z.string(), fingerprint: z.string() })
/** x509: a certificate that is pinned. anonymous-tls: encrypted, nobody knows to whom. plain: not encrypted. */
const Vnc = z.strictObject({ security: z.enum(VNC_SECURITIES), authentication: z.enum(VNC_AUTHENTICATIONS) })
/** nla: Network Level Authentication is required. tls: the server is only asked for TLS. The certificate is pinned in both. */
const Rdp = z.strictObject({ security: z.enum(RDP_SECURITIES) })
const Endpoint = z.strictObject({
  id: Id,
  protocol: z.enum(PROTOCOLS),
  port: z.number().int(),
  /** How a VNC endpoint is declared to be protected, and what a probe saw; null for others. */
  vnc: z
    .strictObject({ ...Vnc.shape, seen: z.strictObject({ ...Vnc.shape, at: Instant }).nullable() })
    .nullable(),
  /** How an RDP endpoint is declared to sign in, and what a probe saw at its best; null for others. */
  rdp: z
    .strictObject({ ...Rdp.shape, seen: z.strictObject({ ...Rdp.shape, at: Instant }).nullable() })
    .nullable(),
  /** What it lacks, each with the exception that stands for it. */
  deviations: z.array(
    z.strictObject({
      kind: z.enum(EXCEPTION_KINDS),
      exception: z
        .strictObject({ id: Id, state: z.enum(['open', 'expired']), expiresAt: Instant })
        .nullable(),
    }),
  ),
  accounts: z.array(
    z.strictObject({ name: z.string(), credential: z.enum(['password', 'private-key', 'missing']) }),
  ),
  identity: z.strictObject({
    /** none: never seen; accepted: pinned by an administrator; changed: the asset showed another one. */
    state: z.enum(['none', 'accepted', 'changed']),
    accepted: z.array(Identity),
    seen: Identity.nullable(),
    seenAt: Instant.nullable(),
  }),
})
const Asset = z.strictObject({
  id: Id,
  site: z.strictObject({ id: Id, name: z.string() }),
  zone: z.strictObject({ id: Id, name: z.string() }),
  gateway: z.strictObject({ id: Id, name: z.string() }).nullable(),
  name: z.string(),
  description: z.string(),
  type: z.enum(ASSET_TYPES),
  criticality: z.enum(CRITICALITIES),
  owner: z.string(),
  /** Only for administrators; null for everybody else. */
  address: z.string().nullable(),
  enabled: z.boolean(),
  /** Operators use this console: a session opens only after one of them has said that it is free. */
  operatorsUseConsole: z.boolean(),
  ending: EndingRuleBody,
  consequence: z.strictObject({
    safety: score,
    availability: score,
    integrity: score,
    confidentiality: score,
    regulatory: score,
  }),
  /** What can go wrong, in words, for the approver's card. */
  hazard: z.string(),
  compensatingControls: z.string(),
  lastVerifiedAt: Instant.nullable(),
  /** What is missing before it can be requested; empty when complete. */
  incomplete: z.array(z.string()),
  endpoints: z.array(Endpoint),
})
const AssetBody = z.strictObject({
  siteId: Id,
  zoneId: Id,
  name: Name,
  description: z.string().max(500),
  type: z.enum(ASSET_TYPES),
  criticality: z.enum(CRITICALITIES),
  owner: Name,
  /** IP address or DNS name; must lie in one of the zone's ranges, when it is resolved too. */
  address: z.string().min(1).max(253),
  ending: EndingRuleBody.optional(),
  consequence: z.strictObject({
    safety: score,
    availability: score,
    integrity: score,
    confidentiality: score,
    regulatory: score,
  }),
  hazard: z.string().max(500),
  compensatingControls: z.string().max(500),
  lastVerifiedAt: Instant.nullable(),
})
const Gateway = z.strictObject({
  id: Id,
  name: z.string(),
  site: z.strictObject({ id: Id, name: z.string() }),
  zone: z.strictObject({ id: Id, name: z.string() }),
  state: z.enum(['waiting', 'online', 'offline', 'revoked']),
  version: z.string().nullable(),
  lastSeenAt: Instant.nullable(),
  clockOffsetMs: z.number().nullable(),
  sessions: z.number().int().nullable(),
  /** Session threads; null while the gateway is not linked. */
  workers: z.strictObject({ running: z.number().int(), configured: z.number().int() }).nullable(),
  freeBytes: z.number().nullable(),
  reserveBytes: z.number().nullable(),
  spooledRecordings: z.number().int().nullable(),
})

export const inventoryApi = routes({
  'GET /api/sites': { summary: 'Sites that I hold a role at', access: staff, response: z.array(Site) },
  'POST /api/sites': {
    summary: 'Add a site',
    access: administrator,
    stepUp: true,
    body: z.strictObject({ name: Name, timeZone: z.string().max(60), notice: z.string().min(1).max(4000) }),
    response: Site,
  },
  'PATCH /api/sites/:id': {
    summary: "Change a site's name or its notice (a new notice must be accepted anew)",
    access: administrator,
    stepUp: true,
    params: IdParams,
    body: z.strictObject({ name: Name.optional(), notice: z.string().min(1).max(4000).optional() }),
    response: Site,
  },
  'GET /api/zones': { summary: 'Zones', access: staff, response: z.array(Zone) },
  'POST /api/zones': {
    summary: 'Add a zone',
    access: administrator,
    stepUp: true,
    body: z.strictObject({ siteId: Id, name: Name, ranges: z.array(z.string().max(50)).min(1).max(50) }),
    response: Zone,
  },
  'GET /api/conduits': { summary: 'Conduits', access: staff, response: z.array(Conduit) },
  'POST /api/conduits': {
    summary: 'Declare a conduit between two zones of a site',
    access: administrator,
    stepUp: true,
    body: z.strictObject({
      siteId: Id,
      name: Name,
      fromZoneId: Id,
      toZoneId: Id,
      protocols: z.array(z.enum(PROTOCOLS)).min(1),
    }),
    response: Conduit,
  },
  'PATCH /api/conduits/:id': {
    summary: 'Enable or disable a conduit; running sessions over it end safely',
    access: administrator,
    stepUp: true,
    params: IdParams,
    body: z.strictObject({ enabled: z.boolean(), reason: Line }),
    response: Conduit,
  },
  'GET /api/assets': { summary: 'Assets of my sites', access: staff, response: z.array(Asset) },
  'GET /api/assets/:id': { summary: 'One asset', access: staff, params: IdParams, response: Asset },
  'POST /api/assets': {
    summary: 'Add an asset',
    access: administrator,
    stepUp: true,
    body: AssetBody,
    response: Asset,
  },
  'PUT /api/assets/:id': {
    summary: 'Change an asset',
    access: administrator,
    stepUp: true,
    params: IdParams,
    body: AssetBody,
    response: Asset,
  },
  'PATCH /api/assets/:id': {
    summary: 'Enable or disable an asset, choose its gateway, or say whether operators use its console',
    access: administrator,
    stepUp: true,
    params: IdParams,
    body: z.strictObject({
      enabled: z.boolean().optional(),
      gatewayId: Id.optional(),
      operatorsUseConsole: z.boolean().optional(),
      reason: Line,
    }),
    response: Asset,
  },
  'POST /api/assets/:id/endpoints': {
    summary: 'Add an endpoint',
    access: administrator,
    stepUp: true,
    params: IdParams,
    body: z.discriminatedUnion('protocol', [
      z.strictObject({ protocol: z.literal('ssh'), port }),
      z.strictObject({ protocol: z.literal('vnc'), port, ...Vnc.shape }),
      z.discriminatedUnion('security', [
        z.strictObject({ protocol: z.literal('rdp'), port, security: z.literal('nla') }),
        z.strictObject({
          protocol: z.literal('rdp'),
          port,
          security: z.literal('tls'),
          /** Why the server is only asked for TLS; without it the answer is `reason-needed`. */
          reason: Line.optional(),
        }),
      ]),
    ]),
    response: Asset,
  },
  'PATCH /api/endpoints/:id': {
    summary: 'Declare anew how a VNC or RDP endpoint is protected; running sessions on it end safely',
    access: administrator,
    stepUp: true,
    params: IdParams,
    body: z.discriminatedUnion('protocol', [
      z.strictObject({ protocol: z.literal('vnc'), ...Vnc.shape, reason: Line }),
      z.strictObject({ protocol: z.literal('rdp'), ...Rdp.shape, reason: Line }),
    ]),
    response: Asset,
  },
  'POST /api/endpoints/:id/identity/probe': {
    summary: "Fetch the endpoint's host key or certificate through its gateway, to be compared by a person",
    access: administrator,
    stepUp: true,
    params: IdParams,
    body: z.strictObject({}),
    /** `vnc`, `rdp`: how such a server is protected; the identity is null of a VNC server that has none. */
    response: z.strictObject({ identity: Identity.nullable(), vnc: Vnc.nullable(), rdp: Rdp.nullable() }),
  },
  'POST /api/endpoints/:id/identity/accept': {
    summary: 'Pin a host key or certificate that a person has compared',
    access: administrator,
    stepUp: true,
    params: IdParams,
    body: z.strictObject({ algorithm: z.string().max(60), fingerprint: z.string().max(100), reason: Line }),
    response: Asset,
  },
  'PUT /api/endpoints/:id/accounts/:account/credential': {
    summary: 'Set the credential of an account; it is sealed in the vault and never shown again',
    access: administrator,
    stepUp: true,
    params: z.strictObject({ id: Id, account: z.string().regex(/^[a-zA-Z0-9._@\\-]{1,64}$/) }),
    body: z.discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('password'), password: z.string().min(1).max(1024) }),
      z.strictObject({
        kind: z.literal('private-key'),
        privateKey: z.string().min(1).max(16_384),
        passphrase: z.string().max(1024).nullable(),
      }),
    ]),
    response: Asset,
  },
  'GET /api/gateways': { summary: 'Gateways and their health', access: staff, response: z.array(Gateway) },
  'POST /api/gateways': {
    summary: 'Announce a gateway; answers with its one-time enrolment token, shown once',
    access: administrator,
    stepUp: true,
    body: z.strictObject({ name: Name, siteId: Id, zoneId: Id }),
    response: z.strictObject({ gateway: Gateway, enrolmentToken: z.string(), expiresAt: Instant }),
  },
  'POST /api/gateways/:id/revoke': {
    summary: 'Revoke a gateway: its certificate and grants stop counting at once',
    access: administrator,
    stepUp: true,
    params: IdParams,
    body: z.strictObject({ reason: Line }),
    response: Gateway,
  },
  'GET /api/health': {
    summary: 'State of the installation for the health page',
    access: staff,
    response: z.strictObject({
      version: z.string(),
      clock: z.strictObject({ state: z.enum(['ok', 'behind-mark', 'apart']), detail: z.string() }),
      database: z.strictObject({ ok: z.boolean(), detail: z.string() }),
      storage: z.strictObject({ freeBytes: z.number(), reserveBytes: z.number(), ok: z.boolean() }),
      /** A restored backup that nobody has confirmed: no new session opens. */
      restore: z.strictObject({ at: Instant, backupAt: Instant }).nullable(),
      checkpoint: z.strictObject({ size: z.number(), at: Instant.nullable() }),
      witness: z.strictObject({ state: z.enum(['absent', 'ok', 'late']), detail: z.string() }),
      gateways: z.array(Gateway),
      unshippedRecordings: z.number().int(),
    }),
  },
  'POST /api/restore/confirm': {
    summary: 'What was revoked since the restored backup was revoked again: new sessions may open',
    access: only('administrator'),
    stepUp: true,
    body: z.strictObject({ reason: Line }),
    response: Ok,
  },
  'POST /api/alarms/:id/acknowledge': {
    summary: 'Acknowledge an alarm with a reason',
    access: only('administrator', 'operator'),
    stepUp: true,
    params: IdParams,
    body: z.strictObject({ reason: Line }),
    response: Ok,
  },
  'GET /healthz': {
    summary: 'For a load balancer: alive',
    access: { who: 'public' },
    response: z.strictObject({ ok: z.boolean() }),
  },
})
