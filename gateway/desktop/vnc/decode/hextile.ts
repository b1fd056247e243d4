import type { Rect } from '../../canvas.ts'
import type { Painter } from '../../child/paint-writer.ts'
import { Violation } from '../../violation.ts'
import type { ByteSource } from './byte-source.ts'
import type { Pixels } from './pixel-format.ts'
import { TileBand } from './tile-band.ts'

const TILE = 16
const RAW = 1
const BACKGROUND = 2
const FOREGROUND = 4
const SUBRECTS = 8
const COLOURED = 16

/** RFC 6143 section 7.7.4. */
export function decodeHextile(source: ByteSource, rect: Rect, pixels: Pixels, painter: Painter): void {
  const band = new TileBand(rect.width, TILE)
  const colour = () => pixels.colour(source.take(pixels.size), 0)
  let background = 0xff000000
  let foreground = 0xff000000
  for (let top = 0; top < rect.height; top += TILE) {
    const height = Math.min(TILE, rect.height - top)
    for (let left = 0; left < rect.width; left += TILE) {
      const width = Math.min(TILE, rect.width - left)
      const kind = source.u8()
      if (kind >= 32) throw new Violation('a Hextile tile of unknown kind')
      if (kind & RAW) {
        for (let row = 0; row < height; row++)
          pixels.row(source.take(width * pixels.size), band.pixels, row * rect.width + left, width)
        continue
      }
      if (kind & BACKGROUND) background = colour()
      band.fill(left, 0, width, height, background)
      if (kind & FOREGROUND) foreground = colour()
      if (!(kind & SUBRECTS)) continue
      const count = source.u8()
      for (let n = 0; n < count; n++) {
        const fill = kind & COLOURED ? colour() : foreground
        const place = source.u8()
        const size = source.u8()
        const x = place >> 4
        const y = place & 15
        const w = (size >> 4) + 1
        const h = (size & 15) + 1
        if (x + w > width || y + h > height) throw new Violation('a Hextile subrectangle outside its tile')
        band.fill(left + x, y, w, h, fill)
      }
    }
    band.paint(painter, rect, top, height)
  }
}
