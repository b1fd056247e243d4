import { CLOSE, type TerminalDown, type TerminalUp } from '../../broker/contract/terminal.ts'
import type { Clock } from '../../broker/domain/clock.ts'
import type { Grant, Lease, SessionTicket } from '../../broker/domain/grant.ts'
import {
  endingPlan,
  inputAllowed,
  type MachineEvent,
  type MachineState,
  transition,
  vendorMaySee,
} from '../../broker/domain/session-machine.ts'
import type { SessionEnd, SessionState } from '../../broker/domain/words.ts'
import type { AnchorHead } from '../../recordings/format/anchor.ts'
import { AssetSide } from './asset-side.ts'
import { Audience } from './audience.ts'
import type { Browser } from './browser.ts'
import { endIn, endingCause } from './ending-cause.ts'
import { carryOut } from './orders.ts'
import type { Command, CommandDone, SessionPorts } from './ports.ts'
import { RecordingSide } from './recording-side.ts'
import { sameGround } from './same-ground.ts'
import { sentenceFor } from './sentences.ts'
import { helloMessage, reasonOf, remainingIn, stateMessage } from './state-view.ts'
import { TerminalSide } from './terminal-side.ts'
import { TimeLimits } from './time-limits.ts'
import { Timekeeper } from './timekeeper.ts'
import { Viewer } from './viewer.ts'

/** How long an opened session waits for its browser. */
const BROWSER_WAIT_MS = 30_000

/**
 * The one owner of a session. Everything that happens to it arrives here as a call on one thread, in order: bytes,
 * input, time, commands, browsers that come and go. The rules stand in the state machine; this acts on them, and its
 * sides know one thing each: who looks on, the recording, the time, and the terminal.
 */
export class Session {
  readonly id: string
  readonly recording: string
  readonly #ports: SessionPorts
  readonly #clock: Clock
  readonly #born: number
  readonly #limits: TimeLimits
  readonly #timekeeper: Timekeeper
  readonly #audience: Audience
  readonly #recording: RecordingSide
  readonly #terminal: TerminalSide
  readonly #asset: AssetSide
  #grant: Grant
  #state: MachineState = { name: 'opening' }
  #started = false
  #endedBy: string | null = null
  #message: string | null = null
  readonly #settled = Promise.withResolvers<void>()

  constructor(grant: Grant, lease: Lease, ports: SessionPorts) {
    this.id = grant.session
    this.recording = grant.recording
    this.#grant = grant
    this.#ports = ports
    this.#clock = ports.clock
    this.#born = this.#clock.monotonic()
    this.#limits = new TimeLimits(grant, lease, this.#clock)
    this.#audience = new Audience({
      said: (viewer, message) => this.#heard(viewer, message),
      typed: (bytes) => this.#terminal.input(bytes),
      left: () => this.#browserGone(),
      took: () => this.#terminal.pace(),
      watcherTook: () => this.#terminal.catchUpWatchers(),
      watcher: (who, joined) => {
        ports.report({ kind: 'watcher', session: this.id, ...who, joined, at: this.#clock.wall() })
        this.#recording.mark(`watcher ${joined ? 'joined' : 'left'}: ${who.name}`)
      },
    })
    this.#recording = new RecordingSide(this.id, this.#clock, {
      report: ports.report,
      drained: () => {
        this.#terminal.recorderFree()
        this.#terminal.pace()
      },
      failed: () => {
        this.#terminal.recorderFree()
        this.#ends('recording-failed')
        this.#terminal.pace()
      },
    })
    this.#terminal = new TerminalSide({
      clock: this.#clock,
      typing: ports.typing,
      session: this.id,
      audience: this.#audience,
      recording: this.#recording,
      mayAct: () => !this.#grant.viewOnly && inputAllowed(this.#state),
      isEnding: () => this.#ending(),
      acted: () => this.#limits.acted(),
    })
    this.#asset = new AssetSide({
      session: this.id,
      clock: this.#clock,
      terminal: this.#terminal,
      open: ports.open,
      expected: () => this.#grant.identities.map((identity) => identity.fingerprint),
      report: ports.report,
      mark: (text) => this.#recording.mark(text),
      isEnding: () => this.#ending(),
      finish: (end, message) => this.#finish(end, message),
    })
    this.#timekeeper = new Timekeeper(this.#clock, this.#limits, {
      state: () => this.#state,
      idleMs: () => this.#grant.idleSeconds * 1000,
      beat: () => {
        if (!this.#audience.hadOwner && this.#clock.monotonic() - this.#born >= BROWSER_WAIT_MS)
          this.#finish('open-failed', 'No browser came to the session in time.')
        this.#terminal.catchUpWatchers()
      },
      warn: (minutes) => {
        ports.report({ kind: 'warning', session: this.id, minutes, at: this.#clock.wall() })
        this.#audience.tell({ type: 'warning', minutes, endsAt: this.#limits.permitEndsAt })
        this.#recording.mark(`warning: ${minutes} min left`)
      },
      warnIdle: (remainingMs) => this.#audience.owner?.tell({ type: 'idle', remainingMs }),
      ends: (end) => this.#ends(end),
      apply: (event) => this.#apply(event),
    })
    this.#timekeeper.arm()
  }

  get state(): SessionState {
    return this.#state.name
  }

  get grant(): Grant {
    return this.#grant
  }

  /** Resolves when the session is closed and its recording sealed, if its disk answers. */
  get whenClosed(): Promise<void> {
    return this.#settled.promise
  }

  heads(): AnchorHead[] {
    return this.#recording.heads()
  }

  // Browsers

  /** Whether this ticket's holder may come in now; the code of the refusal, or null. */
  refusal(ticket: SessionTicket): string | null {
    if (this.#ending()) return 'session-over'
    if (ticket.use === 'watch') {
      if (this.#state.name === 'opening') return 'not-open-yet'
      return this.#audience.isFull ? 'too-many-watchers' : null
    }
    if (ticket.person !== this.#grant.person.id) return 'wrong-person'
    if (ticket.use === 'open' && this.#audience.hadOwner) return 'wrong-use'
    if (ticket.use === 'attach' && !this.#audience.hadOwner) return 'wrong-use'
    if (this.#state.name !== 'opening' && !vendorMaySee(this.#state)) return 'access-withdrawn'
    return null
  }

  /** A browser whose ticket was redeemed and for whom `refusal` said null. */
  attach(browser: Browser, ticket: SessionTicket): void {
    const viewer = new Viewer(browser, () => this.#recording.screen())
    if (this.#ending()) {
      viewer.close(CLOSE.ended, 'ended')
      return
    }
    viewer.tell(helloMessage(this.#grant, ticket.use))
    if (ticket.use === 'watch') {
      this.#audience.watch(viewer, ticket)
      viewer.tell(this.#stateMessage())
      this.#audience.tellWatchers()
      void this.#terminal.repaint(viewer)
    } else {
      this.#audience.own(viewer)
      this.#terminal.ownerCame(viewer)
      viewer.tell(this.#stateMessage())
      this.#audience.tellWatchers()
      this.#terminal.pace()
    }
  }

  #heard(viewer: Viewer, message: Exclude<TerminalUp, { type: 'ack' | 'ping' }>): void {
    switch (message.type) {
      case 'resize':
        this.#terminal.wantSize(message)
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
    if (!this.#started) {
      this.#started = true
      this.#terminal.startsWith(size)
      void this.#open()
      return
    }
    if (!this.#terminal.isOpen) return
    // The person is back, perhaps on another screen.
    this.#apply({ type: 'browser-back' })
    this.#terminal.wantSize(size)
    void this.#terminal.repaint(viewer).then(() => this.#terminal.pace())
    this.#terminal.pace()
  }

  #browserGone(): void {
    this.#terminal.pace()
    if (this.#ending()) return
    this.#apply({
      type: 'browser-lost',
      at: this.#clock.monotonic(),
      holdMs: this.#grant.browserHoldSeconds * 1000,
    })
  }

  /** Without the machine's `browser-lost`: the asset's side ends by the plan that took the browser away. */
  #revokeOwner(): void {
    this.#audience.closeOwner(CLOSE.revoked, 'revoked')
    this.#terminal.pace()
  }

  // The asset

  async #open(): Promise<void> {
    const { size } = this.#terminal
    const reached = await this.#asset.reach(size)
    if (!reached) return
    const { identity, algorithms } = reached
    const isRecorded = await this.#recording.start(() => this.#ports.record(identity, size))
    if (!isRecorded)
      this.#finish('recording-failed', 'The recording could not be started, so the session was not opened.')
    if (this.#ending()) return
    this.#limits.restartIdle()
    this.#ports.report({
      kind: 'session-live',
      session: this.id,
      identity,
      algorithms,
      at: this.#clock.wall(),
    })
    this.#apply({ type: 'opened' })
    this.#terminal.begin()
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
    this.#limits.renew(lease)
    if (grant) {
      this.#grant = grant
      this.#recording.extend(grant, grantHash)
      this.#limits.extend(grant)
      this.#recording.mark('extended')
    }
    if (this.#limits.permits) this.#apply({ type: 'permitted' })
    this.#audience.tell(this.#stateMessage())
    this.#timekeeper.look()
    return null
  }

  /** An operator's or the broker's word. Answers when it has taken effect. */
  command(order: Command): CommandDone {
    return carryOut(order, {
      clock: this.#clock,
      state: () => this.#state,
      mark: (text) => this.#recording.mark(text),
      apply: (event) => this.#apply(event),
      endedBy: (name) => {
        this.#endedBy = name
      },
      ends: (end) => this.#ends(end),
      finish: (end, message) => this.#finish(end, message),
      restartIdle: () => this.#limits.restartIdle(),
      dropAsset: (since) => this.#asset.drop(since),
      revokeOwner: () => this.#revokeOwner(),
    })
  }

  // State

  #apply(event: MachineEvent): void {
    const before = this.#state
    const next = transition(before, event)
    if (next === before) return
    this.#state = next
    this.#terminal.stateChanged()
    if (next.name === 'closing') {
      void this.#close(next.end)
      return
    }
    const { cause, by } = reasonOf(next, this.#endedBy)
    this.#ports.report({
      kind: 'session-state',
      session: this.id,
      state: next.name,
      inputFrozen: !inputAllowed(next),
      cause,
      by,
      remainingMs: remainingIn(next, this.#limits.permitLeft, this.#clock.monotonic()),
      at: this.#clock.wall(),
    })
    if (before.name !== next.name) this.#recording.mark(cause ? `${next.name}: ${cause}` : next.name)
    this.#audience.tell(this.#stateMessage())
    if (!vendorMaySee(next)) this.#revokeOwner()
    this.#timekeeper.arm()
  }

  #ending(): boolean {
    return endIn(this.#state) !== null
  }

  #stateMessage(): TerminalDown {
    return stateMessage(this.#state, {
      endedBy: this.#endedBy,
      remainingMs: remainingIn(this.#state, this.#limits.permitLeft, this.#clock.monotonic()),
      permitEndsAt: this.#limits.permitEndsAt,
      message: this.#message,
    })
  }

  // End

  /** The gateway stops: every session ends, with its recording sealed. */
  async gatewayStops(): Promise<void> {
    this.#finish('gateway-stopped', null)
    await this.whenClosed
  }

  /** By the rules for ending safely. */
  #ends(end: SessionEnd): void {
    const cause = endingCause(end)
    if (!cause) {
      this.#finish(end, null)
      return
    }
    const plan = endingPlan(this.#grant.ending, this.#grant.asset.criticality, cause)
    this.#apply({ type: 'ending', cause, plan, at: this.#clock.monotonic() })
  }

  #finish(end: SessionEnd, message: string | null): void {
    if (this.#ending()) return
    if (message) this.#message = message
    this.#apply({ type: 'finish', end })
  }

  async #close(end: SessionEnd): Promise<void> {
    this.#timekeeper.stop()
    const since = this.#clock.monotonic()
    this.#terminal.stop()
    this.#message ??= sentenceFor(end)
    // Polite where nothing presses: the shell's channel is closed before the connection.
    if (end === 'vendor-left') this.#asset.end()
    else this.#asset.drop(since)
    this.#audience.tell(this.#stateMessage())
    this.#recording.mark(`ended: ${end}`)
    const [{ recording, late }] = await Promise.all([
      this.#recording.seal(end),
      end === 'vendor-left' ? this.#asset.partWith(since) : null,
    ])
    this.#state = transition(this.#state, { type: 'settled' })
    const { in: bytesIn, out: bytesOut } = this.#terminal.bytes
    this.#ports.report({
      kind: 'session-closed',
      session: this.id,
      end,
      message: this.#message,
      by: this.#endedBy,
      closedAfterMs: this.#asset.closedAfterMs,
      bytesOut,
      bytesIn,
      at: this.#clock.wall(),
    })
    this.#audience.tell(this.#stateMessage())
    this.#audience.closeAll(end)
    this.#ports.closed(recording, late)
    this.#settled.resolve()
  }
}
