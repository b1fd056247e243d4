import type { Cursor, Rect } from '../canvas.ts'
import { Behind, type Copy, type Step } from './behind.ts'
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
  /** To be made in this order, before anything of the tiles is painted. */
  copies: Copy[]
  /** Numbers of tiles. */
  tiles: number[]
  /** Of each of these tiles the part that is to be painted. */
  areas: Rect[]
}

/** One looker's place: what of each tile is new since it took last. */
export class Consumer {
  readonly #screen: Screen
  readonly #handlers: ConsumerHandlers
  readonly #leave: () => void
  #behind: Behind
  #takesCopies = false
  #sizeVersion = 0
  #pointerVersion = 0
  #isBehind = true
  /** Where the next `take` begins, so that tiles at the top which never rest do not keep those below from being taken. */
  #next = 0

  constructor(screen: Screen, handlers: ConsumerHandlers, leave: () => void) {
    this.#screen = screen
    this.#handlers = handlers
    this.#leave = leave
    this.#behind = new Behind(screen.grid)
  }

  /** Whether `take` would bring something. */
  get isBehind(): boolean {
    return this.#isBehind
  }

  /** The screen has another size than this consumer knows. */
  get isOtherSize(): boolean {
    return this.#sizeVersion !== this.#screen.sizeVersion
  }

  /** Whether it can move what it shows already; without, everything is painted. */
  set takesCopies(takesCopies: boolean) {
    this.#takesCopies = takesCopies
    this.#behind.takesCopies = takesCopies
  }

  /** Takes what changed, `limit` tiles at most; what is left comes first the next time. */
  take(limit = Number.POSITIVE_INFINITY): Taken {
    const screen = this.#screen
    const isResized = this.isOtherSize
    this.#sizeVersion = screen.sizeVersion
    const hasOtherPointer = this.#pointerVersion !== screen.pointerVersion
    this.#pointerVersion = screen.pointerVersion
    const behind = this.#behind
    const copies = behind.copies
    behind.copies = []
    const tiles: number[] = []
    const areas: Rect[] = []
    this.#isBehind = false
    const { count } = screen.grid
    const first = this.#next < count ? this.#next : 0
    this.#next = 0
    for (let step = 0; step < count; step++) {
      const tile = (first + step) % count
      const area = behind.area(tile)
      if (!area) continue
      if (tiles.length >= limit) {
        this.#isBehind = true
        this.#next = tile
        break
      }
      behind.clear(tile)
      tiles.push(tile)
      areas.push(area)
    }
    return { isResized, pointer: hasOtherPointer ? screen.pointer : null, copies, tiles, areas }
  }

  /** Everything is to be taken again. */
  forget(): void {
    this.#behind.all()
    this.#pointerVersion = 0
    this.#isBehind = true
  }

  /** `step`: null when the size is another one. */
  changed(step: Step | null): void {
    if (step) this.#behind.add(step)
    else {
      this.#behind = new Behind(this.#screen.grid)
      this.#behind.takesCopies = this.#takesCopies
    }
    this.#isBehind = true
    this.#handlers.onDamage()
  }

  close(): void {
    this.#leave()
  }
}
