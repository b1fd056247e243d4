import { createCipheriv, createSecretKey, type KeyObject, randomFillSync } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import {
  BODY_LIMIT,
  CHAIN_BYTES,
  chainHash,
  FLAG,
  FRAME_HEADER_BYTES,
  framePrefix,
  INFLATE_RATIO,
  NONCE_BYTES,
  P,
  PLAIN_LIMIT,
  TAG_BYTES,
  writeFrameHeader,
} from './frame.ts'

export interface ChunkMeta {
  t0Ms: number
  t1Ms: number
  final?: boolean
  gap?: boolean
  clockAnomaly?: boolean
  keyframe?: boolean
  /** Try deflate-raw; used only when it is smaller and within the ratio. Costs time: not under flood. */
  deflate?: boolean
}

export interface SealedFrame {
  /** The frame's bytes in order, for one writev. */
  parts: Buffer[]
  bytes: number
  seq: number
  flags: number
  /** C of this frame: the stream's head from now on. */
  c: Buffer
  /**
   * Ends the use of `parts` once they are written: frees the ciphertext at once. Left to the garbage collector, each
   * frame takes fresh pages from the kernel, which costs more than the encryption.
   */
  release(): void
}

/** More than this goes into several chunks. */
export const CHUNK_LIMIT = BODY_LIMIT - TAG_BYTES

/**
 * Seals one segment's chunks, in order. Synchronous: it runs beside the bytes it seals, and a chunk of 64 KiB costs
 * about 0.1 ms. The data key serves one segment only, so random 96-bit nonces cannot collide in practice
 * (NIST SP 800-38D section 8.3: below 2^32 frames).
 */
export class FrameSealer {
  readonly #key: KeyObject
  readonly #p: Buffer
  readonly #nonce: (into: Buffer) => void
  #seq = 0
  #head: Buffer
  #closed = false

  /** `nonce` fills 12 bytes; anything but randomness is for frozen test vectors. */
  constructor(dataKey: Uint8Array, hh: Uint8Array, nonce: (into: Buffer) => void = randomNonce) {
    if (dataKey.length !== 32) throw new RangeError('a data key has 32 bytes')
    this.#key = createSecretKey(dataKey)
    this.#p = framePrefix(hh)
    this.#nonce = nonce
    this.#head = Buffer.from(hh)
  }

  /** Number of frames sealed so far. */
  get chunks(): number {
    return this.#seq
  }

  /** C of the last frame, or HH when there is none. */
  get head(): Buffer {
    return this.#head
  }

  /** Whether a final frame has been sealed. */
  get closed(): boolean {
    return this.#closed
  }

  /** `plain`: at most CHUNK_LIMIT bytes, whole asciicast lines; it may be reused after the call. */
  seal(plain: Uint8Array, meta: ChunkMeta): SealedFrame {
    if (this.#closed) throw new Error('the segment is final: a segment is never resumed')
    const packed = meta.deflate ? deflated(plain) : null
    const content = packed ?? plain
    if (content.length > CHUNK_LIMIT) throw new RangeError('chunk is larger than a frame holds')
    const flags =
      (meta.final ? FLAG.final : 0) |
      (meta.gap ? FLAG.gap : 0) |
      (meta.clockAnomaly ? FLAG.clockAnomaly : 0) |
      (meta.keyframe ? FLAG.keyframe : 0) |
      (packed ? FLAG.deflate : 0)
    if (plain.length === 0 && !meta.final && !meta.gap)
      throw new RangeError('only a final or gap chunk is empty')
    if (plain.length > 0 && meta.gap) throw new RangeError('a gap chunk has no content')
    if (meta.t0Ms > meta.t1Ms) throw new RangeError('chunk ends before it begins')

    const p = this.#p
    p.set(this.#head, P.previous)
    const header = {
      bodyLength: content.length + TAG_BYTES,
      seq: this.#seq,
      flags,
      t0Ms: meta.t0Ms,
      t1Ms: meta.t1Ms,
      plainLength: plain.length,
    }
    writeFrameHeader(header, p, P.fh)
    this.#nonce(p.subarray(P.nonce, P.length))
    const start = Buffer.from(p.subarray(P.fh, P.length))
    const cipher = createCipheriv('aes-256-gcm', this.#key, start.subarray(FRAME_HEADER_BYTES))
    cipher.setAAD(p)
    const text = cipher.update(content)
    cipher.final()
    const end = Buffer.allocUnsafe(TAG_BYTES + CHAIN_BYTES)
    end.set(cipher.getAuthTag())
    const c = chainHash(p, text, end.subarray(0, TAG_BYTES))
    end.set(c, TAG_BYTES)

    const seq = this.#seq
    this.#seq += 1
    this.#head = c
    this.#closed = meta.final === true
    return {
      parts: [start, text, end],
      bytes: FRAME_HEADER_BYTES + NONCE_BYTES + text.length + end.length,
      seq,
      flags,
      c,
      release: () => free(text),
    }
  }
}

/** Random bytes for the next nonces of all sessions of a thread: asking for twelve at a time costs a seal's tenth. */
const nonces = Buffer.alloc(NONCE_BYTES * 256)
let nextNonce = nonces.length

function randomNonce(into: Buffer): void {
  if (nextNonce === nonces.length) {
    randomFillSync(nonces)
    nextNonce = 0
  }
  nonces.copy(into, 0, nextNonce, nextNonce + NONCE_BYTES)
  nextNonce += NONCE_BYTES
}

/** Only a buffer that nobody else has a part of. */
function free(bytes: Buffer): void {
  const { buffer } = bytes
  if (buffer instanceof ArrayBuffer && buffer.byteLength === bytes.length) buffer.transfer(0)
}

/** Fits the window of 2 KiB. */
const SMALL_CHUNK = 2048

/** Level 1: terminal output halves at a cost near that of sealing it; higher levels cost more than they give. */
function deflated(plain: Uint8Array): Buffer | null {
  if (plain.length < 64 || plain.length > PLAIN_LIMIT) return null
  // zlib clears its window and tables for each chunk: the little that a quiet session shows needs small ones.
  const size = plain.length <= SMALL_CHUNK ? { windowBits: 11, memLevel: 4 } : {}
  const packed = deflateRawSync(plain, { level: 1, chunkSize: Math.max(plain.length, SMALL_CHUNK), ...size })
  const smaller = packed.length + 16 < plain.length
  return smaller && plain.length <= INFLATE_RATIO * (packed.length + TAG_BYTES) ? packed : null
}
