import { Violation } from '../../violation.ts'

/** Orders of interleaved run-length encoding (MS-RDPBCGR 2.2.9.1.1.3.1.2.4). */
const REGULAR = { background: 0, foreground: 1, foregroundImage: 2, colour: 3, image: 4 } as const
const LITE = { setForeground: 0xc, setForegroundImage: 0xd, dithered: 0xe } as const
const MEGA = {
  background: 0xf0,
  foreground: 0xf1,
  foregroundImage: 0xf2,
  colour: 0xf3,
  image: 0xf4,
  setForeground: 0xf6,
  setForegroundImage: 0xf7,
  dithered: 0xf8,
  special1: 0xf9,
  special2: 0xfa,
  white: 0xfd,
  black: 0xfe,
} as const

const WHITE: Record<number, number> = { 8: 0xff, 15: 0x7fff, 16: 0xffff, 24: 0xffffff }

/**
 * Decodes one compressed bitmap of 8, 15, 16 or 24 bits. Gives rows from the bottom up, without padding, in the bitmap's
 * own format. Throws Violation for orders that read or write past an end.
 */
export function decodeInterleaved(source: Uint8Array, width: number, height: number, bits: number): Buffer {
  const bytes = bits === 24 ? 3 : bits === 8 ? 1 : 2
  const white = WHITE[bits]
  if (white === undefined) throw new Violation('a colour depth that was not agreed on')
  const out = Buffer.alloc(width * height * bytes)
  const row = width * bytes
  let from = 0
  let to = 0
  let foreground = white
  /** A background run after another begins with one foreground pixel. */
  let insert = false
  let isFirstRow = true

  const u8 = (): number => {
    const value = source[from++]
    if (value === undefined) throw new Violation('a compressed bitmap that ends too soon')
    return value
  }
  const colour = (): number => {
    let value = u8()
    if (bytes > 1) value |= u8() << 8
    if (bytes > 2) value |= u8() << 16
    return value
  }
  const put = (value: number): void => {
    if (to + bytes > out.length) throw new Violation('a compressed bitmap that is too long')
    out.writeUIntLE(value, to, bytes)
    to += bytes
  }
  const above = (): number => (isFirstRow ? 0 : out.readUIntLE(to - row, bytes))
  const masked = (mask: number, count: number): void => {
    for (let bit = 0; bit < count; bit++) put((mask >> bit) & 1 ? above() ^ foreground : above())
  }

  while (from < source.length && to < out.length) {
    if (isFirstRow && to >= row) {
      isFirstRow = false
      insert = false
    }
    const { order, length } = readOrder(u8)
    if (order === REGULAR.background || order === MEGA.background) {
      let left = length
      if (insert) {
        put(above() ^ foreground)
        left -= 1
      }
      while (left-- > 0) put(above())
      insert = true
      continue
    }
    insert = false
    switch (order) {
      case LITE.setForeground:
      case MEGA.setForeground:
      case REGULAR.foreground:
      case MEGA.foreground:
        if (order === LITE.setForeground || order === MEGA.setForeground) foreground = colour()
        for (let n = 0; n < length; n++) put(above() ^ foreground)
        break
      case LITE.dithered:
      case MEGA.dithered: {
        const pair = [colour(), colour()] as const
        for (let n = 0; n < length; n++) {
          put(pair[0])
          put(pair[1])
        }
        break
      }
      case REGULAR.colour:
      case MEGA.colour: {
        const value = colour()
        for (let n = 0; n < length; n++) put(value)
        break
      }
      case LITE.setForegroundImage:
      case MEGA.setForegroundImage:
      case REGULAR.foregroundImage:
      case MEGA.foregroundImage:
        if (order === LITE.setForegroundImage || order === MEGA.setForegroundImage) foreground = colour()
        for (let left = length; left > 0; left -= 8) masked(u8(), Math.min(8, left))
        break
      case REGULAR.image:
      case MEGA.image:
        for (let n = 0; n < length; n++) put(colour())
        break
      case MEGA.special1:
        masked(3, 8)
        break
      case MEGA.special2:
        masked(5, 8)
        break
      case MEGA.white:
        put(white)
        break
      case MEGA.black:
        put(0)
        break
      default:
        throw new Violation('a compressed bitmap with an unknown order')
    }
  }
  return out
}

function readOrder(u8: () => number): { order: number; length: number } {
  const head = u8()
  if (head >= 0xf0) {
    const hasLength = head <= MEGA.dithered
    return { order: head, length: hasLength ? u8() | (u8() << 8) : 0 }
  }
  const isLite = head >= 0xc0
  const order = isLite ? head >> 4 : head >> 5
  const length = head & (isLite ? 0x0f : 0x1f)
  if (order === REGULAR.foregroundImage || order === LITE.setForegroundImage)
    return { order, length: length > 0 ? length * 8 : u8() + 1 }
  return { order, length: length > 0 ? length : u8() + (isLite ? 16 : 32) }
}
