import type { Cursor } from '../../canvas.ts'
import { MAX_CURSOR_SIDE } from '../../limits.ts'
import { Violation } from '../../violation.ts'

/** More places than any client offers; a server that names another has no pointer there. */
const CACHE_PLACES = 64
const HIDDEN: Cursor = { width: 0, height: 0, hotX: 0, hotY: 0, pixels: new Uint8Array(0) }

/** IronRDP leaves the server's pointers alone: they are read here (MS-RDPBCGR 2.2.9.1.1.4 and 2.2.9.1.2.1.5 on). */
export class Pointers {
  readonly #cache = new Map<number, Cursor>()
  readonly #show: (cursor: Cursor) => void

  constructor(show: (cursor: Cursor) => void) {
    this.#show = show
  }

  hide(): void {
    this.#show(HIDDEN)
  }

  standard(): void {
    this.#show(ARROW)
  }

  cached(update: Buffer): void {
    if (update.length < 2) throw new Violation('a pointer that ends too soon')
    // One that was never sent is shown as any other that cannot be had.
    this.#show(this.#cache.get(update.readUInt16LE(0)) ?? ARROW)
  }

  /** Of 24 bits, the older form. */
  colour(update: Buffer): void {
    this.#read(update, 24, 2)
  }

  /** With its depth before it. */
  fresh(update: Buffer): void {
    if (update.length < 2) throw new Violation('a pointer that ends too soon')
    this.#read(update.subarray(2), update.readUInt16LE(0), 2)
  }

  /** Up to 384 pixels a side: longer masks. */
  large(update: Buffer): void {
    if (update.length < 2) throw new Violation('a pointer that ends too soon')
    this.#read(update.subarray(2), update.readUInt16LE(0), 4)
  }

  #read(update: Buffer, bits: number, lengthBytes: 2 | 4): void {
    const masksAt = 10 + lengthBytes * 2
    if (update.length < masksAt) throw new Violation('a pointer that ends too soon')
    const word = (n: number) => update.readUInt16LE(n * 2)
    const [place, hotX, hotY, width, height] = [word(0), word(1), word(2), word(3), word(4)]
    const andLength = update.readUIntLE(10, lengthBytes)
    const xorLength = update.readUIntLE(10 + lengthBytes, lengthBytes)
    if (width > MAX_CURSOR_SIDE || height > MAX_CURSOR_SIDE) throw new Violation('too large a pointer')
    if (masksAt + xorLength + andLength > update.length)
      throw new Violation('a pointer that is longer than its update')
    const xor = update.subarray(masksAt, masksAt + xorLength)
    const and = update.subarray(masksAt + xorLength, masksAt + xorLength + andLength)
    const cursor =
      width === 0 || height === 0
        ? HIDDEN
        : {
            width,
            height,
            hotX: Math.min(hotX, width - 1),
            hotY: Math.min(hotY, height - 1),
            pixels: pixelsOf(xor, and, bits, width, height),
          }
    if (place < CACHE_PLACES) this.#cache.set(place, cursor)
    this.#show(cursor)
  }
}

/**
 * The two masks as one picture. Where both ask for the inverse of what lies below, which a picture cannot have, every
 * other pixel is black and the rest is white, so it shows on anything. Rows stand from the bottom up, except of one bit.
 */
function pixelsOf(xor: Buffer, and: Buffer, bits: number, width: number, height: number): Uint8Array {
  const xorStride = (Math.ceil((width * bits) / 8) + 1) & ~1
  const andStride = (Math.ceil(width / 8) + 1) & ~1
  if (xor.length < xorStride * height) throw new Violation('a pointer that is shorter than its size')
  const hasAnd = and.length >= andStride * height
  const pixels = new Uint8Array(width * height * 4)
  const read = colourReader(bits)
  for (let y = 0; y < height; y++) {
    const row = bits === 1 ? y : height - 1 - y
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * 4
      const [red, green, blue, alpha] = read(xor, row * xorStride, x)
      const isMasked = hasAnd && ((and[row * andStride + (x >> 3)] ?? 0) >> (7 - (x & 7))) & 1
      const isDark = red + green + blue === 0
      if (isMasked && (isDark || (bits === 32 && alpha === 0))) continue
      if (!isMasked && bits === 32 && alpha < 128) continue
      const inverse = isMasked ? ((x + y) & 1) * 255 : null
      pixels.set(inverse === null ? [red, green, blue, 255] : [inverse, inverse, inverse, 255], at)
    }
  }
  return pixels
}

type Colour = readonly [red: number, green: number, blue: number, alpha: number]

function colourReader(bits: number): (mask: Buffer, row: number, x: number) => Colour {
  const byte = (mask: Buffer, at: number) => mask[at] ?? 0
  switch (bits) {
    case 1:
      return (mask, row, x) => {
        const value = ((byte(mask, row + (x >> 3)) >> (7 - (x & 7))) & 1) * 255
        return [value, value, value, 255]
      }
    case 16:
      return (mask, row, x) => {
        const value = byte(mask, row + x * 2) | (byte(mask, row + x * 2 + 1) << 8)
        const wide = (part: number, most: number) => Math.round((part * 255) / most)
        return [wide(value >> 11, 31), wide((value >> 5) & 63, 63), wide(value & 31, 31), 255]
      }
    case 24:
    case 32: {
      const bytes = bits / 8
      return (mask, row, x) => {
        const at = row + x * bytes
        return [
          byte(mask, at + 2),
          byte(mask, at + 1),
          byte(mask, at),
          bits === 32 ? byte(mask, at + 3) : 255,
        ]
      }
    }
    default:
      throw new Violation('a pointer of an unknown depth')
  }
}

/** The client's own pointer, for servers that say "your usual one": `#` black, `.` white. */
const ARROW_ROWS = [
  '#',
  '##',
  '#.#',
  '#..#',
  '#...#',
  '#....#',
  '#.....#',
  '#......#',
  '#.......#',
  '#........#',
  '#.....#####',
  '#..#..#',
  '#.# #..#',
  '##  #..#',
  '#    #..#',
  '     #..#',
  '      ##',
]

export const ARROW: Cursor = (() => {
  const width = 11
  const height = ARROW_ROWS.length
  const pixels = new Uint8Array(width * height * 4)
  ARROW_ROWS.forEach((row, y) => {
    for (const [x, mark] of [...row].entries()) {
      const value = mark === '.' ? 255 : 0
      if (mark !== ' ') pixels.set([value, value, value, 255], (y * width + x) * 4)
    }
  })
  return { width, height, hotX: 0, hotY: 0, pixels }
})()
