import type { Clock, Timer } from '../../broker/domain/clock.ts'

export interface Size {
  cols: number
  rows: number
}

/** As often as a window that is dragged needs it. */
const EVERY_MS = 100

/**
 * The browser's wish for a size, brought to the asset. Each change costs the asset a signal to its program, the
 * recording an event and the screen model, which serves every session of the gateway, a new layout; asked for in forty
 * bytes, as often as a browser likes. So the newest wish counts, ten times a second, and none while the person may not
 * act on the asset: it waits until that is over.
 */
export class ResizePace {
  readonly #clock: Clock
  readonly #allowed: () => boolean
  readonly #apply: (size: Size) => void
  #wanted: Size | null = null
  #next = Number.NEGATIVE_INFINITY
  #timer: Timer | null = null

  constructor(clock: Clock, allowed: () => boolean, apply: (size: Size) => void) {
    this.#clock = clock
    this.#allowed = allowed
    this.#apply = apply
  }

  want(size: Size): void {
    this.#wanted = size
    this.flow()
  }

  /** What is allowed may have changed. */
  flow(): void {
    if (!this.#wanted || this.#timer || !this.#allowed()) return
    const now = this.#clock.monotonic()
    if (now < this.#next) {
      this.#timer = this.#clock.after(this.#next - now, () => {
        this.#timer = null
        this.flow()
      })
      return
    }
    const size = this.#wanted
    this.#wanted = null
    this.#next = now + EVERY_MS
    this.#apply(size)
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#wanted = null
  }
}
