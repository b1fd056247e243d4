import type { Clock, Timer } from '../../broker/domain/clock.ts'
import { holdOver, type MachineEvent, type MachineState } from '../../broker/domain/session-machine.ts'
import type { SessionEnd } from '../../broker/domain/words.ts'
import { endIn } from './ending-cause.ts'
import type { TimeLimits } from './time-limits.ts'

/** What time does to a session. */
export interface TimedSession {
  state(): MachineState
  /** The grant's limit on doing nothing; 0: none. */
  idleMs(): number
  /** At each look, first. */
  beat(): void
  warn(minutes: number): void
  warnIdle(remainingMs: number): void
  ends(end: SessionEnd): void
  apply(event: MachineEvent): void
}

/** Looks at a session's limits whenever one may be over, and says what follows. */
export class Timekeeper {
  readonly #clock: Clock
  readonly #limits: TimeLimits
  readonly #session: TimedSession
  #timer: Timer | null = null

  constructor(clock: Clock, limits: TimeLimits, session: TimedSession) {
    this.#clock = clock
    this.#limits = limits
    this.#session = session
  }

  /** The next look; again whenever state or limits have changed. */
  arm(): void {
    this.#timer?.cancel()
    if (this.#isOver) return
    // A second at most: the wall clock may be set forward, which no monotonic timer notices.
    const next = Math.max(1, this.#limits.nextDeadline(this.#session.state()))
    this.#timer = this.#clock.after(Math.min(1000, next), () => this.look())
  }

  stop(): void {
    this.#timer?.cancel()
  }

  look(): void {
    if (this.#isOver) return
    const now = this.#clock.monotonic()
    this.#session.beat()
    const minutes = this.#limits.dueWarning()
    if (minutes !== null) this.#session.warn(minutes)
    if (this.#limits.permitRanOut()) this.#session.ends('window-closed')
    if (!this.#isOver && this.#limits.leaseRanOut()) this.#session.ends('lease-lost')
    if (this.#session.state().name === 'live') this.#lookForIdle()
    const over = holdOver(this.#session.state())
    if (over !== null && over <= now) this.#session.apply({ type: 'hold-over', at: now })
    this.arm()
  }

  #lookForIdle(): void {
    const idle = this.#limits.idle(this.#session.idleMs())
    if (idle?.over) this.#session.ends('idle')
    else if (idle) this.#session.warnIdle(idle.warnMs)
  }

  get #isOver(): boolean {
    return endIn(this.#session.state()) !== null
  }
}
