import type { Rect } from '../canvas.ts'
import { type Grid, TILE } from './grid.ts'

/** A rectangle that shows what stood at another place of the screen. */
export interface Copy extends Rect {
  fromX: number
  fromY: number
}

/** What one `flush` did: copies within the picture, in order, then the pixels that changed beside them. */
export interface Step {
  copies: readonly Copy[]
  /** Of the screen; none goes over a tile's edge. */
  areas: readonly Rect[]
}

/** More copies than these are not remembered: what they reached is painted instead. */
const MAX_COPIES = 16

/**
 * What somebody who looked at a screen before has to be shown: copies within their picture, in order, and then in each
 * tile one box. The boxes always cover every pixel that differs once the copies are made, whatever came after what; a copy
 * of something that was behind already is behind at its new place too.
 */
export class Behind {
  copies: Copy[] = []
  /** Whether copies may be made at all; without, they are painted. */
  takesCopies = false
  readonly #grid: Grid
  /** Of each tile: left, top, right, bottom in pixels of the tile, the latter two outside. */
  readonly #boxes: Uint8Array

  /** Everything. */
  constructor(grid: Grid) {
    this.#grid = grid
    this.#boxes = new Uint8Array(grid.count * 4)
    this.all()
  }

  all(): void {
    this.copies = []
    for (let tile = 0; tile < this.#grid.count; tile++) this.#add(this.#grid.rect(tile))
  }

  add({ copies, areas }: Step): void {
    for (const copy of copies) this.#copy(copy)
    for (const area of areas) this.#add(area)
  }

  /** The part of a tile that is behind, or null. */
  area(tile: number): Rect | null {
    const at = tile * 4
    const [left = 0, top = 0, right = 0, bottom = 0] = this.#boxes.subarray(at, at + 4)
    if (left >= right) return null
    const { x, y } = this.#grid.rect(tile)
    return { x: x + left, y: y + top, width: right - left, height: bottom - top }
  }

  clear(tile: number): void {
    this.#boxes.fill(0, tile * 4, tile * 4 + 4)
  }

  #copy(copy: Copy): void {
    if (!this.takesCopies || this.copies.length >= MAX_COPIES) {
      // Those that are remembered are still made first; this one is painted.
      this.#add(copy)
      return
    }
    const { x, y, width, height, fromX, fromY } = copy
    const reached: Rect[] = []
    this.#eachTile({ x: fromX, y: fromY, width, height }, (tile) => {
      const area = this.area(tile)
      const part = area && meet(area, { x: fromX, y: fromY, width, height })
      if (part) reached.push({ ...part, x: part.x + x - fromX, y: part.y + y - fromY })
    })
    this.copies.push(copy)
    for (const area of reached) this.#add(area)
  }

  #add(area: Rect): void {
    this.#eachTile(area, (tile) => {
      const whole = this.#grid.rect(tile)
      const part = meet(area, whole)
      if (!part) return
      const at = tile * 4
      const boxes = this.#boxes
      const [left, top] = [part.x - whole.x, part.y - whole.y]
      const isEmpty = (boxes[at] ?? 0) >= (boxes[at + 2] ?? 0)
      boxes[at] = isEmpty ? left : Math.min(boxes[at] ?? 0, left)
      boxes[at + 1] = isEmpty ? top : Math.min(boxes[at + 1] ?? 0, top)
      boxes[at + 2] = Math.max(isEmpty ? 0 : (boxes[at + 2] ?? 0), left + part.width)
      boxes[at + 3] = Math.max(isEmpty ? 0 : (boxes[at + 3] ?? 0), top + part.height)
    })
  }

  #eachTile({ x, y, width, height }: Rect, does: (tile: number) => void): void {
    const { columns } = this.#grid
    const right = Math.floor((x + width - 1) / TILE)
    const bottom = Math.floor((y + height - 1) / TILE)
    for (let row = Math.floor(y / TILE); row <= bottom; row++)
      for (let column = Math.floor(x / TILE); column <= right; column++) does(row * columns + column)
  }
}

function meet(one: Rect, other: Rect): Rect | null {
  const x = Math.max(one.x, other.x)
  const y = Math.max(one.y, other.y)
  const width = Math.min(one.x + one.width, other.x + other.width) - x
  const height = Math.min(one.y + one.height, other.y + other.height) - y
  return width > 0 && height > 0 ? { x, y, width, height } : null
}
