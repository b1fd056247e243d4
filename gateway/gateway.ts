import { createPrivateKey } from 'node:crypto'
import { join } from 'node:path'
import { type ControlDown, type GatewayEvent, LINK_VERSION } from '../broker/contract/link.ts'
import { type Clock, systemClock } from '../broker/domain/clock.ts'
import { newId } from '../broker/domain/ids.ts'
import type { GatewayProblem, SessionEnd } from '../broker/domain/words.ts'
import type { AnchorHead } from '../recordings/format/anchor.ts'
import { jwsHash } from '../recordings/format/jws.ts'
import { startScreenModel } from '../recordings/screen-model/start.ts'
import { claimSpool } from '../recordings/spool/claim.ts'
import { recoverSpool } from '../recordings/spool/recover.ts'
import { type SpoolSpace, spoolSpace } from '../recordings/spool/space.ts'
import { type Authority, checkGrant, checkLease } from './edge/tokens.ts'
import { HEARTBEAT } from './edge/web-socket-browser.ts'
import { anchorEvents } from './evidence/anchors.ts'
import { Shipper } from './evidence/shipper.ts'
import { Uploader } from './evidence/upload.ts'
import {
  type BrokerKeys,
  brokerKeyMap,
  type GatewayIdentity,
  loadIdentity,
  storeBrokerKeys,
} from './identity/identity.ts'
import { privateFolder } from './identity/private-files.ts'
import { ClockGuard } from './link/clock-guard.ts'
import { ControlLink } from './link/control-link.ts'
import { CredentialDesk } from './link/credential-desk.ts'
import { EventSender } from './link/event-sender.ts'
import { Journal } from './link/journal.ts'
import { processMs } from './pool/messages.ts'
import { defaultWorkers, type LostSession, Pool } from './pool/pool.ts'
import { probeTarget } from './probe.ts'
import { typingBoardMemory } from './session/fair-share.ts'
import { sentenceFor } from './session/sentences.ts'
import { nativeCipherLoaded } from './ssh/native-cipher.ts'
import { VERSION } from './version.ts'

/** A logger as pino's: fields, then the message. Never given a secret. */
export interface Log {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface GatewayConfig {
  /** Identity, journal, spool and receipts; mode 0700. */
  dataDir: string
  /** Instead of the brokers named at enrolment (https URLs of their link ports). */
  brokers?: readonly string[]
  workers?: number
  /** Below this much free space no new session opens. 2 GiB by default. */
  reserveBytes?: number
  /** Heartbeat of the browsers' sockets. */
  heartbeat?: { everyMs: number; silentMs: number }
  anchorEveryMs?: number
  healthEveryMs?: number
  clock?: Clock
  log?: Log
  /** Compiled entries of a bundle, where the threads' modules aren't beside this one. */
  entries?: { worker?: URL | string; screenModel?: URL | string }
}

export interface RunningGateway {
  readonly id: string
  readonly site: { id: string; name: string }
  /** Brokers that are linked now. */
  links(): string[]
  sessions(): { session: string; state: string; grant: string }[]
  /** Recordings that wait for their receipt. */
  waitingRecordings(): number
  /** Settles when the gateway can't go on (its screen model died) and should be started again. */
  readonly failed: Promise<string>
  /** Ends all sessions as gateway-stopped with their manifests, says so to a broker if one listens, and closes. */
  stop(): Promise<void>
}

const SILENT: Log = { info() {}, warn() {}, error() {} }
const RESERVE_BYTES = 2 * 1024 ** 3
const ANCHOR_MS = 30_000
const HEALTH_MS = 10_000
/** How long a stopping gateway waits for its last events and recordings to be taken. */
const FAREWELL_MS = 3000

/** Starts the gateway of an enrolled data folder: recovers recordings first, then links to every broker. */
export async function startGateway(config: GatewayConfig): Promise<RunningGateway> {
  const identity = await loadIdentity(config.dataDir)
  const gateway = new Gateway(config, identity)
  await gateway.start()
  return gateway
}

class Gateway implements RunningGateway {
  readonly id: string
  readonly site: { id: string; name: string }
  readonly failed: Promise<string>
  readonly #config: GatewayConfig
  readonly #identity: GatewayIdentity
  readonly #clock: Clock
  readonly #log: Log
  readonly #boot = newId()
  readonly #spool: string
  readonly #links: ControlLink[]
  readonly #credentials = new CredentialDesk()
  readonly #sender: EventSender
  readonly #shipper: Shipper
  readonly #uploader: Uploader
  /** Which broker opened a session: it is asked for the credential first. */
  readonly #openedBy = new Map<string, ControlLink>()
  readonly #timers: NodeJS.Timeout[] = []
  readonly #fail: (why: string) => void
  #brokerKeys: BrokerKeys
  #journal!: Journal
  #clockGuard!: ClockGuard
  #pool!: Pool
  #release: () => void = () => {}
  #screenModel!: ReturnType<typeof startScreenModel>
  readonly #typing = typingBoardMemory()
  #space: SpoolSpace = { freeBytes: 0, reserveBytes: 0, aboveReserve: false }
  #recovering: Promise<void> = Promise.resolve()
  /** How sessions ended whose recordings are not finished yet. */
  readonly #ends = new Map<string, SessionEnd>()
  readonly #problems = new Set<string>()
  #modelLost = false
  #stopping = false

  constructor(config: GatewayConfig, identity: GatewayIdentity) {
    this.id = identity.gateway
    this.site = identity.site
    this.#config = config
    this.#identity = identity
    this.#clock = config.clock ?? systemClock
    this.#log = config.log ?? SILENT
    this.#brokerKeys = identity.brokerKeys
    this.#spool = join(config.dataDir, 'spool')
    const failed = Promise.withResolvers<string>()
    this.failed = failed.promise
    this.#fail = failed.resolve
    this.#sender = new EventSender(() => this.#journal, this.#boot)
    this.#uploader = new Uploader(identity, () =>
      this.#pool.sessions.some(({ state }) => state === 'live' || state === 'held'),
    )
    this.#shipper = new Shipper({
      spool: this.#spool,
      receipts: join(config.dataDir, 'receipts'),
      broker: () => this.#links.find((link) => link.up)?.broker ?? null,
      brokerKeys: () => this.#brokerKeys,
      uploader: this.#uploader,
      problem: (recording, what) => {
        this.#log.error({ recording, what }, 'the broker does not take this evidence')
        this.#problem('recording-not-delivered', recording, `recording ${recording}: ${what}`)
      },
    })
    this.#links = (config.brokers ?? identity.brokers).map(
      (broker) =>
        new ControlLink(broker, identity, {
          hello: () => ({
            type: 'hello',
            link: LINK_VERSION,
            version: VERSION,
            boot: this.#boot,
            wall: this.#clock.wall(),
            sessions: this.#pool.sessions,
          }),
          welcome: (link, message) => this.#welcomed(link, message),
          message: (link, message) => void this.#heard(link, message),
          lost: (link, why) => this.#lost(link, why),
        }),
    )
  }

  async start(): Promise<void> {
    if (nativeCipherLoaded())
      throw new Error(
        'native-ssh-cipher: ssh2 was installed with its native cipher, which ends this Node when an asset renews its keys. ' +
          'Delete node_modules/ssh2/lib/protocol/crypto/build, or run `node tests/setup.mjs`, and start again.',
      )
    const { dataDir } = this.#config
    await privateFolder(dataDir)
    await privateFolder(this.#spool)
    this.#release = claimSpool(dataDir)
    try {
      await this.#begin()
    } catch (error) {
      this.#release()
      throw error
    }
  }

  async #begin(): Promise<void> {
    const { dataDir, entries } = this.#config
    this.#clockGuard = await ClockGuard.open(dataDir, this.#clock)
    this.#journal = await Journal.open(
      join(dataDir, 'journal'),
      this.#identity.sign.reveal(),
      this.#boot,
      (entry) => this.#sender.add(entry),
    )
    const { damaged } = this.#journal
    if (damaged > 0) {
      this.#log.error({ lines: damaged }, 'journal lines do not verify and were left out')
      this.#problem('journal-damaged', '', `${damaged} ${damaged === 1 ? 'place' : 'places'}`)
    }
    for (const { event } of this.#journal.waiting())
      if (event.kind === 'session-closed') this.#ends.set(event.session, event.end)
    await this.#recover({ sessions: [], reported: [] })
    this.#ends.clear()
    await this.#look()
    this.#screenModel = startScreenModel(entries?.screenModel)
    void this.#screenModel.died.then((error) => {
      if (this.#stopping) return
      this.#modelLost = true
      this.#log.error({ error: error.message }, 'the screen model died')
      this.#fail('the screen model died')
    })
    this.#pool = await Pool.start(
      this.#config.workers ?? defaultWorkers(),
      {
        event: (event) => {
          if (event.kind === 'session-closed') this.#ends.set(event.session, event.end)
          this.#report(event)
        },
        credential: (ask) => this.#credential(ask),
        closed: (closed) => {
          this.#openedBy.delete(closed.session)
          if (closed.sealed === 'later')
            this.#log.error({ recording: closed.recording }, 'a recording is not sealed in time')
          else this.#sealed({ ...closed, sealed: closed.sealed })
        },
        sealed: (sealed) => this.#sealed(sealed),
        short: (why) => {
          const { running, configured } = this.#pool.workers
          this.#log.error({ running, configured, why }, 'a session worker does not start again')
          this.#problem('worker-lost', '', `${running} of ${configured} run: ${why}`)
          void this.#health().catch((error) => this.#wentWrong(error))
        },
        crashed: (sessions, why) => {
          this.#log.error({ sessions: sessions.map((one) => one.session), why }, 'a session worker died')
          void this.#recover({ sessions, reported: [] })
        },
      },
      async () => {
        const screenModel = this.#screenModel.connect()
        return {
          data: {
            gateway: this.id,
            deployment: this.#identity.deployment,
            site: this.site.id,
            bootId: this.#boot,
            spool: this.#spool,
            tls: { ...this.#identity.tls, key: this.#identity.tls.key.reveal() },
            sign: this.#identity.sign.reveal(),
            seal: this.#identity.seal.reveal(),
            brokerKeys: [...this.#brokerKeys],
            screenModel,
            heartbeat: this.#config.heartbeat ?? HEARTBEAT,
            typing: this.#typing,
          },
          transfer: [screenModel],
        }
      },
      entries?.worker,
    )
    await this.#shipper.start()
    for (const link of this.#links) link.start()
    this.#every(this.#config.anchorEveryMs ?? ANCHOR_MS, () => this.#anchor([]))
    this.#every(this.#config.healthEveryMs ?? HEALTH_MS, () => this.#health())
    this.#log.info({ gateway: this.id, brokers: this.#links.map((link) => link.broker) }, 'gateway started')
  }

  links(): string[] {
    return this.#links.filter((link) => link.up).map((link) => link.broker)
  }

  sessions() {
    return this.#pool.sessions
  }

  waitingRecordings(): number {
    return this.#shipper.waiting
  }

  async stop(): Promise<void> {
    if (this.#stopping) return
    this.#stopping = true
    for (const timer of this.#timers) clearInterval(timer)
    await this.#pool.stop()
    await this.#farewell()
    await this.#shipper.stop()
    for (const link of this.#links) link.stop()
    this.#uploader.close()
    await this.#journal.close()
    await this.#screenModel.stop()
    this.#release()
  }

  /** The last events and recordings, if a broker takes them now; otherwise the next start brings them. */
  async #farewell(): Promise<void> {
    const deadline = processMs() + FAREWELL_MS
    while (processMs() < deadline && this.links().length > 0) {
      if (this.#journal.waiting().length === 0 && this.#shipper.waiting === 0) return
      await new Promise((done) => setTimeout(done, 20))
    }
  }

  #every(ms: number, run: () => Promise<void>): void {
    const timer = setInterval(() => void run().catch((error) => this.#wentWrong(error)), ms)
    timer.unref()
    this.#timers.push(timer)
  }

  #wentWrong(error: unknown): void {
    this.#log.error({ error: error instanceof Error ? error.message : String(error) }, 'unexpected failure')
  }

  #sealed(one: { session: string; recording: string; sealed: 'yes' | 'no'; heads: AnchorHead[] }): void {
    void this.#anchor(one.heads)
    if (one.sealed === 'yes') {
      this.#ends.delete(one.session)
      this.#shipper.ship(one.recording)
    } else void this.#recover({ sessions: [], reported: [one.session] })
  }

  /** What a person must look at; of one thing (`of`) once in this run, however often it is met. */
  #problem(code: GatewayProblem, of: string, detail: string): void {
    const key = `${code} ${of}`
    if (of !== '' && this.#problems.has(key)) return
    this.#problems.add(key)
    this.#report({ kind: 'gateway-problem', code, detail, session: null, at: this.#clock.wall() })
  }

  #report(event: GatewayEvent): void {
    void this.#journal.append(event).then(
      () => {
        if (this.#journal.failed) this.#log.error({ kind: event.kind }, 'the journal cannot be written')
      },
      // Ours to mend: nothing that an asset or a browser says may end the gateway.
      (error: unknown) => this.#log.error({ kind: event.kind, err: error }, 'an event that no broker takes'),
    )
  }

  /** One recovery at a time: two would sign two manifests for one recording. */
  #recover(after: { sessions: LostSession[]; reported: readonly string[] }): Promise<void> {
    this.#recovering = this.#recovering
      .then(() => this.#recoverNow(after))
      .catch((error: unknown) => this.#wentWrong(error))
    return this.#recovering
  }

  /**
   * Finishes what a crash left, and reports its sessions closed: they never go on by themselves. `sessions` are known to
   * be lost, with a recording or without; for those in `reported` the session itself has said how it ended.
   */
  async #recoverNow({
    sessions,
    reported,
  }: {
    sessions: LostSession[]
    reported: readonly string[]
  }): Promise<void> {
    await this.#shipper.tidy()
    const { sign } = this.#identity
    const lost = new Map(sessions.map((one) => [one.session, one]))
    const recovery = await recoverSpool({
      spool: this.#spool,
      signing: {
        kid: sign.reveal().kid,
        key: createPrivateKey({ key: { ...sign.reveal() }, format: 'jwk' }),
      },
      clock: this.#clock,
      isLive: (recording) => this.#pool?.isLive(recording) ?? false,
      endOf: (session) => lost.get(session)?.stop?.end ?? this.#ends.get(session) ?? null,
    })
    for (const { recording, manifest, missing, problems, lastMs } of recovery.recovered) {
      const { session } = manifest
      this.#ends.delete(session)
      this.#log.warn({ recording, session, lastMs, problems }, 'recording recovered')
      if (!lost.has(session)) lost.set(session, { session, recording, stop: null })
      for (const { stream, reason } of missing)
        this.#report({ kind: 'recording-gap', session, stream, reason, at: this.#clock.wall() })
      this.#shipper.ship(recording)
    }
    for (const recording of recovery.empty) this.#log.warn({ recording }, 'nothing was recorded')
    for (const { recording, reason } of recovery.unreadable) {
      this.#log.error({ recording, reason }, 'not recovered')
      this.#problem('recording-unreadable', recording, `recording ${recording}: ${reason}`)
    }
    for (const session of reported) this.#ends.delete(session)
    for (const { session, stop } of lost.values()) {
      this.#openedBy.delete(session)
      if (reported.includes(session)) continue
      const end = stop?.end ?? 'gateway-stopped'
      this.#report({
        kind: 'session-closed',
        session,
        end,
        message: sentenceFor(end),
        by: stop?.by ?? null,
        closedAfterMs: stop?.tookMs ?? null,
        bytesOut: 0,
        bytesIn: 0,
        at: this.#clock.wall(),
      })
    }
  }

  // Links

  #welcomed(link: ControlLink, message: Extract<ControlDown, { type: 'welcome' }>): void {
    if (message.gateway !== this.id) {
      this.#log.error({ broker: link.broker }, 'the broker takes this gateway for another one')
      return
    }
    this.#clockGuard.brokerSays(message.wall)
    const keys = brokerKeyMap(message.brokerKeys)
    if (keys.size > 0 && !sameKeys(keys, this.#brokerKeys)) {
      this.#brokerKeys = keys
      this.#pool.brokerKeys([...keys])
      void storeBrokerKeys(this.#config.dataDir, message.brokerKeys).catch((error) => this.#wentWrong(error))
    }
    this.#log.info({ broker: link.broker }, 'linked')
    this.#sender.offer(link)
    this.#shipper.wake()
    void this.#health().catch((error) => this.#wentWrong(error))
  }

  #lost(link: ControlLink, why: string): void {
    if (!this.#stopping) this.#log.warn({ broker: link.broker, why }, 'no link')
    this.#credentials.lost(link)
    if (!this.#sender.lost(link)) return
    const other = this.#links.find((one) => one.up)
    if (other) this.#sender.offer(other)
  }

  async #heard(link: ControlLink, message: Exclude<ControlDown, { type: 'welcome' }>): Promise<void> {
    switch (message.type) {
      case 'open': {
        const code = await this.#open(link, message)
        link.send({ type: 'opened', id: message.id, ok: code === null, code })
        return
      }
      case 'dial': {
        const { session, splice } = message
        const answer = await this.#pool.tell({ type: 'dial', session, splice, broker: link.broker })
        link.send({ type: 'done', id: message.id, ...answer })
        return
      }
      case 'lease':
        await this.#lease(message)
        return
      case 'command': {
        const receivedAt = processMs()
        const { session, command, end, by, cause } = message
        const answer = await this.#pool.tell({
          type: 'command',
          session,
          command,
          end,
          by,
          cause,
          receivedAt,
        })
        link.send({ type: 'done', id: message.id, ...answer })
        return
      }
      case 'credential':
        this.#credentials.answered(link, message.id, message.ok ? message.jwe : null)
        return
      case 'event-ack':
        this.#sender.acknowledged(link, message.seq)
        return
      case 'probe': {
        const answer = await probeTarget(message.protocol, message.address)
        link.send({
          type: 'probed',
          id: message.id,
          ok: answer.ok,
          code: answer.ok ? null : answer.code,
          identity: answer.ok ? answer.identity : null,
          ...(answer.ok && answer.vnc ? { vnc: answer.vnc } : {}),
          ...(answer.ok && answer.rdp ? { rdp: answer.rdp } : {}),
        })
      }
    }
  }

  #authority(): Authority {
    return {
      brokerKeys: this.#brokerKeys,
      gateway: this.id,
      deployment: this.#identity.deployment,
      site: this.site.id,
      now: this.#clock.wall(),
    }
  }

  /** The code of a refusal, or null. */
  async #open(link: ControlLink, message: Extract<ControlDown, { type: 'open' }>): Promise<string | null> {
    const refuse = (code: string, session: string | null) => {
      this.#report({ kind: 'refused-by-gateway', session, code, at: this.#clock.wall() })
      return code
    }
    const grant = await checkGrant(message.grant, this.#authority())
    if (!grant.ok) return refuse(grant.code, null)
    const { session, jti, serial } = grant.value
    const lease = await checkLease(message.lease, this.#authority(), { session, grant: jti })
    if (!lease.ok) return refuse(lease.code, session)
    if (lease.value.serial !== serial) return refuse('bad-lease', session)
    await this.#look()
    const cannot =
      this.#clockGuard.refusal() ??
      (this.#modelLost ? 'gateway-degraded' : null) ??
      (this.#journal.full ? 'journal-full' : null) ??
      (this.#space.aboveReserve ? null : 'storage-below-reserve')
    if (cannot) return refuse(cannot, session)
    this.#openedBy.set(session, link)
    const answer = await this.#pool.open({
      type: 'open',
      grant: grant.value,
      grantHash: jwsHash(message.grant),
      lease: lease.value,
      clockOffsetMs: this.#clockGuard.offsetMs,
    })
    if (answer.ok) return null
    if (answer.code !== 'already-open') this.#openedBy.delete(session)
    return refuse(answer.code ?? 'not-opened', session)
  }

  async #lease(message: Extract<ControlDown, { type: 'lease' }>): Promise<void> {
    const refuse = (code: string) =>
      this.#report({ kind: 'refused-by-gateway', session: message.session, code, at: this.#clock.wall() })
    const grant = message.grant === null ? null : await checkGrant(message.grant, this.#authority())
    if (grant && !grant.ok) {
      refuse(grant.code)
      return
    }
    const inForce = grant?.value.jti ?? this.#pool.grantOf(message.session)
    // The session has just ended: nothing to say about it.
    if (inForce === null) return
    const lease = await checkLease(message.lease, this.#authority(), {
      session: message.session,
      grant: inForce,
    })
    if (!lease.ok) {
      refuse(lease.code)
      return
    }
    this.#pool.renew({
      type: 'lease',
      session: message.session,
      lease: lease.value,
      grant: grant?.value ?? null,
      grantHash: message.grant === null ? '' : jwsHash(message.grant),
    })
  }

  async #credential(ask: { session: string; grant: string }): Promise<string | null> {
    const opener = this.#openedBy.get(ask.session)
    const link = opener?.up ? opener : this.#links.find((one) => one.up)
    return link ? await this.#credentials.ask(link, ask) : null
  }

  // Rounds

  async #anchor(closing: AnchorHead[]): Promise<void> {
    const heads = this.#stopping ? closing : [...(await this.#pool.heads()), ...closing]
    for (const event of anchorEvents(heads, this.#clock.wall())) this.#report(event)
    if (!this.#stopping)
      for (const recording of new Set(heads.map((head) => head.recording)))
        if (this.#pool.isLive(recording)) await this.#shipper.shipFinished(recording)
  }

  async #look(): Promise<void> {
    const reserveBytes = this.#config.reserveBytes ?? RESERVE_BYTES
    const before = this.#space
    this.#space = await spoolSpace(this.#spool, reserveBytes)
    if (before.reserveBytes > 0 && before.aboveReserve === this.#space.aboveReserve) return
    if (before.reserveBytes === 0 && this.#space.aboveReserve) return
    const { freeBytes, aboveReserve } = this.#space
    this.#report({ kind: 'storage', freeBytes, reserveBytes, below: !aboveReserve, at: this.#clock.wall() })
  }

  async #health(): Promise<void> {
    await this.#clockGuard.tick()
    await this.#look()
    for (const link of this.#links)
      if (link.up)
        link.send({
          type: 'health',
          wall: this.#clock.wall(),
          sessions: this.#pool.sessions.length,
          freeBytes: this.#space.freeBytes,
          reserveBytes: this.#space.reserveBytes,
          spooledRecordings: this.#shipper.waiting,
          rssBytes: process.memoryUsage.rss(),
          workers: this.#pool.workers,
        })
  }
}

function sameKeys(a: BrokerKeys, b: BrokerKeys): boolean {
  return a.size === b.size && [...a].every(([kid, x]) => b.get(kid) === x)
}
