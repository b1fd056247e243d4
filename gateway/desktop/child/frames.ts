/**
 * The messages between a session and its decoding child: a length (32 bits, little-endian, counts what follows), a
 * type, a payload. Types below 32 are the same for every protocol; above, each protocol has its own.
 */
export const TO_CHILD = {
  /** How to decode; the first message, its payload is the protocol's. */
  start: 0,
  /** What the asset sent. */
  bytes: 1,
} as const

export const FROM_CHILD = {
  /** Everything is loaded; nothing of the asset has been read. JSON of `ChildStanding`. */
  ready: 0,
  size: 1,
  put: 2,
  fill: 3,
  copy: 4,
  cursor: 5,
  flush: 6,
  bell: 7,
  clipboard: 8,
  /** The asset broke its protocol; the payload says how, without anything that the asset chose. */
  violation: 9,
} as const

/** What the child says of itself before it has read anything that it could have been turned by. */
export interface ChildStanding {
  uid: number
  networkInterfaces: number
}

/** One message; larger pictures come in strips. */
export const MAX_PIXEL_BYTES = 256 * 1024
export const MAX_PAYLOAD = 1024 * 1024 + 64
const HEADER = 5

export function frameHeader(type: number, length: number): Uint8Array {
  const header = new Uint8Array(HEADER)
  new DataView(header.buffer).setUint32(0, length + 1, true)
  header[4] = type
  return header
}

/** Raised for a length that no honest side sends. */
export class FrameError extends Error {}

/** Takes a stream apart into messages. Holds at most one message's bytes. */
export class FrameReader {
  readonly #header = new Uint8Array(HEADER)
  #headerFilled = 0
  #payload: Uint8Array = new Uint8Array(0)
  #filled = 0

  /** Calls `take` for each complete message; payloads may be kept. Throws FrameError. */
  push(chunk: Uint8Array, take: (type: number, payload: Uint8Array) => void): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#headerFilled < HEADER) {
        this.#header[this.#headerFilled++] = chunk[at++] ?? 0
        if (this.#headerFilled < HEADER) continue
        const length = new DataView(this.#header.buffer).getUint32(0, true)
        if (length < 1 || length - 1 > MAX_PAYLOAD) throw new FrameError('a message of an impossible length')
        this.#payload = new Uint8Array(length - 1)
        this.#filled = 0
      } else {
        const piece = chunk.subarray(at, at + this.#payload.length - this.#filled)
        this.#payload.set(piece, this.#filled)
        this.#filled += piece.length
        at += piece.length
      }
      if (this.#filled === this.#payload.length) {
        const payload = this.#payload
        this.#headerFilled = 0
        this.#payload = new Uint8Array(0)
        this.#filled = 0
        take(this.#header[4] ?? 0, payload)
      }
    }
  }
}
