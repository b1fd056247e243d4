/**
 * Joins what one read of the asset's socket brings. An SSH server splits a burst into many small packets; recorded and
 * sent one by one they cost more than they carry. The join ends with the current turn of the event loop's callback
 * (process.nextTick), so a single keystroke's echo waits for nothing.
 */
export class OutputJoin {
  readonly #out: (bytes: Buffer) => void
  #chunks: Buffer[] = []
  #length = 0
  #scheduled = false

  constructor(out: (bytes: Buffer) => void) {
    this.#out = out
  }

  add(bytes: Buffer): void {
    this.#chunks.push(bytes)
    this.#length += bytes.length
    if (this.#scheduled) return
    this.#scheduled = true
    process.nextTick(() => this.flush())
  }

  flush(): void {
    this.#scheduled = false
    const [first] = this.#chunks
    if (!first) return
    const bytes = this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks, this.#length)
    this.#chunks = []
    this.#length = 0
    this.#out(bytes)
  }
}
