import type { Clock } from '../../broker/domain/clock.ts'
import type { Stream } from '../../broker/domain/words.ts'

/** Notices when the wall clock moves against the monotonic one; each stream flags its next chunk once. */
export class ClockWatch {
  readonly #clock: Clock
  readonly #limitMs: number
  readonly #pending = new Set<Stream>()
  #difference: number

  constructor(clock: Clock, limitMs: number) {
    this.#clock = clock
    this.#limitMs = limitMs
    this.#difference = clock.wall() - clock.monotonic()
  }

  jumped(stream: Stream): boolean {
    const difference = this.#clock.wall() - this.#clock.monotonic()
    if (Math.abs(difference - this.#difference) > this.#limitMs) {
      this.#difference = difference
      this.#pending.add('screen').add('input')
    }
    return this.#pending.delete(stream)
  }
}
