import type { Cursor } from '../canvas.ts'
import type { Screen } from './screen.ts'

export interface ConsumerHandlers {
  /** After a `flush` that changed something. Take when it suits; what comes in between is merged. */
  onDamage(): void
}

/** What a consumer has not seen yet. */
export interface Taken {
  /** The screen has another size than at the last `take`; `tiles` then names every tile of it. */
  isResized: boolean
  /** The pointer's picture when it has changed. */
  pointer: Cursor | null
  /** Numbers of tiles. */
  tiles: number[]
}

/** One looker's place: the version of each tile that it took last. */
export class Consumer {
  readonly #screen: Screen
  readonly #handlers: ConsumerHandlers
  readonly #leave: () => void
  #taken: Float64Array
  #sizeVersion = 0
  #pointerVersion = 0
  #isBehind = true
  /** Where the next `take` begins, so that tiles at the top which never rest do not keep those below from being taken. */
  #next = 0

  constructor(screen: Screen, handlers: ConsumerHandlers, leave: () => void) {
    this.#screen = screen
    this.#handlers = handlers
    this.#leave = leave
    this.#taken = new Float64Array(screen.grid.count)
  }

  /** Whether `take` would bring something. */
  get isBehind(): boolean {
    return this.#isBehind
  }

  /** The screen has another size than this consumer knows. */
  get isOtherSize(): boolean {
    return this.#sizeVersion !== this.#screen.sizeVersion
  }

  /** Takes what changed, `limit` tiles at most; what is left comes first the next time. */
  take(limit = Number.POSITIVE_INFINITY): Taken {
    const screen = this.#screen
    const isResized = this.isOtherSize
    if (isResized) {
      this.#sizeVersion = screen.sizeVersion
      this.#taken = new Float64Array(screen.grid.count)
    }
    const hasOtherPointer = this.#pointerVersion !== screen.pointerVersion
    this.#pointerVersion = screen.pointerVersion
    const { versions } = screen
    const tiles: number[] = []
    this.#isBehind = false
    const count = versions.length
    const first = this.#next < count ? this.#next : 0
    this.#next = 0
    for (let step = 0; step < count; step++) {
      const tile = (first + step) % count
      if (versions[tile] === this.#taken[tile]) continue
      if (tiles.length >= limit) {
        this.#isBehind = true
        this.#next = tile
        break
      }
      this.#taken[tile] = versions[tile] ?? 0
      tiles.push(tile)
    }
    return { isResized, pointer: hasOtherPointer ? screen.pointer : null, tiles }
  }

  /** Everything is to be taken again. */
  forget(): void {
    this.#taken.fill(0)
    this.#pointerVersion = 0
    this.#isBehind = true
  }

  changed(): void {
    this.#isBehind = true
    this.#handlers.onDamage()
  }

  close(): void {
    this.#leave()
  }
}
