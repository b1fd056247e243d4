/** One WebSocket message, one event of the recording, at most. */
const JOIN_BYTES = 64 * 1024

/**
 * Joins what one read of the asset's socket brings. An SSH server splits a burst into many small packets; recorded and
 * sent one by one they cost more than they carry. The join ends with the current turn of the event loop's callback
 * (process.nextTick), so a single keystroke's echo waits for nothing, and at JOIN_BYTES: a source that has much stored
 * gives it all in one turn, and whoever takes it must be able to say stop in between.
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
    if (this.#length >= JOIN_BYTES) this.flush()
    if (this.#scheduled || this.#length === 0) return
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
