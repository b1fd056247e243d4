/** Where a decoder takes its bytes from. What `take` gives is valid until the next call. */
export interface Bytes {
  u8(): number
  take(count: number): Uint8Array
}

/** The server closed the connection, or the session did. */
export class EndOfInput extends Error {}

/** The most that one `take` gives; longer things are read in pieces. */
export const MAX_TAKE = 64 * 1024

/** A stream of chunks as numbers and byte runs, whatever the chunks' borders. `next` waits for a chunk; null is the end. */
export class ByteSource implements Bytes {
  readonly #next: () => Uint8Array | null
  readonly #joined = new Uint8Array(MAX_TAKE)
  #chunk: Uint8Array = new Uint8Array(0)
  #at = 0

  constructor(next: () => Uint8Array | null) {
    this.#next = next
  }

  u8(): number {
    while (this.#at >= this.#chunk.length) this.#more()
    return this.#chunk[this.#at++] ?? 0
  }

  u16(): number {
    return this.u8() * 256 + this.u8()
  }

  u32(): number {
    return this.u16() * 65536 + this.u16()
  }

  i32(): number {
    return this.u32() | 0
  }

  take(count: number): Uint8Array {
    if (count > MAX_TAKE) throw new RangeError('more than one take gives')
    if (this.#chunk.length - this.#at >= count) {
      this.#at += count
      return this.#chunk.subarray(this.#at - count, this.#at)
    }
    let filled = 0
    while (filled < count) {
      if (this.#at >= this.#chunk.length) this.#more()
      const piece = this.#chunk.subarray(this.#at, this.#at + count - filled)
      this.#joined.set(piece, filled)
      filled += piece.length
      this.#at += piece.length
    }
    return this.#joined.subarray(0, count)
  }

  /** `count` bytes of one's own; the caller has bounded the count. */
  copy(count: number): Uint8Array {
    const bytes = new Uint8Array(count)
    for (let at = 0; at < count; at += MAX_TAKE) bytes.set(this.take(Math.min(MAX_TAKE, count - at)), at)
    return bytes
  }

  skip(count: number): void {
    for (let left = count; left > 0; left -= MAX_TAKE) this.take(Math.min(MAX_TAKE, left))
  }

  #more(): void {
    const chunk = this.#next()
    if (!chunk) throw new EndOfInput()
    this.#chunk = chunk
    this.#at = 0
  }
}
