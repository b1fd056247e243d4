import { openAlarm } from '../audit/alarms.ts'
import { BROKER } from '../audit/event.ts'
import type { AuditLog } from '../audit/log.ts'
import type { ControlDown, GatewayEvent } from '../contract/link.ts'
import { sha256 } from '../domain/canonical.ts'
import type { Clock } from '../domain/clock.ts'
import type { JsonWebKeyPublic } from '../domain/grant.ts'
import type { EvidenceSink } from '../domain/ports.ts'
import { type Rate, RateLimiter } from '../http/rate-limit.ts'
import { type Database, type Tx, unavailable } from '../store/sql.ts'
import { checkAnchor, keepProofs } from './anchors.ts'
import type { ControlConnection, ControlHandlers, CredentialAsk, Health, Hello } from './control.ts'
import { EventInbox, type Reported } from './event-inbox.ts'
import { EvidenceUpload } from './evidence-upload.ts'
import { GatewayDirectory } from './gateway-directory.ts'
import type { GatewayRow } from './gateway-rows.ts'
import type { LinkCa } from './link-authority.ts'
import type { LinkClocks } from './link-clocks.ts'
import { type LinkServer, startLinkServer } from './link-server.ts'
import { SpliceDesk } from './splice-desk.ts'

export type CredentialAnswer = { jwe: string } | { refused: string }

/** What the sessions room does with what gateways say. */
export interface LinkHooks {
  hello(gateway: GatewayRow, hello: Hello): void
  lost(gateway: GatewayRow): void
  /** At once, from memory: a stop must not wait for the database. */
  seen(gateway: GatewayRow, event: GatewayEvent): void
  /** Later, in the transaction that makes it permanent. */
  commit(tx: Tx, gateway: GatewayRow, event: GatewayEvent): Promise<void>
  credential(gateway: GatewayRow, ask: CredentialAsk): Promise<CredentialAnswer>
  ownsRecording(gateway: string, recording: string): Promise<boolean>
  manifestArrived(gateway: string, recording: string, jws: string): Promise<void>
}

export interface LinkDeps {
  db: Database
  audit: AuditLog
  clock: Clock
  clocks: LinkClocks
  ca: LinkCa
  deployment: string
  brokerKeys: () => JsonWebKeyPublic[]
  evidence: EvidenceSink
  /** How many events one gateway may report; EVENT_RATE without it. */
  eventRate?: Rate
  failed(error: unknown): void
}

export interface GatewayHealth {
  version: string
  boot: string
  connectedAt: number
  lastSeenAt: number
  health: Health | null
}

interface Connected {
  gateway: GatewayRow
  certificate: string
  control: ControlConnection
  inbox: EventInbox
  state: GatewayHealth
}

/** How often what a gateway tells about itself is written to its row. */
const PERSIST_EVERY_MS = 15_000
/** Connections, health reports and credentials of one gateway: a hundred sessions beginning at once stay below. */
const ASK_RATE: Rate = { burst: 300, perSecond: 5 }
/** A hundred sessions beginning at once, or a night without a broker, stay below. */
const EVENT_RATE: Rate = { burst: 5_000, perSecond: 50 }

/** The broker's end of all gateways. */
export class GatewayLink {
  readonly directory: GatewayDirectory
  readonly splices = new SpliceDesk()
  readonly #deps: LinkDeps
  readonly #connected = new Map<string, Connected>()
  /** By gateway, not by connection: connecting again gives no new quota. */
  readonly #events: RateLimiter
  readonly #asks: RateLimiter
  readonly #floods: RateLimiter
  readonly #persisted = new Map<string, number>()
  #server: LinkServer | null = null
  #unfollow: (() => Promise<void>) | null = null

  constructor(deps: LinkDeps) {
    this.#deps = deps
    this.#events = new RateLimiter(deps.eventRate ?? EVENT_RATE, deps.clock)
    this.#asks = new RateLimiter(ASK_RATE, deps.clock)
    this.#floods = new RateLimiter({ burst: 1, perSecond: 1 / 60 }, deps.clock)
    this.directory = new GatewayDirectory(deps.db, deps.audit)
    this.directory.onChanged((id) => {
      const connected = this.#connected.get(id)
      if (connected && !this.directory.accepts(id, connected.certificate))
        connected.control.close('not-accepted')
    })
  }

  async start(
    hooks: LinkHooks,
    bind: { host: string; port: number },
  ): Promise<{ host: string; port: number }> {
    this.#unfollow = await this.directory.follow()
    this.#server = await startLinkServer(
      {
        ...this.#deps,
        directory: this.directory,
        splices: this.splices,
        evidence: new EvidenceUpload({
          clock: this.#deps.clock,
          sink: this.#deps.evidence,
          owns: (gateway, recording) => hooks.ownsRecording(gateway, recording),
          finished: (gateway, recording, jws) => hooks.manifestArrived(gateway, recording, jws),
        }),
        accept: (gateway, certificate, connect) => this.#accept(gateway, certificate, connect, hooks),
      },
      bind,
    )
    return { host: this.#server.address.address, port: this.#server.address.port }
  }

  async close(): Promise<void> {
    await this.#server?.close()
    for (const { inbox } of this.#connected.values()) inbox.close()
    await this.#unfollow?.().catch(() => undefined)
  }

  online(gateway: string): boolean {
    return this.#connected.get(gateway)?.control.open === true
  }

  control(gateway: string): ControlConnection | null {
    const connected = this.#connected.get(gateway)
    return connected?.control.open ? connected.control : null
  }

  health(gateway: string): GatewayHealth | null {
    return this.#connected.get(gateway)?.state ?? null
  }

  #accept(
    gateway: GatewayRow,
    certificate: string,
    connect: (handlers: ControlHandlers) => ControlConnection,
    hooks: LinkHooks,
  ): void {
    const { clock, clocks } = this.#deps
    let boot: string | null = null
    const handlers: ControlHandlers = {
      stillAccepted: () => this.directory.accepts(gateway.id, certificate),
      hello: (hello) => {
        if (this.#tooMany(gateway)) return control.close('too-many')
        boot = hello.boot
        // The newest connection counts: a gateway that comes back must not wait for its dead one to be noticed.
        const former = this.#connected.get(gateway.id)
        this.#connected.set(gateway.id, connected)
        if (former && former !== connected) former.control.close('replaced')
        connected.state = {
          version: hello.version,
          boot: hello.boot,
          connectedAt: clock.wall(),
          lastSeenAt: clock.wall(),
          health: null,
        }
        this.#compareClock(gateway, hello.wall)
        control.send({
          type: 'welcome',
          gateway: gateway.id,
          wall: clock.wall(),
          brokerKeys: this.#deps.brokerKeys().map((key) => ({ ...key })),
        })
        hooks.hello(gateway, hello)
        this.#record(gateway, 'gateway.connected', {
          version: hello.version,
          sessions: hello.sessions.length,
        })
      },
      event: (seq, event, earlier) => {
        connected.state.lastSeenAt = clock.wall()
        hooks.seen(gateway, event)
        connected.inbox.put({ boot: earlier ?? boot ?? '', seq, event })
      },
      credential: (ask) => {
        if (!this.#tooMany(gateway)) void this.#credential(control, gateway, ask, hooks)
        else control.send({ type: 'credential', id: ask.id, ok: false, code: 'too-many', jwe: null })
      },
      health: (health) => {
        if (this.#tooMany(gateway)) return
        connected.state.lastSeenAt = clock.wall()
        connected.state.health = health
        this.#compareClock(gateway, health.wall)
        void this.#persist(gateway.id, connected.state)
      },
      closed: (why) => {
        connected.inbox.close()
        if (this.#connected.get(gateway.id) !== connected) return
        this.#connected.delete(gateway.id)
        clocks.gone(gateway.id)
        void this.#persist(gateway.id, connected.state, true)
        hooks.lost(gateway)
        this.#record(gateway, 'gateway.disconnected', { why })
      },
    }
    const control = connect(handlers)
    const connected: Connected = {
      gateway,
      certificate,
      control,
      inbox: new EventInbox({
        clock,
        wait: () => this.#quota(gateway),
        commit: (reported) => this.#commit(gateway, reported, hooks),
        setAside: (reported, error) => this.#setAside(gateway, reported, error),
        acknowledge: (seq) => void control.send({ type: 'event-ack', seq }),
        wantsAll: () => control.close('send-again'),
        failed: this.#deps.failed,
      }),
      state: { version: '', boot: '', connectedAt: clock.wall(), lastSeenAt: clock.wall(), health: null },
    }
  }

  /** Seconds that this gateway's next event waits. */
  #quota(gateway: GatewayRow): number {
    const seconds = this.#events.take(gateway.id)
    if (seconds > 0) this.#flood(gateway)
    return seconds
  }

  /** Whether what it asks or tells beside its events is over its quota: all of it leaves entries or rows too. */
  #tooMany(gateway: GatewayRow): boolean {
    const over = this.#asks.take(gateway.id) > 0
    if (over) this.#flood(gateway)
    return over
  }

  /** Over a quota there is an alarm and one entry, until it is closed. */
  #flood(gateway: GatewayRow): void {
    // A flood of events must not become one of alarms.
    if (this.#floods.take(gateway.id) > 0) return
    const { db, audit } = this.#deps
    db.tx(async (tx) => {
      const alarm = await openAlarm(
        tx,
        'gateway-events',
        `gateway ${gateway.id}`,
        `${gateway.name} reports or asks for more than any work makes. It is served slowly.`,
      )
      if (alarm === null) return
      await audit.record(tx, {
        action: 'gateway.too-many-events',
        actor: BROKER,
        object: { kind: 'gateway', id: gateway.id },
        result: 'failed',
        details: { alarm },
      })
    }).catch((error) => {
      if (!unavailable(error)) this.#deps.failed(error)
    })
  }

  async #commit(gateway: GatewayRow, reported: Reported, hooks: LinkHooks): Promise<void> {
    const { event } = reported
    const { db, audit, clock } = this.#deps
    await db.tx(async (tx) => {
      const now = new Date(clock.wall())
      if (!(await isFresh(tx, gateway, reported, now))) return
      if (event.kind !== 'anchor') return await hooks.commit(tx, gateway, event)
      const anchor = checkAnchor(event)
      const { id } = await audit.record(tx, {
        action: anchor ? 'recording.anchor' : 'recording.anchor-refused',
        actor: gatewayActor(gateway),
        object: { kind: 'gateway', id: gateway.id },
        result: anchor ? 'ok' : 'failed',
        reason: anchor ? null : 'The root is not the one over the heads.',
        details: { root: event.root.slice(0, 64), size: event.size, at: Math.trunc(event.at) },
      })
      if (anchor) await keepProofs(tx, anchor, id, now)
    })
  }

  /** An event that no row and no entry takes: its trace, and somebody to look at it. */
  async #setAside(gateway: GatewayRow, reported: Reported, error: unknown): Promise<void> {
    const { seq, event } = reported
    const { db, audit, clock } = this.#deps
    const { code } = (error ?? {}) as { code?: unknown }
    await db.tx(async (tx) => {
      if (!(await isFresh(tx, gateway, reported, new Date(clock.wall())))) return
      await audit.record(tx, {
        action: 'gateway.event-unreadable',
        actor: gatewayActor(gateway),
        object: { kind: 'gateway', id: gateway.id },
        result: 'failed',
        reason: typeof code === 'string' ? code : 'not-storable',
        ...('session' in event && event.session !== null ? { correlation: { session: event.session } } : {}),
        details: { seq, kind: event.kind, hash: sha256(JSON.stringify(event)).toString('hex') },
      })
      await openAlarm(
        tx,
        'gateway-event-unreadable',
        `gateway ${gateway.id}`,
        `${gateway.name} reported something that could not be stored. The audit log has its hash.`,
      )
    })
  }

  async #credential(
    control: ControlConnection,
    gateway: GatewayRow,
    ask: CredentialAsk,
    hooks: LinkHooks,
  ): Promise<void> {
    let answer: CredentialAnswer
    try {
      answer = await hooks.credential(gateway, ask)
    } catch (error) {
      if (!unavailable(error)) this.#deps.failed(error)
      answer = { refused: unavailable(error) ? 'database-unavailable' : 'not-vouched-for' }
    }
    const message: ControlDown =
      'jwe' in answer
        ? { type: 'credential', id: ask.id, ok: true, code: null, jwe: answer.jwe }
        : { type: 'credential', id: ask.id, ok: false, code: answer.refused, jwe: null }
    control.send(message)
  }

  #compareClock(gateway: GatewayRow, wall: number): void {
    const { clock, clocks } = this.#deps
    clocks.compared(gateway.id, Math.round(wall - clock.wall())).catch((error) => {
      if (!unavailable(error)) this.#deps.failed(error)
    })
  }

  /** What a gateway tells about itself, for the pages; losing a write is no harm. */
  async #persist(id: string, state: GatewayHealth, now = false): Promise<void> {
    const at = this.#deps.clock.monotonic()
    if (!now && at - (this.#persisted.get(id) ?? Number.NEGATIVE_INFINITY) < PERSIST_EVERY_MS) return
    this.#persisted.set(id, at)
    const { health } = state
    await this.#deps.db.sql`
      UPDATE gateway SET version = ${state.version}, last_seen_at = ${new Date(state.lastSeenAt)},
        clock_offset_ms = ${this.#deps.clocks.gatewayOffset(id)},
        free_bytes = ${health ? Math.trunc(health.freeBytes) : null},
        reserve_bytes = ${health ? Math.trunc(health.reserveBytes) : null},
        spooled_recordings = ${health?.spooledRecordings ?? null}
      WHERE id = ${id}`.catch(() => undefined)
  }

  /** Also while the database is down: when a gateway came and went is asked about just then. */
  #record(gateway: GatewayRow, action: string, details: Record<string, string | number>): void {
    this.#deps.audit
      .recordAlways({
        action,
        actor: gatewayActor(gateway),
        object: { kind: 'gateway', id: gateway.id },
        details,
      })
      .catch((error) => {
        if (!unavailable(error)) this.#deps.failed(error)
      })
  }
}

/**
 * False for an event that was sent again because our acknowledgement was lost, be it by a gateway that has restarted
 * since: it stands in the log already.
 */
async function isFresh(tx: Tx, gateway: GatewayRow, { boot, seq }: Reported, now: Date): Promise<boolean> {
  const fresh = await tx`
    INSERT INTO gateway_event_mark (gateway_id, boot, seq, at) VALUES (${gateway.id}, ${boot}, ${seq}, ${now})
    ON CONFLICT (gateway_id, boot) DO UPDATE SET seq = excluded.seq, at = excluded.at
    WHERE gateway_event_mark.seq < excluded.seq
    RETURNING seq`
  return fresh.length > 0
}

export function gatewayActor(gateway: GatewayRow) {
  return { kind: 'gateway' as const, id: gateway.id, name: gateway.name, organisation: null }
}
