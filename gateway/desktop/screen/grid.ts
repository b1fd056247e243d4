import type { Rect } from '../canvas.ts'

/** A screen is compared, encoded and sent in squares of this many pixels; those at the right and lower edge are cut. */
export const TILE = 64
/** Pixels of a whole tile, and what one takes in the stores. */
export const TILE_PIXELS = TILE * TILE
export const TILE_BYTES = TILE_PIXELS * 4

/** How a screen of one size is cut into tiles, which are numbered row by row. */
export class Grid {
  readonly width: number
  readonly height: number
  readonly columns: number
  readonly rows: number
  readonly count: number

  constructor(width: number, height: number) {
    this.width = width
    this.height = height
    this.columns = Math.ceil(width / TILE)
    this.rows = Math.ceil(height / TILE)
    this.count = this.columns * this.rows
  }

  rect(tile: number): Rect {
    const x = (tile % this.columns) * TILE
    const y = Math.floor(tile / this.columns) * TILE
    return { x, y, width: Math.min(TILE, this.width - x), height: Math.min(TILE, this.height - y) }
  }
}
