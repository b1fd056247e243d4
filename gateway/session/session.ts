import { CLOSE, type TerminalDown } from '../../broker/contract/terminal.ts'
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
import type { Medium, Said, Seat } from './medium.ts'
import { carryOut } from './orders.ts'
import type { Command, CommandDone, SessionPorts } from './ports.ts'
import { RecordingSide } from './recording-side.ts'
import { sameGround } from './same-ground.ts'
import { sentenceFor } from './sentences.ts'
import { helloMessage, reasonOf, remainingIn, stateMessage } from './state-view.ts'
import { TimeLimits } from './time-limits.ts'
import { Timekeeper } from './timekeeper.ts'

/** How long an opened session waits for its browser, and for that browser's `start`. */
const BROWSER_WAIT_MS = 30_000

/**
 * The one owner of a session. Everything that happens to it arrives here as a call on one thread, in order: bytes,
 * input, time, commands, browsers that come and go. The rules stand in the state machine; this acts on them, and its
 * sides know one thing each: who looks on, the recording, the time, and the medium.
 */
export class Session<S extends Seat = Seat> {
  readonly id: string
  readonly recording: string
  readonly #ports: SessionPorts<S>
  readonly #clock: Clock
  readonly #born: number
  readonly #limits: TimeLimits
  readonly #timekeeper: Timekeeper
  readonly #audience: Audience<S>
  readonly #recording: RecordingSide
  readonly #medium: Medium<S>
  readonly #asset: AssetSide<S>
  #grant: Grant
  #state: MachineState = { name: 'opening' }
  #started = false
  #endedBy: string | null = null
  #message: string | null = null
  readonly #settled = Promise.withResolvers<void>()

  constructor(grant: Grant, lease: Lease, ports: SessionPorts<S>) {
    this.id = grant.session
    this.recording = grant.recording
    this.#grant = grant
    this.#ports = ports
    this.#clock = ports.clock
    this.#born = this.#clock.monotonic()
    this.#limits = new TimeLimits(grant, lease, this.#clock)
    this.#audience = new Audience({
      said: (viewer, message) => this.#heard(viewer, message),
      typed: (seat, bytes) => this.#medium.typed(seat, bytes),
      watched: (seat, bytes) => this.#medium.watched(seat, bytes),
      left: () => this.#browserGone(),
      took: () => this.#medium.pace(),
      watcherTook: () => this.#medium.beat(),
      watcher: (who, joined) => {
        ports.report({ kind: 'watcher', session: this.id, ...who, joined, at: this.#clock.wall() })
        this.#recording.mark(`watcher ${joined ? 'joined' : 'left'}: ${who.name}`)
      },
    })
    this.#recording = new RecordingSide(this.id, this.#clock, {
      report: ports.report,
      drained: () => {
        this.#medium.recorderFree()
        this.#medium.pace()
      },
      failed: () => {
        this.#medium.recorderFree()
        this.#ends('recording-failed')
        this.#medium.pace()
      },
    })
    this.#medium = ports.medium({
      clock: this.#clock,
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
      medium: this.#medium,
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
        // What an opening rests on (an operator's word that the console is free) must not be kept for later by a
        // browser that comes and says nothing.
        if (!this.#started && this.#clock.monotonic() - this.#born >= BROWSER_WAIT_MS)
          this.#finish(
            'open-failed',
            this.#audience.hadOwner
              ? 'The browser did not start the session in time.'
              : 'No browser came to the session in time.',
          )
        this.#medium.beat()
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
    const seat = this.#medium.seat(browser)
    if (this.#ending()) {
      seat.close(CLOSE.ended, 'ended')
      return
    }
    seat.tell(helloMessage(this.#grant, ticket.use))
    if (ticket.use === 'watch') {
      this.#audience.watch(seat, ticket)
      seat.tell(this.#stateMessage())
      this.#audience.tellWatchers()
      this.#medium.watcherCame(seat)
    } else {
      this.#audience.own(seat)
      this.#medium.ownerCame(seat)
      seat.tell(this.#stateMessage())
      this.#audience.tellWatchers()
      this.#medium.pace()
    }
  }

  #heard(seat: S, message: Said): void {
    switch (message.type) {
      case 'start':
        this.#start(seat, message)
        return
      case 'leave':
        this.#endedBy = this.#grant.person.name
        this.#apply({ type: 'finish', end: 'vendor-left' })
        return
      default:
        this.#medium.said(message)
    }
  }

  #start(seat: S, message: Said): void {
    if (!this.#started) {
      this.#started = true
      this.#medium.startsWith(message)
      void this.#open()
      return
    }
    // Until it is live and recorded there is nothing to come back to; `begin` shows it to whoever is there then.
    if (this.#state.name === 'opening' || !this.#medium.isOpen) return
    // The person is back, perhaps on another screen.
    this.#apply({ type: 'browser-back' })
    this.#medium.ownerIsBack(seat, message)
  }

  #browserGone(): void {
    this.#medium.ownerGone()
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
    this.#medium.ownerGone()
  }

  // The asset

  async #open(): Promise<void> {
    const reached = await this.#asset.reach()
    if (!reached) return
    const { identity, algorithms } = reached
    const isRecorded = await this.#recording.start(() => this.#medium.record(identity))
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
    this.#medium.begin()
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
      dropAsset: (since) => {
        this.#medium.ownerGone()
        this.#asset.drop(since)
      },
      revokeOwner: () => this.#revokeOwner(),
    })
  }

  // State

  #apply(event: MachineEvent): void {
    const before = this.#state
    const next = transition(before, event)
    if (next === before) return
    this.#state = next
    this.#medium.stateChanged()
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
    this.#medium.stop()
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
    const { in: bytesIn, out: bytesOut } = this.#medium.bytes
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
