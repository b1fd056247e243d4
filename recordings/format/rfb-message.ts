import { fault, good, type Result } from './result.ts'

/**
 * The RFB messages that a desktop recording may hold (RFC 6143 and the community's RFB specification), split into
 * their parts without looking at pixels. Codes: content-code (not for this stream), content-message (cut, or with
 * something after it), content-rectangle, content-pixels (a Tight body that noVNC would not draw).
 */
export const RFB_LIMITS = {
  side: 8192,
  /** Pixels of a screen. */
  pixels: 16_777_216,
  rectangles: 8192,
  /** Pixels of a rectangle that has to be inflated or decoded. */
  area: 4_194_304,
  cursorSide: 384,
  markerBytes: 4000,
  nameBytes: 1000,
} as const

export const ENCODING = { copyRect: 1, tight: 7, tightPng: -260, cursor: -239, desktopSize: -223 } as const

/** Server to client. The marker is ours, a number that RFB gives to nobody; a player shows it on the timeline. */
export const SERVER = { update: 0, bell: 2, marker: 77 } as const
/** Client to server; 255 is QEMU's, of which the extended key event is submessage 0. */
const CLIENT = { key: 4, pointer: 5, cutText: 6, qemu: 255 } as const

/** 32 bits a pixel, depth 24, little-endian, true colour, 8 bits each, shifts 0, 8 and 16. */
export const PIXEL_FORMAT = Buffer.from([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16, 0, 0, 0])
const BYTES_PER_PIXEL = 4
const RECTANGLE_HEADER = 12

/** What a Tight or TightPNG rectangle is made of. */
export type Paint =
  | { kind: 'fill' }
  | { kind: 'jpeg'; data: Buffer }
  | { kind: 'png'; data: Buffer }
  /** `colours` 0: three bytes a pixel, else indexes into a palette. `size`: bytes after inflating. */
  | { kind: 'basic'; colours: number; size: number; isDeflated: boolean; data: Buffer }

export interface Rectangle {
  x: number
  y: number
  width: number
  height: number
  encoding: number
  /** Of Tight and TightPNG. */
  paint: Paint | null
  /** Of CopyRect: where it comes from. */
  from: { x: number; y: number } | null
}

/** ServerInit: the screen's size. */
export function readServerInit(message: Buffer): Result<{ width: number; height: number }> {
  if (message.length < 24) return fault('content-message', 'ServerInit is cut')
  const width = message.readUInt16BE(0)
  const height = message.readUInt16BE(2)
  if (!isScreenSize(width, height)) return fault('content-rectangle', `a screen of ${width} x ${height}`)
  if (!message.subarray(4, 20).equals(PIXEL_FORMAT))
    return fault('content-message', 'the pixel format is not the one of recordings')
  const name = message.readUInt32BE(20)
  if (name > RFB_LIMITS.nameBytes || message.length !== 24 + name)
    return fault('content-message', 'the name in ServerInit does not end with the message')
  return good({ width, height })
}

export function isScreenSize(width: number, height: number): boolean {
  const { side, pixels } = RFB_LIMITS
  return width >= 1 && height >= 1 && width <= side && height <= side && width * height <= pixels
}

/** A marker on the timeline. */
export function markerMessage(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8')
  const head = Buffer.alloc(8)
  head[0] = SERVER.marker
  head.writeUInt32BE(bytes.length, 4)
  return Buffer.concat([head, bytes])
}

export function readMarker(message: Buffer): Result<string> {
  const length = message.length < 8 ? 0 : message.readUInt32BE(4)
  if (length === 0 || length > RFB_LIMITS.markerBytes || message.length !== 8 + length)
    return fault('content-message', 'a marker does not end with its text')
  if (message.readUIntBE(1, 3) !== 0) return fault('content-message', "a marker's padding is not zero")
  try {
    return good(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(message.subarray(8)))
  } catch {
    return fault('content-message', 'a marker is not UTF-8')
  }
}

/** One message of a person: whether it is whole, and of a kind that is recorded. */
export function checkClientMessage(message: Buffer): Result<null> {
  const length = clientLength(message)
  if (length === null)
    return fault('content-code', `message ${message[0]} of a client stands in the input stream`)
  return message.length === length
    ? good(null)
    : fault('content-message', `message ${message[0]} of a client has ${message.length} bytes`)
}

/** Null for a kind that is not recorded; what is too short to say its length gets one that it does not have. */
function clientLength(message: Buffer): number | null {
  switch (message[0]) {
    case CLIENT.key:
      return 8
    case CLIENT.pointer:
      // The highest button bit announces a second byte of buttons (ExtendedMouseButtons).
      return message.length > 1 && (message.readUInt8(1) & 0x80) !== 0 ? 7 : 6
    case CLIENT.cutText:
      // A negative length is the extended clipboard's.
      return message.length < 8 ? 8 : 8 + Math.abs(message.readInt32BE(4))
    case CLIENT.qemu:
      return message.length > 1 && message[1] !== 0 ? null : 12
    default:
      return null
  }
}

/** Splits a FramebufferUpdate into its rectangles; whether they fit a screen is for ScreenMessages. */
export function readUpdate(message: Buffer): Result<Rectangle[]> {
  if (message.length < 4) return fault('content-message', 'an update is cut')
  const count = message.readUInt16BE(2)
  if (count === 0 || count > RFB_LIMITS.rectangles)
    return fault('content-message', `an update has ${count} rectangles, not 1 to ${RFB_LIMITS.rectangles}`)
  const reader = new Reader(message, 4)
  const rectangles: Rectangle[] = []
  for (let index = 0; index < count; index++) {
    const one = readRectangle(reader)
    if (!one.ok) return one
    rectangles.push(one.value)
  }
  return reader.left === 0
    ? good(rectangles)
    : fault('content-message', 'something follows the last rectangle of an update')
}

function readRectangle(reader: Reader): Result<Rectangle> {
  const head = reader.take(RECTANGLE_HEADER)
  if (!head) return CUT
  const rectangle: Rectangle = {
    x: head.readUInt16BE(0),
    y: head.readUInt16BE(2),
    width: head.readUInt16BE(4),
    height: head.readUInt16BE(6),
    encoding: head.readInt32BE(8),
    paint: null,
    from: null,
  }
  const { width, height, encoding } = rectangle
  if (encoding === ENCODING.desktopSize) return good(rectangle)
  if (encoding === ENCODING.cursor) {
    if (width > RFB_LIMITS.cursorSide || height > RFB_LIMITS.cursorSide)
      return fault('content-rectangle', `a cursor of ${width} x ${height}`)
    const bytes = width * height * BYTES_PER_PIXEL + Math.ceil(width / 8) * height
    return reader.take(bytes) ? good(rectangle) : CUT
  }
  if (encoding === ENCODING.copyRect) {
    const from = reader.take(4)
    if (!from) return CUT
    rectangle.from = { x: from.readUInt16BE(0), y: from.readUInt16BE(2) }
    return good(rectangle)
  }
  if (encoding !== ENCODING.tight && encoding !== ENCODING.tightPng)
    return fault('content-code', `encoding ${encoding} is not one of a recording`)
  if (width === 0 || height === 0) return fault('content-rectangle', 'a rectangle is empty')
  const paint = readPaint(reader, rectangle)
  if (!paint.ok) return paint
  rectangle.paint = paint.value
  return good(rectangle)
}

function readPaint(reader: Reader, { width, height, encoding }: Rectangle): Result<Paint> {
  const control = reader.byte()
  if (control === null) return CUT
  const kind = control >> 4
  if (kind === 8) return reader.take(3) ? good({ kind: 'fill' }) : CUT
  if (width * height > RFB_LIMITS.area)
    return fault('content-rectangle', `a picture of ${width} x ${height} in one rectangle`)
  if (kind === 9 || (kind === 10 && encoding === ENCODING.tightPng)) {
    const data = reader.compact()
    return data ? good({ kind: kind === 9 ? 'jpeg' : 'png', data }) : CUT
  }
  if (kind > 7 || encoding !== ENCODING.tight)
    return fault('content-pixels', `compression ${kind} does not belong to encoding ${encoding}`)
  // Reset, or the picture would need what an earlier segment has sent.
  if ((control & (1 << (kind & 3))) === 0)
    return fault('content-pixels', 'a rectangle goes on in a zlib stream that it does not reset')
  const colours = readColours(reader, kind)
  if (!colours.ok) return colours
  const row = colours.value === 0 ? width * 3 : colours.value === 2 ? Math.ceil(width / 8) : width
  const size = row * height
  // So little is sent as it is.
  const isDeflated = size >= 12
  const data = isDeflated ? reader.compact() : reader.take(size)
  return data ? good({ kind: 'basic', colours: colours.value, size, isDeflated, data }) : CUT
}

/** Takes the filter and its palette; 0 for none. */
function readColours(reader: Reader, kind: number): Result<number> {
  const filter = (kind & 4) !== 0 ? reader.byte() : 0
  if (filter === null) return CUT
  if (filter === 0) return good(0)
  if (filter !== 1) return fault('content-pixels', `Tight filter ${filter}`)
  const colours = (reader.byte() ?? -1) + 1
  if (colours === 0 || !reader.take(colours * 3)) return CUT
  return colours === 1 ? fault('content-pixels', 'a palette of one colour, which is a fill') : good(colours)
}

const CUT = fault('content-message', 'an update is cut')

class Reader {
  readonly #bytes: Buffer
  #at: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.#at = at
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  take(length: number): Buffer | null {
    if (this.left < length) return null
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  byte(): number | null {
    return this.take(1)?.[0] ?? null
  }

  /** Data with Tight's compact length before it: one to three bytes, seven bits each, the last one eight. */
  compact(): Buffer | null {
    let length = 0
    for (let place = 0; place < 3; place++) {
      const byte = this.byte()
      if (byte === null) return null
      length |= (place < 2 ? byte & 0x7f : byte) << (7 * place)
      if (place === 2 || (byte & 0x80) === 0) break
    }
    return this.take(length)
  }
}
