import type { Rect } from '../../canvas.ts'
import type { Painter } from '../../child/paint-writer.ts'
import type { ByteSource } from './byte-source.ts'
import type { Pixels } from './pixel-format.ts'

const STRIP_PIXELS = 64 * 1024

/** RFC 6143 section 7.7.1. Painted in strips, so a large rectangle holds no memory. */
export function decodeRaw(source: ByteSource, rect: Rect, pixels: Pixels, painter: Painter): void {
  const { x, y, width, height } = rect
  const rows = Math.max(1, Math.floor(STRIP_PIXELS / width))
  const strip = new Uint32Array(width * Math.min(rows, height))
  for (let top = 0; top < height; top += rows) {
    const count = Math.min(rows, height - top)
    for (let row = 0; row < count; row++)
      pixels.row(source.take(width * pixels.size), strip, row * width, width)
    painter.put({ x, y: y + top, width, height: count }, new Uint8Array(strip.buffer, 0, width * count * 4))
  }
}
