import type { Rect } from '../../canvas.ts'
import type { Painter } from '../../child/paint-writer.ts'
import { Violation } from '../../violation.ts'
import type { ByteSource, Bytes } from './byte-source.ts'
import type { InflateStream } from './inflate-stream.ts'
import type { Pixels } from './pixel-format.ts'
import { TileBand } from './tile-band.ts'

const TILE = 64

/** RFC 6143 section 7.7.6. */
export function decodeZrle(
  source: ByteSource,
  rect: Rect,
  pixels: Pixels,
  painter: Painter,
  stream: InflateStream,
): void {
  const length = source.u32()
  // Incompressible pixels grow by a little; what is far longer is a lie.
  if (length > rect.width * rect.height * 8 + 64 * 1024)
    throw new Violation('ZRLE data of an impossible length')
  stream.begin(source, length)
  const band = new TileBand(rect.width, Math.min(TILE, rect.height))
  for (let top = 0; top < rect.height; top += TILE) {
    const height = Math.min(TILE, rect.height - top)
    for (let left = 0; left < rect.width; left += TILE)
      decodeTile(stream, pixels, band, left, Math.min(TILE, rect.width - left), height)
    band.paint(painter, rect, top, height)
  }
  stream.end()
}

function decodeTile(
  bytes: Bytes,
  pixels: Pixels,
  band: TileBand,
  left: number,
  width: number,
  height: number,
): void {
  const size = pixels.compressedSize
  const colour = () => pixels.compressedColour(bytes.take(size), 0)
  const kind = bytes.u8()
  if (kind === 0) {
    for (let row = 0; row < height; row++) {
      const line = bytes.take(width * size)
      const start = row * band.width + left
      for (let n = 0; n < width; n++) band.pixels[start + n] = pixels.compressedColour(line, n * size)
    }
  } else if (kind === 1) {
    band.fill(left, 0, width, height, colour())
  } else if (kind <= 16) {
    packed(bytes, Array.from({ length: kind }, colour), band, left, width, height)
  } else if (kind === 128) {
    runs(band, left, width, height, () => [colour(), runLength(bytes)])
  } else if (kind >= 130) {
    const palette = Array.from({ length: kind - 128 }, colour)
    runs(band, left, width, height, () => {
      const index = bytes.u8()
      return [pick(palette, index & 127), index & 128 ? runLength(bytes) : 1]
    })
  } else {
    throw new Violation('a ZRLE tile of unknown kind')
  }
}

function packed(
  bytes: Bytes,
  palette: number[],
  band: TileBand,
  left: number,
  width: number,
  height: number,
): void {
  const bits = palette.length === 2 ? 1 : palette.length <= 4 ? 2 : 4
  const mask = (1 << bits) - 1
  for (let row = 0; row < height; row++) {
    const line = bytes.take(Math.ceil((width * bits) / 8))
    const start = row * band.width + left
    for (let n = 0; n < width; n++) {
      const bit = n * bits
      band.pixels[start + n] = pick(palette, ((line[bit >> 3] ?? 0) >> (8 - bits - (bit & 7))) & mask)
    }
  }
}

function runs(
  band: TileBand,
  left: number,
  width: number,
  height: number,
  next: () => [colour: number, length: number],
): void {
  const total = width * height
  let done = 0
  while (done < total) {
    const [colour, length] = next()
    if (length > total - done) throw new Violation('a ZRLE run past its tile')
    for (let n = 0; n < length; n++, done++)
      band.pixels[Math.floor(done / width) * band.width + left + (done % width)] = colour
  }
}

function runLength(bytes: Bytes): number {
  let length = 1
  for (;;) {
    const part = bytes.u8()
    length += part
    if (part !== 255) return length
    if (length > TILE * TILE) throw new Violation('a ZRLE run past its tile')
  }
}

function pick(palette: number[], index: number): number {
  const colour = palette[index]
  if (colour === undefined) throw new Violation('a colour outside the palette')
  return colour
}
