import { deflateSync } from 'node:zlib'

/**
 * Tight encoding (RFB community specification, "Tight Encoding") of one rectangle, lossless, such that it can be read
 * without anything before it: the control byte resets all four zlib streams, and what is compressed is one complete
 * zlib stream. So the same bytes serve every viewer and the recording.
 *
 * Which form: one colour is a fill; 2 to 256 colours are a palette with one bit or one byte per pixel; the rest is
 * three bytes per pixel. Never an empty rectangle and never a palette of one colour: noVNC reads neither.
 */
const RESET_ALL = 0x0f
const FILL = 0x80
const EXPLICIT_FILTER = 0x40
const FILTER_PALETTE = 1
/** Shorter data is written as it is, without a length. */
const MIN_TO_COMPRESS = 12
/** What the three bytes of a compact length can say; a tile is far below. */
const MAX_LENGTH = 4_194_303
const MAX_PALETTE = 256

export interface EncodedRect {
  /** The one colour (red lowest), or -1 when there are several. */
  colour: number
  /** What follows the rectangle's header in a FramebufferUpdate. */
  body: Uint8Array
}

/** A fill of one colour, red in the lowest byte. */
export function fillBody(colour: number): Uint8Array {
  return Uint8Array.of(FILL | RESET_ALL, colour & 0xff, (colour >>> 8) & 0xff, (colour >>> 16) & 0xff)
}

/** The palette of one rectangle while it is looked for: open addressing, cleared by counting up `#round`. */
const SLOTS = 1024
const slotColour = new Int32Array(SLOTS)
const slotIndex = new Uint8Array(SLOTS)
const slotRound = new Uint32Array(SLOTS)
const palette = new Int32Array(MAX_PALETTE)
let round = 0

/** `pixels`: as in a Canvas, row by row; at most a few thousand, because this takes its time in one go. */
export function encodeRect(pixels: Int32Array, width: number, height: number): EncodedRect {
  const indexes = new Uint8Array(pixels.length)
  const colours = indexPixels(pixels, indexes)
  if (colours === 1) {
    const colour = palette[0] ?? 0
    return { colour, body: fillBody(colour) }
  }
  if (colours === 0) return { colour: -1, body: withData([RESET_ALL], threeBytes(pixels), RGB) }
  const head = [RESET_ALL | EXPLICIT_FILTER, FILTER_PALETTE, colours - 1]
  for (let index = 0; index < colours; index++) {
    const colour = palette[index] ?? 0
    head.push(colour & 0xff, (colour >>> 8) & 0xff, (colour >>> 16) & 0xff)
  }
  const data = colours === 2 ? bits(indexes, width, height) : indexes
  return { colour: -1, body: withData(head, data, colours === 2 ? MONO : INDEXED) }
}

/** Fills `indexes` and the palette; the number of colours, or 0 when there are more than a palette holds. */
function indexPixels(pixels: Int32Array, indexes: Uint8Array): number {
  round += 1
  let colours = 0
  let last = -1
  let lastIndex = 0
  for (let at = 0; at < pixels.length; at++) {
    const colour = (pixels[at] as number) & 0xffffff
    if (colour !== last) {
      let slot = (Math.imul(colour, 0x9e3779b1) >>> 22) & (SLOTS - 1)
      while (slotRound[slot] === round && slotColour[slot] !== colour) slot = (slot + 1) & (SLOTS - 1)
      if (slotRound[slot] !== round) {
        if (colours === MAX_PALETTE) return 0
        slotRound[slot] = round
        slotColour[slot] = colour
        slotIndex[slot] = colours
        palette[colours] = colour
        colours += 1
      }
      last = colour
      lastIndex = slotIndex[slot] as number
    }
    indexes[at] = lastIndex
  }
  return colours
}

/** One bit per pixel, highest first, each row on a whole byte. */
function bits(indexes: Uint8Array, width: number, height: number): Uint8Array {
  const stride = Math.ceil(width / 8)
  const packed = new Uint8Array(stride * height)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      if (indexes[y * width + x] === 1) {
        const at = y * stride + (x >> 3)
        packed[at] = (packed[at] as number) | (0x80 >> (x & 7))
      }
  return packed
}

function threeBytes(pixels: Int32Array): Uint8Array {
  const data = new Uint8Array(pixels.length * 3)
  let at = 0
  for (const pixel of pixels) {
    data[at] = pixel
    data[at + 1] = pixel >>> 8
    data[at + 2] = pixel >>> 16
    at += 3
  }
  return data
}

/**
 * Measured on screens of text, windows and photographs: a smaller window costs nothing on a tile and saves most of
 * what setting a stream up costs; higher levels cost more time than they save bytes.
 */
const MONO = { level: 3, windowBits: 13, memLevel: 6 }
const INDEXED = { level: 4, windowBits: 13, memLevel: 6 }
const RGB = { level: 1, windowBits: 13, memLevel: 6 }

function withData(head: readonly number[], data: Uint8Array, options: typeof MONO): Uint8Array {
  if (data.length < MIN_TO_COMPRESS) return joined(head, [], data)
  const compressed = deflateSync(data, options)
  return joined(head, compactLength(compressed.length), compressed)
}

function joined(head: readonly number[], length: readonly number[], data: Uint8Array): Uint8Array {
  const body = new Uint8Array(head.length + length.length + data.length)
  body.set(head)
  body.set(length, head.length)
  body.set(data, head.length + length.length)
  return body
}

function compactLength(length: number): number[] {
  if (length > MAX_LENGTH) throw new RangeError(`${length} bytes are no Tight rectangle`)
  if (length < 0x80) return [length]
  if (length < 0x4000) return [(length & 0x7f) | 0x80, length >> 7]
  return [(length & 0x7f) | 0x80, ((length >> 7) & 0x7f) | 0x80, length >> 14]
}
