import type { Clock } from '../../broker/domain/clock.ts'
import type { Grant, Lease } from '../../broker/domain/grant.ts'
import { holdOver, type MachineState, warningsLeft } from '../../broker/domain/session-machine.ts'
import { type Budget, budgetOf, left } from './budget.ts'

/** The idle warning comes this long before the end, or at half the limit where that is shorter. */
const IDLE_WARNING_MS = 60_000

/**
 * How long a session may go on: the grant's window, the lease, and the time in which nothing is done. Each says once
 * that it is over; what follows from it is the session's to decide.
 */
export class TimeLimits {
  readonly #clock: Clock
  #permit: Budget
  #lease: Budget
  #permitOver = false
  #leaseOver = false
  #warnings: number[]
  #lastInput: number
  #idleWarned = false
  #idleOver = false

  constructor(grant: Grant, lease: Lease, clock: Clock) {
    this.#clock = clock
    this.#lastInput = clock.monotonic()
    this.#permit = budgetOf(grant, clock)
    this.#lease = budgetOf(lease, clock)
    this.#warnings = warningsLeft(this.permitLeft)
  }

  /** Milliseconds of the window. */
  get permitLeft(): number {
    return left(this.#permit, this.#clock)
  }

  /** Wall-clock time of the window's end, ms. */
  get permitEndsAt(): number {
    return this.#permit.untilWall
  }

  /** A lease says that a fresh decision permits; it does not undo a time limit that only a new grant moves. */
  get permits(): boolean {
    return !this.#permitOver && !this.#idleOver && this.permitLeft > 0
  }

  renew(lease: Lease): void {
    this.#lease = budgetOf(lease, this.#clock)
    this.#leaseOver = false
  }

  extend(grant: Grant): void {
    this.#permit = budgetOf(grant, this.#clock)
    this.#permitOver = false
    this.#idleOver = false
    this.restartIdle()
    this.#warnings = warningsLeft(this.permitLeft)
  }

  /** The person did something. */
  acted(): void {
    this.restartIdle()
    this.#idleWarned = false
  }

  /** Idle time counts from now. */
  restartIdle(): void {
    this.#lastInput = this.#clock.monotonic()
  }

  /** Milliseconds until the next look is due. */
  nextDeadline(state: MachineState): number {
    const over = holdOver(state)
    const permit = this.permitLeft
    const warning = this.#warnings[0]
    return Math.min(
      this.#permitOver ? Number.POSITIVE_INFINITY : permit,
      this.#leaseOver ? Number.POSITIVE_INFINITY : left(this.#lease, this.#clock),
      over === null ? Number.POSITIVE_INFINITY : over - this.#clock.monotonic(),
      warning === undefined ? Number.POSITIVE_INFINITY : permit - warning,
    )
  }

  /** Minutes of a warning that is due now, or null. */
  dueWarning(): number | null {
    const permit = this.permitLeft
    let due: number | null = null
    for (let next = this.#warnings[0]; next !== undefined && permit <= next; next = this.#warnings[0]) {
      due = next
      this.#warnings.shift()
    }
    return due === null || permit === 0 ? null : Math.round(due / 60_000)
  }

  /** True once when the window is over. */
  permitRanOut(): boolean {
    if (this.#permitOver || this.permitLeft > 0) return false
    this.#permitOver = true
    return true
  }

  /** True once when the lease is over. */
  leaseRanOut(): boolean {
    if (this.#leaseOver || left(this.#lease, this.#clock) > 0) return false
    this.#leaseOver = true
    return true
  }

  /** Asked while the session is live: over, or a warning with the milliseconds that are left; each once. */
  idle(limitMs: number): { over: true } | { over: false; warnMs: number } | null {
    if (limitMs === 0 || this.#idleOver) return null
    const remaining = limitMs - (this.#clock.monotonic() - this.#lastInput)
    if (remaining <= 0) {
      this.#idleOver = true
      return { over: true }
    }
    if (this.#idleWarned || remaining > Math.min(IDLE_WARNING_MS, limitMs / 2)) return null
    this.#idleWarned = true
    return { over: false, warnMs: remaining }
  }
}
