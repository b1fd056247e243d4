import type { Rect } from '../canvas.ts'
import type { Screen } from '../screen/screen.ts'

/** Numbers from a seed, the same each time (mulberry32). */
export function random(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** RGBX pixels of so many colours. */
export function pixels(
  { width, height }: Rect,
  colours: number,
  next: (below: number) => number,
): Uint8Array {
  const palette = Array.from({ length: colours }, () => [next(256), next(256), next(256), 255])
  const bytes = new Uint8Array(width * height * 4)
  for (let at = 0; at < bytes.length; at += 4) bytes.set(palette[next(colours)] ?? [], at)
  return bytes
}

/** What a Screen shows, as RGBX rows. */
export function shown(screen: Screen): Uint8Array {
  const { grid } = screen
  const rows = new Uint8Array(grid.width * grid.height * 4)
  for (let tile = 0; tile < grid.count; tile++) {
    const { x, y, width, height } = grid.rect(tile)
    const tilePixels = screen.pixels(tile)
    const bytes = new Uint8Array(tilePixels.buffer, tilePixels.byteOffset, tilePixels.byteLength)
    for (let row = 0; row < height; row++)
      rows.set(bytes.subarray(row * width * 4, (row + 1) * width * 4), ((y + row) * grid.width + x) * 4)
  }
  return rows
}
