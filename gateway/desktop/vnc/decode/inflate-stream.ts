import {
  Z_BUF_ERROR,
  Z_OK,
  Z_STREAM_END,
  Z_SYNC_FLUSH,
  ZStream,
  zlibInflate,
  zlibInflateInit,
  zlibInflateReset,
} from 'pako'
import { Violation } from '../../violation.ts'
import { type ByteSource, type Bytes, MAX_TAKE } from './byte-source.ts'

const PIECE = 16 * 1024

/**
 * A zlib stream that goes on from rectangle to rectangle. It is pulled: never more than one `take` is inflated ahead of
 * what the decoder asks for, so a bomb stays compressed. (node:zlib has no way to go on synchronously.)
 */
export class InflateStream implements Bytes {
  readonly #z = new ZStream()
  readonly #out = new Uint8Array(MAX_TAKE)
  #started = false
  #source: ByteSource | null = null
  /** Compressed bytes of this rectangle that the source has not given yet. */
  #left = 0
  #at = 0
  #filled = 0

  /** The next `length` bytes of `source` belong to this stream. */
  begin(source: ByteSource, length: number): void {
    if (!this.#started) {
      zlibInflateInit(this.#z)
      this.#started = true
    }
    this.#source = source
    this.#left = length
    this.#at = 0
    this.#filled = 0
    this.#z.avail_in = 0
  }

  u8(): number {
    if (this.#at >= this.#filled) this.#fill(1)
    return this.#out[this.#at++] ?? 0
  }

  take(count: number): Uint8Array {
    if (count > MAX_TAKE) throw new RangeError('more than one take gives')
    if (this.#filled - this.#at < count) this.#fill(count)
    this.#at += count
    return this.#out.subarray(this.#at - count, this.#at)
  }

  /** The rectangle is complete: what is left may only be the stream's own bookkeeping. */
  end(): void {
    if (this.#at < this.#filled) throw new Violation('more compressed data than the rectangle holds')
    this.#at = 0
    this.#filled = 0
    while (this.#left > 0 || this.#z.avail_in > 0) {
      if (!this.#step()) throw new Violation('compressed data after its end')
      if (this.#filled > 0) throw new Violation('more compressed data than the rectangle holds')
    }
    this.#source = null
  }

  reset(): void {
    if (this.#started) zlibInflateReset(this.#z)
  }

  #fill(count: number): void {
    this.#out.copyWithin(0, this.#at, this.#filled)
    this.#filled -= this.#at
    this.#at = 0
    while (this.#filled < count)
      if (!this.#step()) throw new Violation('compressed data ends before the rectangle is complete')
  }

  /** One call of inflate; false when nothing moves any more. */
  #step(): boolean {
    const z = this.#z
    if (z.avail_in === 0 && this.#left > 0 && this.#source) {
      const piece = this.#source.take(Math.min(PIECE, this.#left))
      this.#left -= piece.length
      z.input = piece
      z.next_in = 0
      z.avail_in = piece.length
    }
    const before = z.avail_in
    z.output = this.#out
    z.next_out = this.#filled
    z.avail_out = this.#out.length - this.#filled
    const status = zlibInflate(z, Z_SYNC_FLUSH)
    if (status !== Z_OK && status !== Z_STREAM_END && status !== Z_BUF_ERROR)
      throw new Violation('compressed data that is none')
    const moved = z.avail_in !== before || z.next_out !== this.#filled
    this.#filled = z.next_out
    return moved
  }
}
