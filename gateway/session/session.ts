import type { GatewayEvent } from '../../broker/contract/link.ts'
import { CLOSE, type TerminalDown, type TerminalUp } from '../../broker/contract/terminal.ts'
import type { Clock, Timer } from '../../broker/domain/clock.ts'
import type { Grant, Lease, SessionTicket } from '../../broker/domain/grant.ts'
import {
  type EndingCause,
  endingPlan,
  holdOver,
  inputAllowed,
  type MachineEvent,
  type MachineState,
  transition,
  vendorMaySee,
  warningsLeft,
} from '../../broker/domain/session-machine.ts'
import type { SessionEnd, SessionState } from '../../broker/domain/words.ts'
import type { AnchorHead } from '../../recordings/format/anchor.ts'
import {
  type ClosedRecording,
  RecordingRefused,
  type SessionRecorder,
} from '../../recordings/recorder/api.ts'
import type { Keyframe } from '../../recordings/screen-model/port.ts'
import { endOf, type SshFailure } from '../ssh/failure.ts'
import type { Browser } from './browser.ts'
import { type Budget, budgetOf, left } from './budget.ts'
import { FairShare, type TypingBoard } from './fair-share.ts'
import { OutputJoin } from './output-join.ts'
import { ResizePace, type Size } from './resize-pace.ts'
import { sentenceFor } from './sentences.ts'
import type { SourceEvents, TerminalSource } from './source.ts'
import { Viewer } from './viewer.ts'

/** What the session needs of the world around it. */
export interface SessionPorts {
  clock: Clock
  /** Where all sessions of this gateway see each other type. */
  typing: TypingBoard
  /** Reaches the asset that the grant names; `signal` gives up at once. */
  open(
    size: { cols: number; rows: number },
    events: SourceEvents,
    signal: AbortSignal,
  ): Promise<
    | {
        ok: true
        opened: {
          source: TerminalSource
          identity: { algorithm: string; fingerprint: string }
          algorithms: Record<string, string>
        }
      }
    | { ok: false; failure: SshFailure }
  >
  /** Starts the recording. Called when the asset has proven what it is, before anything of it is read. */
  record(
    target: { algorithm: string; fingerprint: string },
    size: { cols: number; rows: number },
  ): Promise<SessionRecorder>
  report(event: GatewayEvent): void
  /** Sockets are closed and the recording is sealed; null when there is none, or it could not be sealed. */
  closed(recording: ClosedRecording | null): void
}

export interface Command {
  command: 'hold' | 'release' | 'stop' | 'end' | 'revoke' | 'leave'
  end: SessionEnd
  by: string
  cause: string
  /** When the gateway received it, on `clock.monotonic()`. */
  receivedAt: number
}

export interface CommandDone {
  ok: boolean
  code: string | null
  /** From the command's arrival to the effect; for a stop, to the asset's socket being closed. */
  tookMs: number | null
}

/** How long an opened session waits for its browser. */
export const BROWSER_WAIT_MS = 30_000
/** The idle warning comes this long before the end, or at half the limit where that is shorter. */
const IDLE_WARNING_MS = 60_000
const MOST_WATCHERS = 20
/** Each refused channel is an entry in the log: an asset that goes on trying is not let to fill it (threat 32). */
const MOST_REFUSED_CHANNELS = 20
/** Input that waits for the asset; a paste that is larger closes the browser's socket. */
const INPUT_BACKLOG_LIMIT = 16 * 1024 * 1024
/** Sealing a recording takes milliseconds; a disk that hangs does not keep the session from being reported closed. */
const SEAL_LIMIT_MS = 10_000
/** An asset that doesn't answer a polite end loses its socket after this. */
const PARTING_MS = 2500

const ENDING_CAUSES: readonly SessionEnd[] = [
  'window-closed',
  'ticket-closed',
  'approval-withdrawn',
  'lease-lost',
  'identity-revoked',
  'recording-failed',
  'idle',
  'operator-stopped',
  'site-locked',
  'gateway-stopped',
] satisfies EndingCause[]

/**
 * The one owner of a session. Everything that happens to it arrives here as a call on one thread, in order: bytes,
 * input, time, commands, browsers that come and go. The rules stand in the state machine; this acts on them.
 */
export class Session {
  readonly id: string
  readonly recording: string
  readonly #ports: SessionPorts
  readonly #clock: Clock
  readonly #abort = new AbortController()
  readonly #born: number
  readonly #output: OutputJoin
  readonly #share: FairShare
  readonly #resizes: ResizePace
  #grant: Grant
  #state: MachineState = { name: 'opening' }
  #permit: Budget
  #lease: Budget
  #permitOver = false
  #leaseOver = false
  #warnings: number[]
  #recorder: SessionRecorder | null = null
  #source: TerminalSource | null = null
  #owner: Viewer | null = null
  #hadOwner = false
  #started = false
  /** Viewers whose one `start` has come: each paints the whole screen, for a few bytes. */
  readonly #greeted = new WeakSet<Viewer>()
  readonly #watchers = new Map<Viewer, { person: string; name: string }>()
  #size = { cols: 80, rows: 24 }
  #lastInput: number
  #idleWarned = false
  #idleOver = false
  #paused = false
  #inputPaused = false
  #assetFull = false
  #recorderFull = false
  /** Owed too much, and not caught up since. */
  #ownerFull = false
  #recordingOver = false
  #sealed: Promise<ClosedRecording | null> | null = null
  #bytesOut = 0
  #bytesIn = 0
  #refusedChannels = 0
  #endedBy: string | null = null
  #message: string | null = null
  #assetClosedAfterMs: number | null = null
  #timer: Timer | null = null
  readonly #assetGone = Promise.withResolvers<void>()
  readonly #settled = Promise.withResolvers<void>()

  constructor(grant: Grant, lease: Lease, ports: SessionPorts) {
    this.id = grant.session
    this.recording = grant.recording
    this.#grant = grant
    this.#ports = ports
    this.#clock = ports.clock
    this.#born = this.#clock.monotonic()
    this.#lastInput = this.#born
    this.#permit = budgetOf(grant, this.#clock)
    this.#lease = budgetOf(lease, this.#clock)
    this.#warnings = warningsLeft(left(this.#permit, this.#clock))
    this.#output = new OutputJoin((bytes) => this.#show(bytes))
    this.#share = new FairShare(ports.typing, this.id, this.#clock, () => this.#pace())
    this.#resizes = new ResizePace(
      this.#clock,
      () => this.#source !== null && this.#mayAct(),
      (size) => this.#resize(size),
    )
    this.#arm()
  }

  get state(): SessionState {
    return this.#state.name
  }

  get grant(): Grant {
    return this.#grant
  }

  /** Resolves when the session is closed and its recording sealed. */
  get whenClosed(): Promise<void> {
    return this.#settled.promise
  }

  heads(): AnchorHead[] {
    return this.#recorder?.heads() ?? []
  }

  /** Whether this ticket's holder may come in now; the code of the refusal, or null. */
  refusal(ticket: SessionTicket): string | null {
    if (this.#ending()) return 'session-over'
    if (ticket.use === 'watch') {
      if (this.#state.name === 'opening') return 'not-open-yet'
      return this.#watchers.size < MOST_WATCHERS ? null : 'too-many-watchers'
    }
    if (ticket.person !== this.#grant.person.id) return 'wrong-person'
    if (ticket.use === 'open' && this.#hadOwner) return 'wrong-use'
    if (ticket.use === 'attach' && !this.#hadOwner) return 'wrong-use'
    if (this.#state.name !== 'opening' && !vendorMaySee(this.#state)) return 'access-withdrawn'
    return null
  }

  /** A browser whose ticket was redeemed and for whom `refusal` said null. */
  attach(browser: Browser, ticket: SessionTicket): void {
    const viewer = new Viewer(browser, () => this.#screen())
    if (this.#ending()) {
      viewer.close(CLOSE.ended, 'ended')
      return
    }
    viewer.tell({
      type: 'hello',
      session: this.id,
      use: ticket.use,
      asset: this.#grant.asset.name,
      account: this.#grant.account,
      features: this.#grant.features,
      viewOnly: this.#grant.viewOnly || ticket.use === 'watch',
    })
    if (ticket.use === 'watch') this.#watch(viewer, ticket)
    else this.#own(viewer)
  }

  #own(viewer: Viewer): void {
    const former = this.#owner
    this.#owner = viewer
    this.#hadOwner = true
    former?.close(CLOSE.replaced, 'replaced')
    viewer.browser.listen({
      message: (message) => this.#heard(viewer, message),
      bytes: (bytes) => {
        if (this.#owner === viewer) this.#input(bytes)
      },
      closed: () => this.#browserGone(viewer),
    })
    if (this.#inputPaused) viewer.browser.pause()
    viewer.tell(this.#stateMessage())
    this.#tellWatchers()
    this.#pace()
  }

  #watch(viewer: Viewer, ticket: SessionTicket): void {
    const who = { person: ticket.person, name: ticket.personName }
    this.#watchers.set(viewer, who)
    viewer.browser.listen({
      message: (message) => {
        if (message.type === 'ack') {
          viewer.acknowledge(message.bytes)
          this.#catchUpWatchers()
        } else if (message.type === 'ping') viewer.tell({ type: 'pong', id: message.id })
        // `start` says a size; a watcher's does not count. Anything else of a watcher is dropped.
        else if (message.type !== 'start') viewer.close(CLOSE.badMessage, 'watchers only watch')
      },
      bytes: () => viewer.close(CLOSE.badMessage, 'watchers only watch'),
      closed: () => {
        if (!this.#watchers.delete(viewer)) return
        viewer.drop()
        this.#tellWatchers()
        // In another window the same person still looks on: whoever counts people must not be told that they left.
        if ([...this.#watchers.values()].some(({ person }) => person === who.person)) return
        this.#report({ kind: 'watcher', session: this.id, ...who, joined: false, at: this.#clock.wall() })
        this.#mark(`watcher left: ${who.name}`)
      },
    })
    this.#report({ kind: 'watcher', session: this.id, ...who, joined: true, at: this.#clock.wall() })
    this.#mark(`watcher joined: ${who.name}`)
    viewer.tell(this.#stateMessage())
    this.#tellWatchers()
    void viewer.repaint(this.#bytesOut, () => this.#size)
  }

  #heard(viewer: Viewer, message: TerminalUp): void {
    if (this.#owner !== viewer) return
    switch (message.type) {
      case 'ack':
        viewer.acknowledge(message.bytes)
        this.#pace()
        return
      case 'ping':
        viewer.tell({ type: 'pong', id: message.id })
        return
      case 'resize':
        this.#resizes.want(message)
        return
      case 'start':
        this.#start(viewer, message)
        return
      case 'leave':
        this.#endedBy = this.#grant.person.name
        this.#apply({ type: 'finish', end: 'vendor-left' })
    }
  }

  #start(viewer: Viewer, size: { cols: number; rows: number }): void {
    if (this.#greeted.has(viewer)) return
    this.#greeted.add(viewer)
    if (!this.#started) {
      this.#started = true
      this.#size = bounded(size)
      void this.#open()
      return
    }
    if (!this.#source) return
    // The person is back, perhaps on another screen.
    this.#apply({ type: 'browser-back' })
    this.#resizes.want(size)
    void viewer.repaint(this.#bytesOut, () => this.#size).then(() => this.#pace())
    this.#pace()
  }

  async #open(): Promise<void> {
    const events: SourceEvents = {
      output: (bytes) => this.#output.add(bytes),
      drain: () => {
        this.#assetFull = false
        this.#inputFlows()
      },
      channelRefused: (channel) => {
        if (this.#ending()) return
        this.#refusedChannels += 1
        if (this.#refusedChannels > MOST_REFUSED_CHANNELS) {
          this.#finish('protocol-violation', 'The asset kept trying to open channels of its own.', null)
          return
        }
        this.#mark(`refused: the asset tried to open ${channel}`)
        this.#report({ kind: 'channel-refused', session: this.id, channel, at: this.#clock.wall() })
      },
      closed: (code, seen) => {
        this.#output.flush()
        if (seen && !this.#ending()) this.#identityChanged(seen.fingerprint)
        this.#finish(endOf(code, true), null, null)
        this.#assetGone.resolve()
      },
    }
    const answer = await this.#ports.open(this.#size, events, this.#abort.signal)
    if (this.#ending()) {
      if (answer.ok) answer.opened.source.destroy()
      return
    }
    if (!answer.ok) {
      const { code, message, seen } = answer.failure
      if (seen) this.#identityChanged(seen.fingerprint)
      this.#finish(endOf(code, false), message, null)
      return
    }
    const { source, identity, algorithms } = answer.opened
    this.#source = source
    if (!(await this.#startRecording(identity))) return
    this.#lastInput = this.#clock.monotonic()
    this.#report({ kind: 'session-live', session: this.id, identity, algorithms, at: this.#clock.wall() })
    this.#apply({ type: 'opened' })
    // A source starts paused.
    this.#paused = true
    this.#pace()
  }

  #identityChanged(seen: string): void {
    const expected = this.#grant.identities.map((identity) => identity.fingerprint)
    this.#report({ kind: 'identity-changed', session: this.id, expected, seen, at: this.#clock.wall() })
  }

  /** False when the session is over, be it for want of a recording. */
  async #startRecording(identity: { algorithm: string; fingerprint: string }): Promise<boolean> {
    try {
      const recorder = await this.#ports.record(identity, this.#size)
      if (this.#ending()) {
        this.#sealed = recorder.close({ reason: this.#endReason() }).catch(() => null)
        return false
      }
      this.#recorder = recorder
    } catch (error) {
      const why = error instanceof Error ? error.message : 'unknown'
      this.#report({
        kind: 'recording-gap',
        session: this.id,
        stream: 'screen',
        reason: `recording did not start: ${why}`.slice(0, 200),
        at: this.#clock.wall(),
      })
      this.#finish(
        'recording-failed',
        'The recording could not be started, so the session was not opened.',
        null,
      )
      return false
    }
    this.#recorder.onDrain(() => {
      this.#recorderFull = false
      this.#pace()
    })
    void this.#recorder.failed.then((failure) => this.#recordingFailed(failure.code))
    return true
  }

  // Bytes

  #show(bytes: Buffer): void {
    if (this.#state.name === 'closing' || this.#state.name === 'closed') return
    const position = this.#bytesOut
    this.#bytesOut += bytes.length
    this.#share.took(bytes.length)
    // Accepted first, shown after it. A failed recorder has told the session already, which follows the asset's rule.
    if (!this.#record('output', bytes)) this.#recorderFull = true
    if (this.#ending()) return
    this.#owner?.show(bytes, position)
    for (const watcher of this.#watchers.keys()) watcher.showIfInStep(bytes, position)
    if (this.#recorderFull || this.#share.waits || this.#owner?.owesTooMuch) this.#pace()
  }

  /** Whether what the vendor does reaches the asset. */
  #mayAct(): boolean {
    return !this.#grant.viewOnly && inputAllowed(this.#state)
  }

  #input(bytes: Buffer): void {
    if (!this.#source || !this.#mayAct()) return
    this.#lastInput = this.#clock.monotonic()
    this.#idleWarned = false
    this.#share.typed()
    const kept = this.#record('input', bytes)
    if (!inputAllowed(this.#state)) return
    this.#bytesIn += bytes.length
    const taken = this.#source.write(bytes)
    if (kept && taken) return
    this.#recorderFull ||= !kept
    this.#assetFull ||= !taken
    this.#holdInput()
  }

  /**
   * Reads no more from the browser, unless it owes acknowledgements: those come the same way, and an asset that waits
   * for its output to be taken before it reads on would wait for ever. What is read meanwhile is bounded.
   */
  #holdInput(): void {
    const owner = this.#owner
    if (!owner) return
    if (!owner.owesTooMuch) {
      this.#inputPaused = true
      owner.browser.pause()
    } else if ((this.#source?.backlog ?? 0) > INPUT_BACKLOG_LIMIT)
      owner.browser.close(CLOSE.badMessage, 'more input than the asset takes')
  }

  /**
   * False: pause the asset until `onDrain`. A refusal means that the recording has failed: the asset's rule is applied
   * before the bytes go anywhere, and only a class that is held for an operator lets its screen go on.
   */
  #record(what: 'output' | 'input', bytes: Buffer): boolean {
    try {
      return this.#recorder?.[what](bytes) ?? true
    } catch (error) {
      this.#recordingFailed(error instanceof RecordingRefused ? error.code : 'internal')
      return true
    }
  }

  #mark(text: string): void {
    try {
      this.#recorder?.marker(text)
    } catch {
      // A recorder that has failed says so through `failed`.
    }
  }

  async #screen(): Promise<Keyframe> {
    if (!this.#recorder) throw new Error('there is no screen yet')
    return await this.#recorder.screen()
  }

  #inputFlows(): void {
    if (!this.#inputPaused || this.#recorderFull || this.#assetFull) return
    this.#inputPaused = false
    this.#owner?.browser.resume()
  }

  /** Reads from the asset only while everybody who must have its bytes can take them. */
  #pace(): void {
    const owner = this.#owner
    if (owner?.owesTooMuch) this.#ownerFull = true
    else if (owner?.caughtUpEnough !== false) this.#ownerFull = false
    const wait = this.#recorderFull || this.#share.waits || owner?.catchingUp === true || this.#ownerFull
    if (wait !== this.#paused) {
      this.#paused = wait
      if (wait) this.#source?.pause()
      else this.#source?.resume()
    }
    if (this.#inputPaused && owner?.owesTooMuch) {
      this.#inputPaused = false
      owner.browser.resume()
    }
    this.#inputFlows()
  }

  #resize(wanted: Size): void {
    const size = bounded(wanted)
    if (size.cols === this.#size.cols && size.rows === this.#size.rows) return
    this.#output.flush()
    this.#size = size
    this.#recorder?.resize(size.cols, size.rows)
    this.#source?.resize(size.cols, size.rows)
    for (const watcher of this.#watchers.keys()) watcher.tell({ type: 'resize', ...this.#size })
  }

  #catchUpWatchers(): void {
    for (const watcher of this.#watchers.keys())
      if (watcher.wantsScreen) void watcher.repaint(this.#bytesOut, () => this.#size)
  }

  // Permission

  /**
   * A renewed lease, and with an extension the new grant (both were verified) with its JWS hash, which the manifest
   * names.
   */
  renew(lease: Lease, grant: Grant | null, grantHash = ''): string | null {
    if (this.#ending()) return 'session-over'
    if (grant) {
      if (grant.session !== this.id || grant.recording !== this.recording) return 'not-for-this-session'
      if (grant.serial <= this.#grant.serial) return 'old-serial'
      if (!sameGround(grant, this.#grant)) return 'bad-grant'
    }
    const inForce = grant ?? this.#grant
    if (lease.grant !== inForce.jti || lease.serial !== inForce.serial) return 'not-for-this-session'
    this.#lease = budgetOf(lease, this.#clock)
    this.#leaseOver = false
    if (grant) {
      this.#grant = grant
      void this.#recorder?.addGrant(grant, grantHash).catch(() => this.#recordingFailed('write-failed'))
      this.#permit = budgetOf(grant, this.#clock)
      this.#permitOver = false
      this.#idleOver = false
      this.#lastInput = this.#clock.monotonic()
      this.#warnings = warningsLeft(left(this.#permit, this.#clock))
      this.#mark('extended')
    }
    // A lease says that a fresh decision permits; it does not undo a time limit that only a new grant moves.
    if (!this.#permitOver && !this.#idleOver && left(this.#permit, this.#clock) > 0)
      this.#apply({ type: 'permitted' })
    this.#tellState()
    this.#tick()
    return null
  }

  /** An operator's or the broker's word. Answers when it has taken effect. */
  command(order: Command): CommandDone {
    const since = order.receivedAt
    const done = (): CommandDone => ({
      ok: true,
      code: null,
      tookMs: Math.max(0, Math.round((this.#clock.monotonic() - since) * 1000) / 1000),
    })
    if (this.#ending()) {
      // A stop while it is ending politely: the socket goes now.
      if (order.command === 'stop') this.#dropAsset(since)
      return order.command === 'stop' || order.command === 'end' || order.command === 'revoke'
        ? done()
        : { ok: false, code: 'session-over', tookMs: null }
    }
    switch (order.command) {
      case 'hold':
        if (this.#state.name === 'opening') return { ok: false, code: 'not-open-yet', tookMs: null }
        this.#mark(`held by ${order.by}: ${order.cause}`)
        this.#apply({
          type: 'operator-holds',
          by: order.by,
          reason: order.cause,
          at: this.#clock.monotonic(),
        })
        return done()
      case 'release':
        if (this.#state.name === 'opening') return { ok: false, code: 'not-open-yet', tookMs: null }
        this.#mark(`released by ${order.by}`)
        this.#lastInput = this.#clock.monotonic()
        this.#apply({ type: 'operator-resumes' })
        return done()
      case 'leave':
        this.#finish('vendor-left', null, order.by)
        return done()
      case 'stop':
        this.#endedBy = order.by
        this.#message = sentenceFor(order.end) + (order.cause ? ` Reason: ${order.cause}` : '')
        this.#dropAsset(since)
        this.#apply({ type: 'finish', end: order.end })
        return done()
      case 'end':
      case 'revoke':
        this.#endedBy = order.by
        if (order.command === 'end' && order.end === 'operator-stopped' && this.#heldByEnding()) {
          // The operator whom an ending waits for says yes; the session keeps the reason it had.
          this.#apply({ type: 'operator-confirms' })
          return done()
        }
        this.#ends(order.end)
        if (order.command === 'revoke') this.#closeOwner(CLOSE.revoked, 'revoked')
        return done()
    }
  }

  /** The gateway stops: every session ends, with its recording sealed. */
  async gatewayStops(): Promise<void> {
    this.#finish('gateway-stopped', null, null)
    await this.whenClosed
  }

  /** By the rules for ending safely. */
  #ends(end: SessionEnd): void {
    if (!ENDING_CAUSES.includes(end)) {
      this.#finish(end, null, this.#endedBy)
      return
    }
    const cause = end as EndingCause
    const plan = endingPlan(this.#grant.ending, this.#grant.asset.criticality, cause)
    this.#apply({ type: 'ending', cause, plan, at: this.#clock.monotonic() })
  }

  #finish(end: SessionEnd, message: string | null, by: string | null): void {
    if (this.#ending()) return
    if (message) this.#message = message
    if (by) this.#endedBy = by
    this.#apply({ type: 'finish', end })
  }

  #recordingFailed(reason: string): void {
    if (this.#ending() || this.#recordingOver) return
    this.#recordingOver = true
    this.#report({
      kind: 'recording-gap',
      session: this.id,
      stream: 'screen',
      reason,
      at: this.#clock.wall(),
    })
    this.#recorderFull = false
    this.#ends('recording-failed')
    this.#pace()
  }

  #browserGone(viewer: Viewer): void {
    if (this.#owner !== viewer) return
    this.#owner = null
    viewer.drop()
    this.#pace()
    if (this.#ending()) return
    this.#apply({
      type: 'browser-lost',
      at: this.#clock.monotonic(),
      holdMs: this.#grant.browserHoldSeconds * 1000,
    })
  }

  // Time

  #arm(): void {
    this.#timer?.cancel()
    if (this.#state.name === 'closed') return
    // A second at most: the wall clock may be set forward, which no monotonic timer notices.
    this.#timer = this.#clock.after(Math.min(1000, Math.max(1, this.#nextDeadline())), () => this.#tick())
  }

  #nextDeadline(): number {
    const now = this.#clock.monotonic()
    const over = holdOver(this.#state)
    const permit = left(this.#permit, this.#clock)
    const warning = this.#warnings[0]
    return Math.min(
      this.#permitOver ? Number.POSITIVE_INFINITY : permit,
      this.#leaseOver ? Number.POSITIVE_INFINITY : left(this.#lease, this.#clock),
      over === null ? Number.POSITIVE_INFINITY : over - now,
      warning === undefined ? Number.POSITIVE_INFINITY : permit - warning,
    )
  }

  #tick(): void {
    if (this.#ending()) return
    const now = this.#clock.monotonic()
    if (!this.#hadOwner && now - this.#born >= BROWSER_WAIT_MS)
      this.#finish('open-failed', 'No browser came to the session in time.', null)
    this.#warn()
    if (!this.#permitOver && left(this.#permit, this.#clock) === 0) {
      this.#permitOver = true
      this.#ends('window-closed')
    }
    if (!this.#ending() && !this.#leaseOver && left(this.#lease, this.#clock) === 0) {
      this.#leaseOver = true
      this.#ends('lease-lost')
    }
    if (!this.#ending()) this.#checkIdle(now)
    const over = holdOver(this.#state)
    if (over !== null && over <= now) this.#apply({ type: 'hold-over', at: now })
    this.#catchUpWatchers()
    if (!this.#ending()) this.#arm()
  }

  #warn(): void {
    const permit = left(this.#permit, this.#clock)
    let due: number | null = null
    for (let next = this.#warnings[0]; next !== undefined && permit <= next; next = this.#warnings[0]) {
      due = next
      this.#warnings.shift()
    }
    if (due === null || permit === 0) return
    const minutes = Math.round(due / 60_000)
    this.#report({ kind: 'warning', session: this.id, minutes, at: this.#clock.wall() })
    this.#tellAll({ type: 'warning', minutes, endsAt: this.#permit.untilWall })
    this.#mark(`warning: ${minutes} min left`)
  }

  #checkIdle(now: number): void {
    const limit = this.#grant.idleSeconds * 1000
    if (limit === 0 || this.#idleOver || this.#state.name !== 'live') return
    const remaining = limit - (now - this.#lastInput)
    if (remaining <= 0) {
      this.#idleOver = true
      this.#ends('idle')
    } else if (!this.#idleWarned && remaining <= Math.min(IDLE_WARNING_MS, limit / 2)) {
      this.#idleWarned = true
      this.#owner?.tell({ type: 'idle', remainingMs: remaining })
    }
  }

  // State

  #apply(event: MachineEvent): void {
    const before = this.#state
    const next = transition(before, event)
    if (next === before) return
    this.#state = next
    this.#resizes.flow()
    if (next.name === 'closing') {
      this.#resizes.stop()
      void this.#close(next.end)
      return
    }
    const { cause, by } = this.#why()
    this.#report({
      kind: 'session-state',
      session: this.id,
      state: next.name,
      inputFrozen: !inputAllowed(next),
      cause,
      by,
      remainingMs: this.#remaining(),
      at: this.#clock.wall(),
    })
    if (before.name !== next.name) this.#mark(cause ? `${next.name}: ${cause}` : next.name)
    this.#tellState()
    if (!vendorMaySee(next)) this.#closeOwner(CLOSE.revoked, 'revoked')
    this.#arm()
  }

  #ending(): boolean {
    return this.#state.name === 'closing' || this.#state.name === 'closed'
  }

  #heldByEnding(): boolean {
    return this.#state.name === 'held' && this.#state.holds.some((hold) => hold.cause === 'ending')
  }

  /** Without the machine's `browser-lost`: the asset's side ends by the plan that took the browser away. */
  #closeOwner(code: (typeof CLOSE)[keyof typeof CLOSE], reason: string): void {
    const owner = this.#owner
    this.#owner = null
    owner?.close(code, reason)
    this.#pace()
  }

  #dropAsset(since: number): void {
    this.#abort.abort()
    this.#source?.destroy()
    this.#assetClosedAfterMs ??= Math.max(0, this.#clock.monotonic() - since)
  }

  async #close(end: SessionEnd): Promise<void> {
    this.#timer?.cancel()
    this.#share.close()
    const since = this.#clock.monotonic()
    this.#output.flush()
    this.#message ??= sentenceFor(end)
    this.#abort.abort()
    // Polite where nothing presses: the shell's channel is closed before the connection.
    if (end === 'vendor-left') this.#source?.end()
    else this.#dropAsset(since)
    this.#tellState()
    this.#mark(`ended: ${end}`)
    const [recording] = await Promise.all([
      this.#seal(end),
      end === 'vendor-left' ? this.#partWith(since) : null,
    ])
    this.#state = transition(this.#state, { type: 'settled' })
    this.#report({
      kind: 'session-closed',
      session: this.id,
      end,
      message: this.#message,
      by: this.#endedBy,
      closedAfterMs: this.#assetClosedAfterMs,
      bytesOut: this.#bytesOut,
      bytesIn: this.#bytesIn,
      at: this.#clock.wall(),
    })
    this.#tellState()
    this.#owner?.close(CLOSE.ended, end)
    this.#owner = null
    for (const watcher of this.#watchers.keys()) watcher.close(CLOSE.ended, end)
    this.#watchers.clear()
    this.#ports.closed(recording)
    this.#settled.resolve()
  }

  /** Waits for a polite end, not for long. */
  async #partWith(since: number): Promise<void> {
    if (this.#source) {
      const late = Promise.withResolvers<void>()
      const timer = this.#clock.after(PARTING_MS, () => late.resolve())
      await Promise.race([this.#assetGone.promise, late.promise])
      timer.cancel()
    }
    this.#dropAsset(since)
  }

  async #seal(end: SessionEnd): Promise<ClosedRecording | null> {
    const late = Promise.withResolvers<null>()
    const timer = this.#clock.after(SEAL_LIMIT_MS, () => late.resolve(null))
    try {
      const closing = this.#recorder?.close({ reason: end }) ?? this.#sealed
      return await Promise.race([closing, late.promise])
    } catch (error) {
      const reason = `recording not sealed: ${error instanceof Error ? error.message : 'unknown'}`
      this.#report({
        kind: 'recording-gap',
        session: this.id,
        stream: 'screen',
        reason: reason.slice(0, 200),
        at: this.#clock.wall(),
      })
      return null
    } finally {
      timer.cancel()
    }
  }

  #endReason(): SessionEnd {
    return this.#state.name === 'closing' || this.#state.name === 'closed' ? this.#state.end : 'open-failed'
  }

  #why(): { cause: string | null; by: string | null } {
    if (this.#state.name !== 'held') return { cause: null, by: null }
    const operator = this.#state.holds.find((hold) => hold.cause === 'operator')
    if (operator) return { cause: operator.reason, by: operator.by }
    const ending = this.#state.holds.find((hold) => hold.cause === 'ending')
    if (ending) return { cause: sentenceFor(ending.end), by: this.#endedBy ?? 'policy' }
    return { cause: 'The browser is away.', by: null }
  }

  #remaining(): number | null {
    if (this.#state.name === 'live' || this.#state.name === 'opening') return left(this.#permit, this.#clock)
    const over = holdOver(this.#state)
    return over === null ? null : Math.max(0, over - this.#clock.monotonic())
  }

  #stateMessage(): TerminalDown {
    const state = this.#state
    const over = state.name === 'closing' || state.name === 'closed'
    return {
      type: 'state',
      state: state.name,
      inputFrozen: state.name !== 'opening' && !inputAllowed(state),
      ...this.#why(),
      remainingMs: this.#remaining(),
      permitEndsAt: this.#permit.untilWall,
      end: over ? state.end : null,
      message: over ? this.#message : null,
    }
  }

  #tellState(): void {
    this.#tellAll(this.#stateMessage())
  }

  #tellWatchers(): void {
    this.#tellAll({
      type: 'watchers',
      names: [...new Map([...this.#watchers.values()].map((who) => [who.person, who.name])).values()],
    })
  }

  #tellAll(message: TerminalDown): void {
    this.#owner?.tell(message)
    for (const watcher of this.#watchers.keys()) watcher.tell(message)
  }

  #report(event: GatewayEvent): void {
    this.#ports.report(event)
  }
}

/** The largest screen that the recording's model keeps; terminal, recording and viewers must agree on the size. */
function bounded(size: { cols: number; rows: number }): { cols: number; rows: number } {
  return { cols: Math.min(size.cols, 500), rows: Math.min(size.rows, 300) }
}

/** An extension moves times; it never moves a session to another asset, account, person or wider rights. */
function sameGround(next: Grant, now: Grant): boolean {
  return (
    next.asset.id === now.asset.id &&
    next.endpoint === now.endpoint &&
    next.account === now.account &&
    next.person.id === now.person.id &&
    next.address.host === now.address.host &&
    next.address.port === now.address.port &&
    next.viewOnly === now.viewOnly &&
    next.features.every((feature) => now.features.includes(feature))
  )
}
