import { FENCE_PAYLOAD_LIMIT, FROM_CLIENT, PIXEL_FORMAT, SECURITY_NONE, VERSION_LINE } from './wire.ts'

/** What a browser said, one complete message each. */
export type ClientMessage =
  | { type: 'version' }
  | { type: 'security' }
  | { type: 'init' }
  | { type: 'pixel-format' }
  | { type: 'encodings'; encodings: number[] }
  | { type: 'update-request'; incremental: boolean }
  | { type: 'key'; down: boolean; keysym: number; scancode: number | null }
  | { type: 'pointer'; x: number; y: number; buttons: number }
  | { type: 'cut-text'; latin1: Uint8Array }
  | { type: 'extended-cut-text'; data: Uint8Array }
  | { type: 'continuous-updates'; enable: boolean }
  | { type: 'fence'; flags: number; payload: Uint8Array }
  | { type: 'desktop-size'; width: number; height: number }

/** What the browser sent is no message of this protocol; `message` is for the log. */
export class ClientProtocolError extends Error {}

/** Text from a browser's clipboard, compressed or not: as much as one frame of input on a terminal's socket. */
export const CLIENT_TEXT_LIMIT = 256 * 1024
/** noVNC names some 30. */
const MAX_ENCODINGS = 256
const MAX_SCREENS = 16
/** Scancodes are one byte, 0xe0 as bit 7. */
const MAX_SCANCODE = 0xff

type Step = 'version' | 'security' | 'init' | 'normal'

/**
 * Cuts a browser's bytes into messages, however they are split. It keeps one unfinished message at most, and each has
 * a bound that is checked on its length before the bytes are waited for.
 */
export class ClientMessages {
  #step: Step = 'version'
  /** An unfinished message's room once its length is known, its few first bytes before. */
  #kept: Buffer = Buffer.alloc(0)
  #filled = 0
  /** The browser was told that bit 7 of a pointer's buttons announces a further byte. */
  hasExtendedMouseButtons = false

  /**
   * Hands each complete message on, in order. Throws ClientProtocolError; the parser is of no use afterwards.
   * `take` may change what later bytes mean (`hasExtendedMouseButtons`), so messages are parsed one by one.
   */
  push(chunk: Uint8Array, take: (message: ClientMessage) => void): void {
    let bytes = this.#withKept(asBuffer(chunk))
    while (bytes.length > 0) {
      const length = this.#lengthOf(bytes)
      if (length === null || bytes.length < length) {
        // Each byte is copied once, however small the pieces are that it comes in.
        this.#kept = Buffer.alloc(length ?? bytes.length)
        this.#filled = bytes.copy(this.#kept)
        return
      }
      const message = this.#parse(bytes.subarray(0, length))
      bytes = bytes.subarray(length)
      take(message)
    }
  }

  /** What is to be parsed now: nothing while a message whose length is known is incomplete. */
  #withKept(chunk: Buffer): Buffer {
    if (this.#filled === 0) return chunk
    const taken = chunk.copy(this.#kept, this.#filled)
    this.#filled += taken
    if (this.#filled < this.#kept.length) return chunk.subarray(chunk.length)
    const whole = this.#kept
    this.#kept = Buffer.alloc(0)
    this.#filled = 0
    return taken === chunk.length ? whole : Buffer.concat([whole, chunk.subarray(taken)])
  }

  /** Length of the message that begins here, null while too little of it is there to say. */
  #lengthOf(bytes: Buffer): number | null {
    switch (this.#step) {
      case 'version':
        return VERSION_LINE.length
      case 'security':
      case 'init':
        return 1
      case 'normal':
        return this.#normalLength(bytes)
    }
  }

  #normalLength(bytes: Buffer): number | null {
    const type = bytes[0]
    switch (type) {
      case FROM_CLIENT.setPixelFormat:
        return 20
      case FROM_CLIENT.setEncodings:
        if (bytes.length < 4) return null
        return 4 + 4 * bounded(bytes.readUInt16BE(2), MAX_ENCODINGS, 'encodings')
      case FROM_CLIENT.updateRequest:
      case FROM_CLIENT.enableContinuousUpdates:
        return 10
      case FROM_CLIENT.key:
        return 8
      case FROM_CLIENT.pointer:
        if (bytes.length < 2) return null
        return this.hasExtendedMouseButtons && ((bytes[1] ?? 0) & 0x80) !== 0 ? 7 : 6
      case FROM_CLIENT.cutText:
        if (bytes.length < 8) return null
        return 8 + bounded(Math.abs(bytes.readInt32BE(4)), CLIENT_TEXT_LIMIT, 'bytes of clipboard')
      case FROM_CLIENT.fence:
        if (bytes.length < 9) return null
        return 9 + bounded(bytes[8] ?? 0, FENCE_PAYLOAD_LIMIT, 'bytes in a fence')
      case FROM_CLIENT.setDesktopSize:
        if (bytes.length < 8) return null
        return 8 + 16 * bounded(bytes[6] ?? 0, MAX_SCREENS, 'screens')
      case FROM_CLIENT.qemu:
        if (bytes.length < 2) return null
        if (bytes[1] !== 0) throw new ClientProtocolError(`QEMU message ${bytes[1]} was not offered`)
        return 12
      default:
        throw new ClientProtocolError(`message ${type} was not offered`)
    }
  }

  #parse(bytes: Buffer): ClientMessage {
    switch (this.#step) {
      case 'version':
        if (bytes.toString('latin1') !== VERSION_LINE)
          throw new ClientProtocolError('only version 3.8 of RFB is spoken')
        this.#step = 'security'
        return { type: 'version' }
      case 'security':
        if (bytes[0] !== SECURITY_NONE) throw new ClientProtocolError('that security type was not offered')
        this.#step = 'init'
        return { type: 'security' }
      case 'init':
        // The flag asks for others to be put out or not; who may watch is not the browser's to say.
        this.#step = 'normal'
        return { type: 'init' }
      case 'normal':
        return this.#normal(bytes)
    }
  }

  #normal(bytes: Buffer): ClientMessage {
    switch (bytes[0]) {
      case FROM_CLIENT.setPixelFormat:
        // The three last bytes are padding.
        if (!bytes.subarray(4, 17).equals(PIXEL_FORMAT.subarray(0, 13)))
          throw new ClientProtocolError('only 32-bit pixels with red lowest are sent')
        return { type: 'pixel-format' }
      case FROM_CLIENT.setEncodings:
        return {
          type: 'encodings',
          encodings: Array.from({ length: bytes.readUInt16BE(2) }, (_, at) => bytes.readInt32BE(4 + 4 * at)),
        }
      case FROM_CLIENT.updateRequest:
        return { type: 'update-request', incremental: bytes[1] !== 0 }
      case FROM_CLIENT.key:
        return { type: 'key', down: bytes[1] !== 0, keysym: bytes.readUInt32BE(4), scancode: null }
      case FROM_CLIENT.pointer:
        return {
          type: 'pointer',
          x: bytes.readUInt16BE(2),
          y: bytes.readUInt16BE(4),
          buttons:
            bytes.length === 7 ? ((bytes[1] ?? 0) & 0x7f) | (((bytes[6] ?? 0) & 3) << 7) : (bytes[1] ?? 0),
        }
      case FROM_CLIENT.cutText:
        return bytes.readInt32BE(4) >= 0
          ? { type: 'cut-text', latin1: Uint8Array.from(bytes.subarray(8)) }
          : { type: 'extended-cut-text', data: Uint8Array.from(bytes.subarray(8)) }
      case FROM_CLIENT.enableContinuousUpdates:
        return { type: 'continuous-updates', enable: bytes[1] !== 0 }
      case FROM_CLIENT.fence:
        return { type: 'fence', flags: bytes.readUInt32BE(4), payload: Uint8Array.from(bytes.subarray(9)) }
      case FROM_CLIENT.setDesktopSize:
        return { type: 'desktop-size', width: bytes.readUInt16BE(2), height: bytes.readUInt16BE(4) }
      default:
        return {
          type: 'key',
          down: bytes.readUInt16BE(2) !== 0,
          keysym: bytes.readUInt32BE(4),
          scancode: scancode(bytes.readUInt32BE(8)),
        }
    }
  }
}

/** 0 is "unknown". */
function scancode(value: number): number | null {
  if (value > MAX_SCANCODE) throw new ClientProtocolError(`${value} is no scancode`)
  return value === 0 ? null : value
}

function bounded(value: number, limit: number, what: string): number {
  if (value > limit) throw new ClientProtocolError(`${value} ${what}: ${limit} at most`)
  return value
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
