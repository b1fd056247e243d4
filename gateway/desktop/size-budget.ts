import type { Clock } from '../../broker/domain/clock.ts'

/** Each new size is a new picture of everything: so many at once, and one more each second. */
const SIZES = 20

/** How often an asset may change its size. */
export class SizeBudget {
  readonly #clock: Clock
  #left = SIZES
  #at = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** False when it is one too many. */
  take(): boolean {
    const now = this.#clock.monotonic()
    this.#left = Math.min(SIZES, this.#left + (now - this.#at) / 1000)
    this.#at = now
    this.#left -= 1
    return this.#left >= 0
  }
}
