import { Violation } from '../../violation.ts'

/** RFC 6143 section 7.4. */
export interface PixelFormat {
  bitsPerPixel: 8 | 16 | 32
  depth: number
  bigEndian: boolean
  trueColour: boolean
  redMax: number
  greenMax: number
  blueMax: number
  redShift: number
  greenShift: number
  blueShift: number
}

/** What is asked for: the canvas's own order of bytes, so that pixels are copied and not computed. */
export const CANVAS_FORMAT: PixelFormat = {
  bitsPerPixel: 32,
  depth: 24,
  bigEndian: false,
  trueColour: true,
  redMax: 255,
  greenMax: 255,
  blueMax: 255,
  redShift: 0,
  greenShift: 8,
  blueShift: 16,
}

export function readPixelFormat(bytes: Uint8Array): PixelFormat {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16)
  const bitsPerPixel = view.getUint8(0)
  if (bitsPerPixel !== 8 && bitsPerPixel !== 16 && bitsPerPixel !== 32)
    throw new Violation('a pixel format of unknown width')
  const format: PixelFormat = {
    bitsPerPixel,
    depth: view.getUint8(1),
    bigEndian: view.getUint8(2) !== 0,
    trueColour: view.getUint8(3) !== 0,
    redMax: view.getUint16(4),
    greenMax: view.getUint16(6),
    blueMax: view.getUint16(8),
    redShift: view.getUint8(10),
    greenShift: view.getUint8(11),
    blueShift: view.getUint8(12),
  }
  if (format.depth < 1 || format.depth > bitsPerPixel) throw new Violation('a pixel format of unknown depth')
  if (!format.trueColour) {
    if (bitsPerPixel === 32) throw new Violation('a colour map of unknown size')
    return format
  }
  for (const [max, shift] of [
    [format.redMax, format.redShift],
    [format.greenMax, format.greenShift],
    [format.blueMax, format.blueShift],
  ] as const)
    if (
      max < 1 ||
      (max & (max + 1)) !== 0 ||
      shift >= bitsPerPixel ||
      shift + Math.log2(max + 1) > bitsPerPixel
    )
      throw new Violation('a pixel format that fits no pixel')
  return format
}

const OPAQUE = 0xff000000

/**
 * Turns the server's pixels into the canvas's: numbers whose bytes in memory are red, green, blue, 255 (on the
 * little-endian machines that Node runs on here).
 */
export class Pixels {
  readonly format: PixelFormat
  readonly size: 1 | 2 | 4
  /** Bytes of a CPIXEL (RFC 6143 section 7.7.5). */
  readonly compressedSize: 1 | 2 | 3 | 4
  /** Tight sends red, green, blue (its TPIXEL) for this format. */
  readonly tightRgb: boolean
  readonly #compressedOffset: 0 | 1
  readonly #map: Uint32Array
  readonly #isCanvas: boolean

  constructor(format: PixelFormat) {
    this.format = format
    this.size = (format.bitsPerPixel / 8) as 1 | 2 | 4
    const whole = format.bitsPerPixel === 32 && format.trueColour && format.depth <= 24
    const top = (max: number, shift: number) => shift + Math.log2(max + 1)
    const highest = Math.max(
      top(format.redMax, format.redShift),
      top(format.greenMax, format.greenShift),
      top(format.blueMax, format.blueShift),
    )
    const lowest = Math.min(format.redShift, format.greenShift, format.blueShift)
    const inLow = whole && highest <= 24
    const inHigh = whole && lowest >= 8
    this.compressedSize = inLow || inHigh ? 3 : this.size
    // The three bytes that carry colour, as offsets in memory: the low ones come first only when little-endian.
    this.#compressedOffset = inLow === !format.bigEndian ? 0 : 1
    this.tightRgb =
      whole &&
      format.depth === 24 &&
      format.redMax === 255 &&
      format.greenMax === 255 &&
      format.blueMax === 255
    this.#map = new Uint32Array(format.trueColour ? 0 : 2 ** format.bitsPerPixel).fill(OPAQUE)
    this.#isCanvas =
      this.tightRgb &&
      !format.bigEndian &&
      format.redShift === 0 &&
      format.greenShift === 8 &&
      format.blueShift === 16
  }

  /** A colour map entry of 16 bits a component. Nothing when the format has no map. */
  setColour(index: number, red: number, green: number, blue: number): void {
    if (this.format.trueColour) return
    if (index >= this.#map.length) throw new Violation('a colour outside the colour map')
    this.#map[index] = (OPAQUE | (red >> 8) | ((green >> 8) << 8) | ((blue >> 8) << 16)) >>> 0
  }

  /** The pixel value at `at` as the server means it. */
  value(bytes: Uint8Array, at: number): number {
    const a = bytes[at] ?? 0
    if (this.size === 1) return a
    const b = bytes[at + 1] ?? 0
    if (this.size === 2) return this.format.bigEndian ? (a << 8) | b : (b << 8) | a
    const c = bytes[at + 2] ?? 0
    const d = bytes[at + 3] ?? 0
    return (
      (this.format.bigEndian
        ? (a << 24) | (b << 16) | (c << 8) | d
        : (d << 24) | (c << 16) | (b << 8) | a) >>> 0
    )
  }

  /** A pixel value as a colour of the canvas. */
  colourOf(value: number): number {
    const { format } = this
    if (!format.trueColour) return this.#map[value] ?? OPAQUE
    const part = (shift: number, max: number) => {
      const raw = (value >>> shift) & max
      return max === 255 ? raw : Math.round((raw * 255) / max)
    }
    const red = part(format.redShift, format.redMax)
    const green = part(format.greenShift, format.greenMax)
    const blue = part(format.blueShift, format.blueMax)
    return (OPAQUE | red | (green << 8) | (blue << 16)) >>> 0
  }

  colour(bytes: Uint8Array, at: number): number {
    if (this.#isCanvas)
      return (OPAQUE | (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16)) >>> 0
    return this.colourOf(this.value(bytes, at))
  }

  /** A CPIXEL. */
  compressedColour(bytes: Uint8Array, at: number): number {
    if (this.#isCanvas || this.compressedSize !== 3) return this.colour(bytes, at)
    const four = new Uint8Array(4)
    four.set(bytes.subarray(at, at + 3), this.#compressedOffset)
    return this.colour(four, 0)
  }

  row(bytes: Uint8Array, into: Uint32Array, at: number, count: number): void {
    for (let n = 0; n < count; n++) into[at + n] = this.colour(bytes, n * this.size)
  }
}
