import type { Rect } from '../canvas.ts'
import type { Copy } from '../screen/behind.ts'
import { fillBody } from './tight.ts'
import type { EncodedTile } from './tile-encoder.ts'

export const ENCODING_TIGHT = 7
const ENCODING_COPY_RECT = 1

/** One rectangle of a FramebufferUpdate; pseudo-encodings say other things in its four numbers. */
export interface WireRect extends Rect {
  encoding: number
  body: Uint8Array
}

/** A FramebufferUpdate's rectangles are counted in 16 bits. */
const MAX_RECTS = 0xffff
const RECT_HEADER = 12

/** Bytes that a rectangle takes in a message. */
export function wireBytes({ body }: WireRect): number {
  return RECT_HEADER + body.length
}

/**
 * The rectangles that show these tiles. Neighbours of one colour become one fill: most of a desktop is a few large
 * plain areas. Other tiles stay as they are, because only so are their bytes the same for everybody.
 */
export function rectsOf(tiles: readonly EncodedTile[]): WireRect[] {
  const rects: WireRect[] = []
  const plain: (Rect & { colour: number })[] = []
  for (const { rect, colour, body } of tiles)
    if (colour < 0) rects.push({ ...rect, encoding: ENCODING_TIGHT, body })
    else plain.push({ ...rect, colour })
  for (const { colour, ...rect } of joinDown(joinAcross(plain)))
    rects.push({ ...rect, encoding: ENCODING_TIGHT, body: fillBody(colour) })
  return rects
}

/** To be made in this order, before anything else of an update is painted. */
export function copyRects(copies: readonly Copy[]): WireRect[] {
  return copies.map(({ fromX, fromY, ...rect }) => {
    const body = Buffer.alloc(4)
    body.writeUInt16BE(fromX, 0)
    body.writeUInt16BE(fromY, 2)
    return { ...rect, encoding: ENCODING_COPY_RECT, body }
  })
}

type Plain = Rect & { colour: number }

function joinAcross(plain: readonly Plain[]): Plain[] {
  const joined: Plain[] = []
  for (const one of [...plain].sort((a, b) => a.y - b.y || a.x - b.x)) {
    const last = joined.at(-1)
    const isBeside = last && last.y === one.y && last.height === one.height && last.x + last.width === one.x
    if (isBeside && last.colour === one.colour) last.width += one.width
    else joined.push({ ...one })
  }
  return joined
}

function joinDown(runs: readonly Plain[]): Plain[] {
  const joined: Plain[] = []
  for (const one of [...runs].sort((a, b) => a.x - b.x || a.width - b.width || a.y - b.y)) {
    const last = joined.at(-1)
    const isBelow = last && last.x === one.x && last.width === one.width && last.y + last.height === one.y
    if (isBelow && last.colour === one.colour) last.height += one.height
    else joined.push({ ...one })
  }
  return joined
}

/** One complete FramebufferUpdate message. */
export function framebufferUpdate(rects: readonly WireRect[]): Uint8Array {
  if (rects.length > MAX_RECTS) throw new RangeError(`${rects.length} rectangles are no update`)
  const message = Buffer.alloc(4 + rects.reduce((sum, rect) => sum + wireBytes(rect), 0))
  message.writeUInt16BE(rects.length, 2)
  let at = 4
  for (const { x, y, width, height, encoding, body } of rects) {
    message.writeUInt16BE(x, at)
    message.writeUInt16BE(y, at + 2)
    message.writeUInt16BE(width, at + 4)
    message.writeUInt16BE(height, at + 6)
    message.writeInt32BE(encoding, at + 8)
    message.set(body, at + RECT_HEADER)
    at += RECT_HEADER + body.length
  }
  return message
}

/** Several messages of `limit` bytes at most, for what is cut into pieces of bounded size. */
export function framebufferUpdates(rects: readonly WireRect[], limit: number): Uint8Array[] {
  const messages: Uint8Array[] = []
  let group: WireRect[] = []
  let bytes = 4
  for (const rect of rects) {
    if (group.length > 0 && bytes + wireBytes(rect) > limit) {
      messages.push(framebufferUpdate(group))
      group = []
      bytes = 4
    }
    group.push(rect)
    bytes += wireBytes(rect)
  }
  if (group.length > 0) messages.push(framebufferUpdate(group))
  return messages
}
