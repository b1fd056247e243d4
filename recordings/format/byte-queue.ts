/** Bytes in arriving pieces, taken out in wanted lengths; a piece is copied only when a take spans two. */
export class ByteQueue {
  length = 0
  #pieces: Buffer[] = []

  push(bytes: Uint8Array): void {
    this.#pieces.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
    this.length += bytes.length
  }

  /** The next `length` bytes, or null when there are not as many yet. May be a view on a pushed piece. */
  take(length: number): Buffer | null {
    if (this.length < length) return null
    const first = this.#pieces[0]
    if (first && first.length >= length) {
      if (first.length === length) this.#pieces.shift()
      else this.#pieces[0] = first.subarray(length)
      this.length -= length
      return first.subarray(0, length)
    }
    const joined = Buffer.concat(this.#pieces)
    this.#pieces = joined.length === length ? [] : [joined.subarray(length)]
    this.length -= length
    return joined.subarray(0, length)
  }

  clear(): void {
    this.#pieces = []
    this.length = 0
  }
}
