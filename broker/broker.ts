import { createHmac } from 'node:crypto'
import type { AddressInfo, Socket } from 'node:net'
import { hostname } from 'node:os'
import path from 'node:path'
import type { Logger } from 'pino'
import { type ClockGuard, clockEvents, openClockGuard } from './audit/clock-guard.ts'
import { BROKER } from './audit/event.ts'
import { type AuditLog, openAuditLog } from './audit/log.ts'
import { auditRoutes } from './audit/routes.ts'
import { RestoreGuard } from './backup/restore-guard.ts'
import type { Handlers } from './contract/handler.ts'
import { DEFAULT_POLICY } from './domain/access-facts.ts'
import { hashOf } from './domain/canonical.ts'
import { type Clock, systemClock } from './domain/clock.ts'
import { Failure } from './domain/failure.ts'
import { newId } from './domain/ids.ts'
import type { AccessPort, EvidenceSink, RuntimeFacts } from './domain/ports.ts'
import type { Secret } from './domain/secret.ts'
import type { Probed } from './domain/vnc.ts'
import type { Protocol } from './domain/words.ts'
import { buildApp } from './http/app.ts'
import { certificateAlarm } from './http/certificate-alarm.ts'
import { type PublicOrigin, publicOrigin } from './http/origin.ts'
import type { Limits, Rate } from './http/rate-limit.ts'
import { type OnRenewal, type ServerTls, siteCaTls, suppliedTls } from './http/tls.ts'
import { type Identity, openIdentity } from './identity/identity.ts'
import type { OidcProvider } from './identity/oidc.ts'
import { type Inventory, openInventory } from './inventory/inventory.ts'
import { INVENTORY_CHANGED } from './inventory/places.ts'
import { auditorTrust } from './keys/auditor-trust.ts'
import { type DeploymentKeys, openKeys } from './keys/keys.ts'
import { browserUpgrade } from './link/browser-upgrade.ts'
import { GatewayLink } from './link/link.ts'
import { LinkClocks } from './link/link-clocks.ts'
import { SocketRegistry } from './link/socket-registry.ts'
import { Completeness } from './sessions/completeness.ts'
import { evidenceDesk, gatewaySignKey, sessionOfRecording } from './sessions/evidence-desk.ts'
import { firstGateway } from './sessions/first-gateway.ts'
import { GatewayEvents } from './sessions/gateway-events.ts'
import { gatewayRoutes } from './sessions/gateway-routes.ts'
import { Hints } from './sessions/hints.ts'
import { Operators } from './sessions/operators.ts'
import { Renewals } from './sessions/renewals.ts'
import { onRevoked } from './sessions/revocations.ts'
import { sessionsRoutes } from './sessions/routes.ts'
import { Sessions } from './sessions/sessions.ts'
import { type Database, unavailable } from './store/sql.ts'
import { openStore, type Store } from './store/store.ts'

export interface BrokerConfig {
  /** Keys, checkpoints, journal, embedded database; mode 0700. */
  dataDir: string
  /** `https://name[:port]` as browsers see it. An IP address is refused with the reason. */
  publicUrl: string
  deploymentName: string
  version: string
  /** The web server. */
  web: { host: string; port: number }
  /** The port that gateways dial. */
  link: { host: string; port: number }
  /** DATABASE_URL and DATABASE_APP_URL; the embedded PostgreSQL without them. */
  ownerUrl?: Secret
  appUrl?: Secret
  /** Certificate files, or the site's own CA when absent. */
  certificate?: { certificateFile: string; keyFile: string }
  /** For the demo's composition only: plain HTTP on localhost. */
  allowHttpLocalhost?: boolean
  /** Folder of the built pages; null without them (tests). */
  webDir: string | null
  providers: readonly OidcProvider[]
  trustedProxies?: readonly string[]
  limits?: Partial<Limits>
  /** How many events one gateway may report (tests). */
  gatewayEvents?: Rate
  logger: Logger
  clock?: Clock
  /** Server settings of the embedded PostgreSQL (tests). */
  postgresSettings?: Record<string, string>
}

/** What the broker gives to the room of requests and approvals. */
export interface ApprovalsParts {
  db: Database
  audit: AuditLog
  clock: Clock
  deployment: string
  webauthn: { rpId: string; origins: readonly string[] }
  /** Signs what has been read of tickets. */
  key: DeploymentKeys['broker']
  runtime(
    gatewayId: string | null,
  ): Promise<Pick<RuntimeFacts, 'gatewayOnline' | 'clock' | 'storageBelowReserve' | 'restoreUnconfirmed'>>
  onError(error: unknown): void
}

/** What the broker gives to the room of recordings. */
export interface RecordingsParts {
  db: Database
  audit: AuditLog
  keys: DeploymentKeys
  clock: Clock
  desk: ReturnType<typeof evidenceDesk>
  trust(): ReturnType<typeof auditorTrust>
  sessionOfRecording(recording: string): ReturnType<typeof sessionOfRecording>
  gatewaySignKey(gateway: string, kid: string): Promise<string | null>
}

/** Rooms that the broker may not import; `main.ts` hands them in. */
export interface Rooms {
  approvals(parts: ApprovalsParts): Promise<{
    access: AccessPort
    routes: Partial<Handlers>
    close(): Promise<void>
  }>
  recordings(parts: RecordingsParts): Promise<{
    sink: EvidenceSink
    routes: Partial<Handlers>
    space(): Promise<{ freeBytes: number; reserveBytes: number }>
    close(): Promise<void>
  }>
}

export interface RunningBroker {
  readonly origin: PublicOrigin
  readonly web: { host: string; port: number }
  readonly link: { host: string; port: number }
  /** The site's own CA (PEM), when it has no supplied certificate. */
  readonly siteCa: string | null
  readonly store: Store
  readonly audit: AuditLog
  readonly keys: DeploymentKeys
  readonly identity: Identity
  readonly inventory: Inventory
  readonly sessions: Sessions
  readonly renewals: Renewals
  readonly operators: Operators
  readonly gateways: GatewayLink
  /** An administrator says that the clock is right (see ClockGuard.resolve); an audit entry. False while it is apart. */
  confirmClock(): Promise<boolean>
  /** See RestoreGuard.confirm, said at this machine. */
  confirmRestore(): Promise<boolean>
  /** See firstGateway: an enrolment token for this machine's own gateway, at the first start. */
  firstGateway(names: {
    site: string
    timeZone: string
    zone: string
    gateway: string
  }): Promise<{ token: string; gatewayId: string } | null>
  stop(): Promise<void>
}

/** How often the space of the archive is looked at; the runtime facts of a preview are synchronous. */
const SPACE_EVERY_MS = 10_000
const PROBE_MS = 15_000

/** Starts the control plane. What has been started is stopped again when a later part fails. */
export async function startBroker(config: BrokerConfig, rooms: Rooms): Promise<RunningBroker> {
  const started: (() => unknown)[] = []
  const stop = async () => {
    for (const close of started.splice(0).reverse()) await close()
  }
  try {
    return await start(config, rooms, started, stop)
  } catch (error) {
    await stop().catch((cause) => config.logger.error({ err: cause }, 'while stopping'))
    throw error
  }
}

async function start(
  config: BrokerConfig,
  rooms: Rooms,
  started: (() => unknown)[],
  stop: () => Promise<void>,
): Promise<RunningBroker> {
  const { dataDir, logger } = config
  const clock = config.clock ?? systemClock
  const failed = (error: unknown) => {
    if (unavailable(error)) logger.warn('the database does not answer')
    else logger.error({ err: error }, 'unexpected error')
  }
  const origin = publicOrigin(config.publicUrl, config.allowHttpLocalhost ? { allowHttpLocalhost: true } : {})

  let opened: Store | null = null
  const store = await openStore({
    dataDir,
    ...(config.ownerUrl ? { ownerUrl: config.ownerUrl } : {}),
    ...(config.appUrl ? { appUrl: config.appUrl } : {}),
    ...(config.postgresSettings ? { settings: config.postgresSettings } : {}),
    onCrash: (why) => {
      // One that ends before it is open ends the start with it.
      if (!opened) return
      logger.error({ why }, 'the embedded PostgreSQL ended; starting it again')
      restart(opened, failed)
    },
  })
  opened = store
  started.push(() => store.close())
  const { db } = store
  const keys = await openKeys(dataDir, clock.wall())

  let audit: AuditLog | null = null
  const tellClock = clockEvents(db, () => audit, failed)
  const guard: ClockGuard = await openClockGuard({
    clock,
    db,
    dataDir,
    onChange: (state, detail) => {
      logger.warn({ state, detail }, 'clock')
      tellClock.onChange(state, detail)
    },
    settle: tellClock.settle,
  })
  started.push(() => guard.close())
  const log = await openAuditLog({
    db,
    clock,
    deployment: keys.deployment,
    epoch: keys.statement.epochs.at(-1)?.epoch ?? 0,
    node: hostname(),
    boot: newId(),
    macKey: keys.auditMac,
    logKey: keys.log,
    checkpointFile: path.join(dataDir, 'checkpoints.log'),
    journalFile: path.join(dataDir, 'audit-journal.ndjson'),
    clockState: () => guard.entryState(),
    policy: () => hashOf(DEFAULT_POLICY),
    onAlarm: (error) => logger.error({ code: error.code, subject: error.subject }, 'integrity alarm'),
    onError: failed,
  })
  audit = log
  started.push(() => log.close())

  const identity = await openIdentity({
    db,
    audit: log,
    clock,
    origin,
    deploymentName: config.deploymentName,
    key: keys.derive('identity'),
    providers: config.providers,
    onError: failed,
  })
  started.push(() => identity.close())

  const restored = await RestoreGuard.open({ db, audit: log, macKey: keys.auditMac, dataDir })
  const clocks = new LinkClocks(guard, db, log, clock)
  const desk = evidenceDesk(db, log)
  const trust = () =>
    auditorTrust({
      db,
      statement: keys.statement,
      audit: log,
      rp: { id: origin.rpId, origins: [origin.origin] },
    })
  const recordings = await rooms.recordings({
    db,
    audit: log,
    keys,
    clock,
    desk,
    trust,
    sessionOfRecording: (recording) => sessionOfRecording(db, recording),
    gatewaySignKey: (gateway, kid) => gatewaySignKey(db, gateway, kid),
  })
  started.push(() => recordings.close())

  const brokerKey = { kty: 'OKP' as const, crv: 'Ed25519' as const, x: keys.broker.x, kid: keys.broker.kid }
  const link = new GatewayLink({
    db,
    audit: log,
    clock,
    clocks,
    ca: keys.linkCa,
    deployment: keys.deployment,
    brokerKeys: () => [brokerKey],
    evidence: recordings.sink,
    ...(config.gatewayEvents ? { eventRate: config.gatewayEvents } : {}),
    failed,
  })
  const inventory = openInventory({
    db,
    audit: log,
    clock,
    vaultKey: keys.vault,
    probe: (gatewayId, protocol, address) => probe(link, gatewayId, protocol, address),
  })

  const space = await watchSpace(recordings.space, clock)
  started.push(() => space.stop())
  const approvals = await rooms.approvals({
    db,
    audit: log,
    clock,
    deployment: keys.deployment,
    webauthn: { rpId: origin.rpId, origins: [origin.origin] },
    key: keys.broker,
    runtime: async (gatewayId) => ({
      gatewayOnline: gatewayId !== null && link.online(gatewayId),
      clock: clocks.view(gatewayId ?? undefined).state,
      storageBelowReserve: space.below() || (gatewayId !== null && spoolBelow(link, gatewayId)),
      restoreUnconfirmed: (await restored.unconfirmed()) !== null,
    }),
    onError: failed,
  })
  started.push(() => approvals.close())

  const hints = new Hints(db)
  await hints.start()
  started.push(() => hints.stop())
  const sockets = new SocketRegistry()
  const pseudonymKey = keys.derive('pseudonym')
  const sessions = new Sessions({
    db,
    audit: log,
    clock,
    clocks,
    link,
    access: approvals.access,
    hints,
    sockets,
    key: keys.broker,
    formerKeys: keys.statement.keys
      .filter((key) => key.use === 'broker' && key.until !== null)
      .map((key) => ({ x: key.jwk.x, kid: key.kid })),
    deployment: keys.deployment,
    recordingKeys: keys.recordingKeys,
    pseudonym: (personId) =>
      createHmac('sha256', pseudonymKey.reveal()).update(personId).digest('base64url').slice(0, 22),
    target: (endpointId) => inventory.target(endpointId),
    credential: (query, endpointId, account) => inventory.credential(query, endpointId, account),
    storage: async () => space.last(),
    restore: restored,
    failed,
  })
  const renewals = new Renewals(sessions)
  const operators = new Operators(sessions, renewals)
  await sessions.adopt()
  // A revoked gateway may be somebody else's by now: no browser stays spliced to it.
  link.directory.onChanged((id) => {
    const row = link.directory.known(id)
    if (row && row.revokedAt === null) return
    sockets.close((socket) => sessions.live.get(socket.session)?.gatewayId === id)
  })
  const bound = await link.start(new GatewayEvents(sessions, renewals), config.link)
  started.push(() => link.close())
  renewals.start()
  started.push(() => renewals.stop())
  const completeness = new Completeness(sessions.deps)
  completeness.start()
  started.push(() => completeness.stop())
  started.push(
    identity.revocations.on((revoked) => void onRevoked(sessions, renewals, revoked).catch(failed)),
  )
  const inventoryChanges = await db.listen(INVENTORY_CHANGED, (payload) => {
    const { kind, id } = JSON.parse(payload) as { kind: string; id: string }
    renewals.soon((session) =>
      kind === 'asset' ? session.assetId === id : kind === 'endpoint' ? session.endpointId === id : true,
    )
  })
  started.push(() => inventoryChanges.close())

  const tls = await webTls(config, origin, clock, certificateAlarm(db, logger))
  if (tls) started.push(() => tls.close())
  const app = buildApp({
    handlers: [
      identity.routes,
      inventory.routes,
      approvals.routes,
      recordings.routes,
      sessionsRoutes({ sessions, operators }),
      gatewayRoutes({
        sessions,
        ca: keys.linkCa,
        version: config.version,
        unshipped: async () => {
          const [row] = await db.sql<{ count: number }[]>`
            SELECT count(*)::int AS count FROM session
            WHERE state = 'closed' AND manifest_at IS NULL AND live_at IS NOT NULL`
          return row?.count ?? 0
        },
      }),
      auditRoutes({ db, audit: log, macKey: keys.auditMac, trust }),
    ],
    origin,
    signIns: identity,
    recordDenied: async (event) => {
      await log.record(db.sql, event)
    },
    clock,
    tls,
    webDir: config.webDir,
    logger,
    ...(config.limits ? { limits: config.limits } : {}),
    ...(config.trustedProxies ? { trustedProxies: config.trustedProxies } : {}),
  })
  const upgrade = browserUpgrade({
    origins: [origin.origin],
    signedIn: (request) =>
      identity.authenticateCookie(request.headers.cookie, request.socket.remoteAddress ?? ''),
    admit: (principal, session, ticket) => sessions.admit(principal, session, ticket),
    control: (gateway) => link.control(gateway),
    splices: link.splices,
    sockets,
    clock,
    failed,
  })
  app.server.on('upgrade', (request, socket, head) => upgrade(request, socket as Socket, head))
  await app.listen({ host: config.web.host, port: config.web.port })
  started.push(async () => {
    sockets.close(() => true)
    app.server.closeAllConnections()
    await app.close()
  })
  const web = app.server.address() as AddressInfo
  return {
    origin,
    web: { host: web.address, port: web.port },
    link: bound,
    siteCa: tls?.ca?.certificate ?? null,
    store,
    audit: log,
    keys,
    identity,
    inventory,
    sessions,
    renewals,
    operators,
    gateways: link,
    async confirmClock() {
      if (!(await guard.resolve())) return false
      await log.recordAlways({
        action: 'clock.confirmed',
        actor: BROKER,
        object: { kind: 'broker', id: hostname() },
        reason: 'An administrator of this machine said that its clock is right.',
      })
      return true
    },
    confirmRestore: () =>
      restored.confirm(
        { actor: BROKER },
        'An administrator of this machine said that what was revoked since the backup was revoked again.',
      ),
    firstGateway: (names) => firstGateway(sessions, keys.linkCa, names),
    stop,
  }
}

async function webTls(
  config: BrokerConfig,
  origin: PublicOrigin,
  clock: Clock,
  onRenewal: OnRenewal,
): Promise<ServerTls | null> {
  if (!origin.secure) return null
  return config.certificate
    ? await suppliedTls({ ...config.certificate, origin, clock, onRenewal })
    : await siteCaTls({ folder: path.join(config.dataDir, 'tls'), origin, clock, onRenewal })
}

/** What an address shows as its host key or certificate, seen from the gateway. */
async function probe(
  link: GatewayLink,
  gatewayId: string,
  protocol: Protocol,
  address: { host: string; port: number },
): Promise<Probed> {
  const answer = await link.control(gatewayId)?.ask({ type: 'probe', protocol, address }, PROBE_MS)
  if (!answer)
    throw new Failure(
      503,
      'gateway-offline',
      'The gateway of this asset is not online.',
      'Start the gateway, or choose another one for the asset.',
    )
  const { identity, vnc = null, rdp = null } = answer
  // SSH and RDP servers always have an identity, a VNC server always some protection or none: less is no answer.
  const whole =
    protocol === 'vnc' ? vnc !== null : identity !== null && (protocol === 'rdp') === (rdp !== null)
  if (!answer.ok || !whole)
    throw new Failure(
      502,
      'probe-failed',
      `The gateway could not fetch what the asset shows of itself (${answer.code ?? 'no code'}).`,
      'Check address, port and the way from the gateway to the asset.',
    )
  return { identity, vnc, rdp }
}

function spoolBelow(link: GatewayLink, gatewayId: string): boolean {
  const health = link.health(gatewayId)?.health
  return health !== null && health !== undefined && health.freeBytes < health.reserveBytes
}

async function watchSpace(look: () => Promise<{ freeBytes: number; reserveBytes: number }>, clock: Clock) {
  let last: { freeBytes: number; reserveBytes: number } | null = await look().catch(() => null)
  let stopped = false
  const arm = () => {
    if (stopped) return
    clock.after(SPACE_EVERY_MS, () => {
      look()
        .then(
          (found) => {
            last = found
          },
          () => {
            // Not known is not enough.
            last = null
          },
        )
        .finally(arm)
    })
  }
  arm()
  return {
    last: () => last,
    below: () => last === null || last.freeBytes < last.reserveBytes,
    stop: () => {
      stopped = true
    },
  }
}

/** Again and again until it runs: everything else goes on meanwhile, as with any database that is down. */
function restart(store: Store, failed: (error: unknown) => void): void {
  setTimeout(() => {
    store.embedded?.start().catch((error) => {
      failed(error)
      restart(store, failed)
    })
  }, 1_000).unref()
}
