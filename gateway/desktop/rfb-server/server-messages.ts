import type { Cursor } from '../canvas.ts'
import type { WireRect } from '../encode/rects.ts'
import { ENCODING, FENCE, PIXEL_FORMAT, SECURITY_NONE, TO_CLIENT, VERSION_LINE } from './wire.ts'

/** Bytes. A longer name is cut: it is for a window's title, and recordings take no longer one. */
const NAME_LIMIT = 1000

export const VERSION = Buffer.from(VERSION_LINE, 'latin1')
/** One security type, None: the socket that carries this has been authenticated. */
export const SECURITY_TYPES = Buffer.from([1, SECURITY_NONE])
export const SECURITY_OK = Buffer.alloc(4)
export const BELL = Buffer.from([TO_CLIENT.bell])
/** Sent first, it says that continuous updates are known here. */
export const END_OF_CONTINUOUS_UPDATES = Buffer.from([TO_CLIENT.endOfContinuousUpdates])

export function serverInit(width: number, height: number, name: string): Uint8Array {
  const text = cutUtf8(forNoVnc(name), NAME_LIMIT)
  const head = Buffer.alloc(24)
  head.writeUInt16BE(width, 0)
  head.writeUInt16BE(height, 2)
  PIXEL_FORMAT.copy(head, 4)
  head.writeUInt32BE(text.length, 20)
  return Buffer.concat([head, text])
}

/** Whole characters only. */
function cutUtf8(text: string, limit: number): Buffer {
  const bytes = Buffer.alloc(limit)
  return bytes.subarray(0, new TextEncoder().encodeInto(text, bytes).written)
}

/** noVNC goes down to 8 bits a pixel, which we refuse, when it reads just this name. An asset may be called so. */
function forNoVnc(name: string): string {
  return name === 'Intel(r) AMT KVM' ? `${name} ` : name
}

/** The pointer in the screen's own pixel format, with a mask of one bit per pixel. */
export function cursorRect({ width, height, hotX, hotY, pixels }: Cursor): WireRect {
  const stride = Math.ceil(width / 8)
  const body = new Uint8Array(width * height * 4 + stride * height)
  const mask = width * height * 4
  for (let pixel = 0; pixel < width * height; pixel++) {
    const at = pixel * 4
    body.set(pixels.subarray(at, at + 3), at)
    if ((pixels[at + 3] ?? 0) < 128) continue
    const x = pixel % width
    const bit = mask + Math.floor(pixel / width) * stride + (x >> 3)
    body[bit] = (body[bit] ?? 0) | (0x80 >> (x & 7))
  }
  return { x: hotX, y: hotY, width, height, encoding: ENCODING.cursor, body }
}

/**
 * The pointer as VMware's pseudo-encoding with alpha. noVNC 1.7 reads the colours of the plain one as blue, green, red
 * whatever pixel format it has asked for; of this one it reads them right, and it prefers this one.
 */
export function vmwareCursorRect({ width, height, hotX, hotY, pixels }: Cursor): WireRect {
  const body = new Uint8Array(2 + pixels.length)
  body[0] = 1
  body.set(pixels, 2)
  return { x: hotX, y: hotY, width, height, encoding: ENCODING.vmwareCursor, body }
}

/** A rectangle that only says that something is known here. */
export function offerRect(encoding: number): WireRect {
  return { x: 0, y: 0, width: 0, height: 0, encoding, body: new Uint8Array(0) }
}

export function desktopSizeRect(width: number, height: number): WireRect {
  return { x: 0, y: 0, width, height, encoding: ENCODING.desktopSize, body: new Uint8Array(0) }
}

export const RESIZE_REASON = { server: 0, thisClient: 1 } as const
/** `forwarded`: asked for; whether the asset does it is shown by its next size. */
export const RESIZE_STATUS = { done: 0, prohibited: 1, invalid: 3, forwarded: 4 } as const

export function extendedDesktopSizeRect(
  width: number,
  height: number,
  reason: number = RESIZE_REASON.server,
  status: number = RESIZE_STATUS.done,
): WireRect {
  // One screen, number 0, that covers everything.
  const body = Buffer.alloc(4 + 16)
  body[0] = 1
  body.writeUInt16BE(width, 12)
  body.writeUInt16BE(height, 14)
  return { x: reason, y: status, width, height, encoding: ENCODING.extendedDesktopSize, body }
}

export function fence(flags: number, payload: Uint8Array): Uint8Array {
  const message = Buffer.alloc(9 + payload.length)
  message[0] = TO_CLIENT.fence
  message.writeUInt32BE(flags >>> 0, 4)
  message[8] = payload.length
  message.set(payload, 9)
  return message
}

/** A fence that the browser answers when it has handled everything before it. */
export function fenceRequest(number: number): Uint8Array {
  const payload = Buffer.alloc(4)
  payload.writeUInt32BE(number)
  return fence(FENCE.request | FENCE.blockBefore, payload)
}
