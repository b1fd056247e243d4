import type { Copy } from './behind.ts'
import { type Grid, TILE, TILE_PIXELS } from './grid.ts'

/**
 * Makes a copy within pixels that lie tile by tile, TILE_PIXELS each. What it costs grows with the pixels alone: a remote
 * server chooses how often it is done, so nothing is made for the pieces of a row that lie in one tile each.
 */
export function moveTiles(pixels: Int32Array, grid: Grid, { x, y, width, height, fromX, fromY }: Copy): void {
  const row = new Int32Array(width)
  // From below upwards when it moves down, so that no row is read after it was written.
  const isDown = y > fromY
  for (let step = 0; step < height; step++) {
    const line = isDown ? height - 1 - step : step
    passRow(pixels, grid, fromX, fromY + line, row, false)
    passRow(pixels, grid, x, y + line, row, true)
  }
}

/** Fills a row from the pixels at this place, or writes it there. */
function passRow(
  pixels: Int32Array,
  grid: Grid,
  x: number,
  y: number,
  row: Int32Array,
  isWriting: boolean,
): void {
  const first = Math.floor(y / TILE) * grid.columns
  for (let done = 0; done < row.length; ) {
    const column = Math.floor((x + done) / TILE)
    const left = column * TILE
    const width = Math.min(TILE, grid.width - left)
    const end = Math.min(row.length, left + width - x)
    let at = (first + column) * TILE_PIXELS + (y % TILE) * width + x + done - left
    if (isWriting) for (; done < end; done++) pixels[at++] = row[done] ?? 0
    else for (; done < end; done++) row[done] = pixels[at++] ?? 0
  }
}
