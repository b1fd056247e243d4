import { createCipheriv } from 'node:crypto'
import {
  chainHash,
  FLAG,
  FRAME_HEADER_BYTES,
  framePrefix,
  P,
  TAG_BYTES,
  writeFrameHeader,
} from '../../recordings/format/frame.ts'
import type { ChunkMeta } from '../../recordings/format/frame-sealer.ts'

/** What a gateway that lies would put into a chunk: encrypted and chained as it should be, whatever it says. */
export interface ForgedContent {
  /** What the ciphertext holds. */
  content: Buffer
  /** Length that the frame states, with flag 16. Without it the content stands as it is. */
  inflatesTo?: number
}

/** Seals as FrameSealer does, without its refusal of what the format forbids. */
export class ForgingSealer {
  chunks = 0
  closed = false
  head: Buffer
  readonly #key: Buffer
  readonly #p: Buffer
  readonly #nonce: (into: Buffer) => void

  constructor(key: Buffer, hh: Buffer, nonce: (into: Buffer) => void) {
    this.#key = key
    this.#p = framePrefix(hh)
    this.#nonce = nonce
    this.head = hh
  }

  seal(plain: Buffer, meta: ChunkMeta, forged: ForgedContent = { content: plain }) {
    const { content, inflatesTo } = forged
    const flags =
      (meta.final ? FLAG.final : 0) |
      (meta.gap ? FLAG.gap : 0) |
      (meta.clockAnomaly ? FLAG.clockAnomaly : 0) |
      (meta.keyframe ? FLAG.keyframe : 0) |
      (inflatesTo === undefined ? 0 : FLAG.deflate)
    const seq = this.chunks
    const frame = {
      bodyLength: content.length + TAG_BYTES,
      seq,
      flags,
      t0Ms: meta.t0Ms,
      t1Ms: meta.t1Ms,
      plainLength: inflatesTo ?? content.length,
    }
    this.#p.set(this.head, P.previous)
    writeFrameHeader(frame, this.#p, P.fh)
    this.#nonce(this.#p.subarray(P.nonce, P.length))
    const start = Buffer.from(this.#p.subarray(P.fh, P.length))
    const cipher = createCipheriv('aes-256-gcm', this.#key, start.subarray(FRAME_HEADER_BYTES))
    cipher.setAAD(this.#p)
    const body = Buffer.concat([cipher.update(content), cipher.final(), cipher.getAuthTag()])
    const c = chainHash(this.#p, body)
    this.head = c
    this.chunks += 1
    this.closed = meta.final === true
    return { parts: [start, body, c], seq, c }
  }
}
