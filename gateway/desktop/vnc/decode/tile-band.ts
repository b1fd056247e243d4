import type { Rect } from '../../canvas.ts'
import type { Painter } from '../../child/paint-writer.ts'

/**
 * One row of tiles of a rectangle, painted as a whole: fewer and larger messages than tile by tile. Tile coordinates
 * count from the rectangle's left and the band's top.
 */
export class TileBand {
  readonly width: number
  readonly pixels: Uint32Array

  constructor(width: number, tileHeight: number) {
    this.width = width
    this.pixels = new Uint32Array(width * tileHeight)
  }

  fill(x: number, y: number, width: number, height: number, colour: number): void {
    for (let row = y; row < y + height; row++) {
      const start = row * this.width + x
      this.pixels.fill(colour, start, start + width)
    }
  }

  paint(painter: Painter, rect: Rect, top: number, height: number): void {
    painter.put(
      { x: rect.x, y: rect.y + top, width: this.width, height },
      new Uint8Array(this.pixels.buffer, 0, this.width * height * 4),
    )
  }
}
