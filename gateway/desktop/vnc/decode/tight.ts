import type { Rect } from '../../canvas.ts'
import type { Painter } from '../../child/paint-writer.ts'
import { Violation } from '../../violation.ts'
import type { ByteSource, Bytes } from './byte-source.ts'
import { InflateStream } from './inflate-stream.ts'
import type { JpegDecoder } from './jpeg.ts'
import type { Pixels } from './pixel-format.ts'
import { TileBand } from './tile-band.ts'

/** Shorter data is sent as it is. */
const UNCOMPRESSED_BELOW = 12
const BAND_ROWS = 16

/** The Tight encoding of the community's RFB specification, with its four zlib streams. */
export class TightDecoder {
  readonly #streams = [new InflateStream(), new InflateStream(), new InflateStream(), new InflateStream()]
  readonly #jpeg: JpegDecoder

  constructor(jpeg: JpegDecoder) {
    this.#jpeg = jpeg
  }

  decode(source: ByteSource, rect: Rect, pixels: Pixels, painter: Painter): void {
    const control = source.u8()
    this.#streams.forEach((stream, n) => {
      if (control & (1 << n)) stream.reset()
    })
    const kind = control >> 4
    if (kind === 8) painter.fill(rect, tightColour(pixels, source))
    else if (kind === 9) {
      const length = compactLength(source)
      painter.put(rect, this.#jpeg(source.copy(length), rect.width, rect.height))
    } else if (kind < 8) this.#basic(source, kind, rect, pixels, painter)
    else throw new Violation('a Tight rectangle of unknown kind')
  }

  #basic(source: ByteSource, kind: number, rect: Rect, pixels: Pixels, painter: Painter): void {
    const filter = kind & 4 ? source.u8() : 0
    if (filter > 2) throw new Violation('a Tight filter of unknown kind')
    const palette = filter === 1 ? readPalette(source, pixels) : null
    const size = pixels.tightRgb ? 3 : pixels.size
    const rowBytes = palette
      ? palette.length <= 2
        ? Math.ceil(rect.width / 8)
        : rect.width
      : rect.width * size
    const line = palette
      ? paletteLine(palette, rect.width)
      : filter === 2
        ? gradientLine(pixels, rect.width)
        : copyLine(pixels, rect.width)
    const stream = this.#streams[kind & 3]
    if (!stream) throw new RangeError('two bits name four streams')
    if (rowBytes * rect.height < UNCOMPRESSED_BELOW) {
      paintLines(source, rowBytes, line, rect, painter)
      return
    }
    stream.begin(source, compactLength(source))
    paintLines(stream, rowBytes, line, rect, painter)
    stream.end()
  }
}

type Line = (bytes: Uint8Array, into: Uint32Array, at: number) => void

function paintLines(bytes: Bytes, rowBytes: number, line: Line, rect: Rect, painter: Painter): void {
  const band = new TileBand(rect.width, Math.min(BAND_ROWS, rect.height))
  for (let top = 0; top < rect.height; top += BAND_ROWS) {
    const rows = Math.min(BAND_ROWS, rect.height - top)
    for (let row = 0; row < rows; row++) line(bytes.take(rowBytes), band.pixels, row * rect.width)
    band.paint(painter, rect, top, rows)
  }
}

function copyLine(pixels: Pixels, width: number): Line {
  if (!pixels.tightRgb) return (bytes, into, at) => pixels.row(bytes, into, at, width)
  return (bytes, into, at) => {
    for (let n = 0; n < width; n++) into[at + n] = rgb(bytes, n * 3)
  }
}

function paletteLine(palette: Uint32Array, width: number): Line {
  const oneBit = palette.length <= 2
  return (bytes, into, at) => {
    for (let n = 0; n < width; n++) {
      const index = oneBit ? ((bytes[n >> 3] ?? 0) >> (7 - (n & 7))) & 1 : (bytes[n] ?? 0)
      const colour = palette[index]
      if (colour === undefined) throw new Violation('a colour outside the palette')
      into[at + n] = colour
    }
  }
}

/** Each component is sent as its difference from left + above - (above left), held inside its range. */
function gradientLine(pixels: Pixels, width: number): Line {
  const { format, tightRgb } = pixels
  if (!tightRgb && (!format.trueColour || pixels.size === 1))
    throw new Violation('a gradient filter for pixels that have no gradient')
  const parts = tightRgb
    ? [0, 8, 16].map((shift) => ({ shift, max: 255 }))
    : [
        { shift: format.redShift, max: format.redMax },
        { shift: format.greenShift, max: format.greenMax },
        { shift: format.blueShift, max: format.blueMax },
      ]
  let above = new Int32Array((width + 1) * 3)
  let current = new Int32Array((width + 1) * 3)
  return (bytes, into, at) => {
    for (let n = 0; n < width; n++) {
      const difference = tightRgb ? rgb(bytes, n * 3) : pixels.value(bytes, n * pixels.size)
      let value = 0
      parts.forEach(({ shift, max }, part) => {
        const i = (n + 1) * 3 + part
        const expected = (current[i - 3] ?? 0) + (above[i] ?? 0) - (above[i - 3] ?? 0)
        const component = (Math.min(max, Math.max(0, expected)) + (difference >>> shift)) & max
        current[i] = component
        value |= component << shift
      })
      into[at + n] = tightRgb ? (value | 0xff000000) >>> 0 : pixels.colourOf(value >>> 0)
    }
    ;[above, current] = [current, above]
  }
}

function rgb(bytes: Uint8Array, at: number): number {
  return (0xff000000 | (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16)) >>> 0
}

function tightColour(pixels: Pixels, source: ByteSource): number {
  return pixels.tightRgb ? rgb(source.take(3), 0) : pixels.colour(source.take(pixels.size), 0)
}

function readPalette(source: ByteSource, pixels: Pixels): Uint32Array {
  const palette = new Uint32Array(source.u8() + 1)
  for (let n = 0; n < palette.length; n++) palette[n] = tightColour(pixels, source)
  return palette
}

/** 22 bits in one to three bytes: 4 MiB at most. */
function compactLength(source: ByteSource): number {
  const first = source.u8()
  if (first < 128) return first
  const second = source.u8()
  const low = (first & 127) | ((second & 127) << 7)
  return second < 128 ? low : low | (source.u8() << 14)
}
