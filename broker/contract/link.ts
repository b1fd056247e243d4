import { z } from 'zod'
import {
  GATEWAY_PROBLEMS,
  PROTOCOLS,
  RDP_SECURITIES,
  SESSION_ENDS,
  SESSION_STATES,
  STREAMS,
  VNC_AUTHENTICATIONS,
  VNC_SECURITIES,
} from '../domain/words.ts'

/**
 * The link between a gateway and a broker. The gateway dials out, always.
 *
 * One TLS 1.3 port at the broker ("link port"), certificates on both sides (the gateway's from enrolment):
 *   POST /link/v1/enrol            one-time token, no client certificate yet
 *   upgrade sallyport-control.v1   GET /link/v1/control: a WebSocket that carries the messages below
 *   upgrade sallyport-splice.v1    GET /link/v1/splice/<splice id>: raw; the broker then writes a fresh WebSocket
 *                                  upgrade for the browser's socket on it, and after that bytes pass unparsed
 *   PUT  /link/v1/evidence/...     segments, wraps and manifests (see evidence paths below)
 *
 * Control messages are one JSON object a text frame, 256 KiB at most, unknown types and fields refused.
 * Requests carry `id`; the answer repeats it. Events from the gateway are kept in its journal until the broker
 * has committed them (`event-ack`), so a broker or database outage loses none.
 */
export const LINK_VERSION = 1
export const CONTROL_PROTOCOL = 'sallyport-control.v1'
export const SPLICE_UPGRADE = 'sallyport-splice.v1'
export const CONTROL_MESSAGE_LIMIT = 256 * 1024
/** Header in which the broker hands the one-use session ticket to the gateway. */
export const TICKET_HEADER = 'x-sallyport-ticket'
/** Heartbeat of the control connection; three missed ones are a lost link. */
export const HEARTBEAT_MS = 1000

const id = z.uuid()
const jws = z.string().max(64 * 1024)

export const EnrolRequest = z.strictObject({
  token: z.string().max(200),
  name: z.string().min(1).max(80),
  version: z.string().max(40),
  /** PKCS#10, PEM, P-256: the gateway's TLS identity. */
  csr: z.string().max(8192),
  /** Ed25519 public JWK: signs manifests and anchors. */
  signKey: z.strictObject({
    kty: z.literal('OKP'),
    crv: z.literal('Ed25519'),
    x: z.string(),
    kid: z.string(),
  }),
  /** X25519 public JWK: credentials are sealed to it. */
  sealKey: z.strictObject({
    kty: z.literal('OKP'),
    crv: z.literal('X25519'),
    x: z.string(),
    kid: z.string(),
  }),
})
export type EnrolRequest = z.infer<typeof EnrolRequest>

export const EnrolResponse = z.strictObject({
  gateway: id,
  site: z.strictObject({ id, name: z.string() }),
  deployment: id,
  /** PEM chain for the gateway's key, and the CA that the gateway trusts brokers by. */
  certificate: z.string(),
  ca: z.string(),
  /** Ed25519 public JWKs of the broker's signing key; grants by any other key are refused. */
  brokerKeys: z.array(z.looseObject({ kty: z.string(), kid: z.string() })),
})
export type EnrolResponse = z.infer<typeof EnrolResponse>

/** One segment's chain head, as it goes into an anchor. */
export const AnchorHead = z.strictObject({
  recording: id,
  stream: z.enum(STREAMS),
  segment: z.number().int().nonnegative(),
  seq: z.number().int().nonnegative(),
  c: z.string().regex(/^[0-9a-f]{64}$/),
})
export type AnchorHead = z.infer<typeof AnchorHead>

/*
 * What a gateway says, and what it passes on from an asset or a browser, is brought to a size, a range and characters
 * that rows and log entries hold (no NUL, no half of a character). Not refused: an event that is never taken stands
 * before all later ones in the gateway's journal, so a hostile asset could silence its gateway with one long name.
 */
const text = (limit: number) =>
  z.string().transform((value) => value.slice(0, limit).toWellFormed().replaceAll('\0', '\ufffd'))
const between = (low: number, high: number) =>
  z.number().transform((value) => Math.min(Math.max(value, low), high))
const COUNT = Number.MAX_SAFE_INTEGER
/** Fits PostgreSQL's integer. */
const MONTH_MS = 2_147_483_647
/** A wall clock, ms since the epoch, within the years that every date here can be written in (to 9999). */
const instant = between(0, 253_402_300_799_000)

/** What the gateway reports. Each is one audit entry; `at` is the gateway's wall clock, ms. */
export const GatewayEvent = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('session-state'),
    session: id,
    state: z.enum(SESSION_STATES),
    inputFrozen: z.boolean(),
    cause: text(500).nullable(),
    by: text(200).nullable(),
    remainingMs: between(-MONTH_MS, MONTH_MS).nullable(),
    at: instant,
  }),
  z.strictObject({
    kind: z.literal('session-live'),
    session: id,
    /** What the asset showed as its identity; null where an exception allows one that shows none. */
    identity: z.strictObject({ algorithm: text(100), fingerprint: text(200) }).nullable(),
    algorithms: z.record(text(100), text(200)),
    at: instant,
  }),
  z.strictObject({
    kind: z.literal('session-closed'),
    session: id,
    end: z.enum(SESSION_ENDS),
    message: text(500),
    by: text(200).nullable(),
    /** From the command or cause to the asset's socket being closed, ms: the proof of a stop. */
    closedAfterMs: between(0, MONTH_MS).nullable(),
    bytesOut: between(0, COUNT),
    bytesIn: between(0, COUNT),
    at: instant,
  }),
  z.strictObject({
    kind: z.literal('identity-changed'),
    session: id,
    expected: z.array(text(200)),
    seen: text(300),
    at: instant,
  }),
  z.strictObject({
    kind: z.literal('refused-by-gateway'),
    session: id.nullable(),
    /** Stable code: bad-grant, bad-ticket, ticket-reused, not-for-this-gateway, expired … */
    code: text(100),
    at: instant,
  }),
  z.strictObject({
    kind: z.literal('channel-refused'),
    session: id,
    /** What the other side tried to open: direct-tcpip, auth-agent, x11 … (threat 2). */
    channel: text(200),
    at: instant,
  }),
  /** The broker checks the root over the heads, logs root and size, and keeps each head's path for its recording. */
  z.strictObject({
    kind: z.literal('anchor'),
    root: text(100),
    size: z.number().int(),
    heads: z.array(AnchorHead).max(2000),
    at: instant,
  }),
  z.strictObject({
    kind: z.literal('watcher'),
    session: id,
    person: text(64),
    name: text(200),
    joined: z.boolean(),
    at: instant,
  }),
  z.strictObject({ kind: z.literal('warning'), session: id, minutes: between(0, 100_000), at: instant }),
  z.strictObject({
    kind: z.literal('recording-gap'),
    session: id,
    stream: z.enum(STREAMS),
    reason: text(500),
    at: instant,
  }),
  z.strictObject({
    kind: z.literal('storage'),
    freeBytes: between(0, COUNT),
    reserveBytes: between(0, COUNT),
    below: z.boolean(),
    at: instant,
  }),
  /** Something at the gateway that a person must look at; an alarm at the broker. */
  z.strictObject({
    kind: z.literal('gateway-problem'),
    code: z.enum(GATEWAY_PROBLEMS),
    detail: text(500),
    session: id.nullable(),
    at: instant,
  }),
])
export type GatewayEvent = z.infer<typeof GatewayEvent>

/** Gateway to broker. */
export const ControlUp = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('hello'),
    link: z.literal(LINK_VERSION),
    version: text(40),
    boot: id,
    wall: instant,
    /** Sessions that are running here now: a broker that has just started adopts them. */
    sessions: z.array(z.strictObject({ session: id, state: z.enum(SESSION_STATES), grant: id })).max(10_000),
  }),
  /** Opening answered: ready for the browser, or refused with a code. */
  z.strictObject({
    type: z.literal('opened'),
    id: z.number().int(),
    ok: z.boolean(),
    code: z.string().nullable(),
  }),
  z.strictObject({
    type: z.literal('done'),
    id: z.number().int(),
    ok: z.boolean(),
    code: z.string().nullable(),
    tookMs: z.number().nullable(),
  }),
  /** The one fetch of a grant's credential, at the moment of use. */
  z.strictObject({ type: z.literal('credential'), id: z.number().int(), grant: id, session: id }),
  /** `boot`: the run that wrote it down, when that was an earlier one. The broker has perhaps committed it then. */
  z.strictObject({
    type: z.literal('event'),
    seq: z.number().int().nonnegative(),
    boot: id.optional(),
    event: GatewayEvent,
  }),
  z.strictObject({
    type: z.literal('probed'),
    id: z.number().int(),
    ok: z.boolean(),
    code: z.string().nullable(),
    /** Null also of a VNC server that has none. */
    identity: z.strictObject({ algorithm: z.string(), fingerprint: z.string() }).nullable(),
    /** How a VNC server is protected; absent for others. */
    vnc: z
      .strictObject({ security: z.enum(VNC_SECURITIES), authentication: z.enum(VNC_AUTHENTICATIONS) })
      .optional(),
    /** How an RDP server signs in at its best; absent for others. */
    rdp: z.strictObject({ security: z.enum(RDP_SECURITIES) }).optional(),
  }),
  z.strictObject({
    type: z.literal('health'),
    wall: instant,
    sessions: between(0, MONTH_MS),
    freeBytes: between(0, COUNT),
    reserveBytes: between(0, COUNT),
    spooledRecordings: between(0, MONTH_MS),
    rssBytes: between(0, COUNT),
    /** Session threads that run, and how many there should be. */
    workers: z.strictObject({ running: between(0, 1000), configured: between(0, 1000) }).optional(),
  }),
])
export type ControlUp = z.infer<typeof ControlUp>

/** Broker to gateway. */
export const ControlDown = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('welcome'),
    gateway: id,
    wall: z.number(),
    brokerKeys: z.array(z.looseObject({ kty: z.string(), kid: z.string() })),
  }),
  /** A grant and its first lease. The gateway waits 30 s for the browser, then ends it as open-failed. */
  z.strictObject({ type: z.literal('open'), id: z.number().int(), grant: jws, lease: jws }),
  /** Dial the splice endpoint for this session's browser. */
  z.strictObject({ type: z.literal('dial'), id: z.number().int(), splice: id, session: id }),
  z.strictObject({ type: z.literal('lease'), session: id, lease: jws, grant: jws.nullable() }),
  z.strictObject({
    type: z.literal('command'),
    id: z.number().int(),
    session: id,
    /**
     * hold / release: an operator's, input only. stop: sockets to the asset closed at once, every class.
     * end: the rules for ending safely apply (window, ticket, approval). revoke: freeze input, close the
     * browser's socket at once, the asset's side ends by class. leave: the vendor's own end.
     */
    command: z.enum(['hold', 'release', 'stop', 'end', 'revoke', 'leave']),
    end: z.enum(SESSION_ENDS),
    by: z.string(),
    cause: z.string().max(500),
  }),
  z.strictObject({
    type: z.literal('credential'),
    id: z.number().int(),
    ok: z.boolean(),
    code: z.string().nullable(),
    jwe: z.string().nullable(),
  }),
  z.strictObject({ type: z.literal('event-ack'), seq: z.number().int().nonnegative() }),
  /** Fetch an asset's host key or certificate and how it is protected, for an administrator to accept. Addresses come only from the inventory. */
  z.strictObject({
    type: z.literal('probe'),
    id: z.number().int(),
    protocol: z.enum(PROTOCOLS),
    address: z.strictObject({ host: z.string(), port: z.number().int().min(1).max(65535) }),
  }),
])
export type ControlDown = z.infer<typeof ControlDown>

/** What a credential JWE holds (ECDH-ES+A256KW / A256GCM to the gateway's seal key), valid 30 s, used once. */
export const CredentialPayload = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('password'),
    grant: id,
    gateway: id,
    session: id,
    exp: z.number(),
    account: z.string(),
    password: z.string(),
  }),
  z.strictObject({
    kind: z.literal('private-key'),
    grant: id,
    gateway: id,
    session: id,
    exp: z.number(),
    account: z.string(),
    privateKey: z.string(),
    passphrase: z.string().nullable(),
  }),
])
export type CredentialPayload = z.infer<typeof CredentialPayload>

/**
 * Evidence upload, all put-once (a second PUT of other bytes is 409, of the same bytes 200), each with
 * `content-length` and `x-sallyport-sha256` (hex):
 *   PUT /link/v1/evidence/<recording>/<stream>/<segment>.spr     the segment file
 *   PUT /link/v1/evidence/<recording>/keys/<stream>-<segment>.jwe the wrap
 *   PUT /link/v1/evidence/<recording>/manifest.jws               last; answered with the receipt JWS (200, text)
 * The gateway deletes its spool copy only after it has verified and stored the receipt.
 */
export const EVIDENCE_PATH = '/link/v1/evidence'
