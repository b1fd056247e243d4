/** Bytes that arrive in pieces, read by a generator that stops where they end and goes on with the next piece. */
export class ByteFlow {
  readonly #pieces: Buffer[] = []
  readonly #program: Generator<void, void, void>
  #waiting = 0
  /** Bytes read so far. */
  consumed = 0

  constructor(program: (flow: ByteFlow) => Generator<void, void, void>) {
    this.#program = program(this)
    this.#program.next()
  }

  push(piece: Buffer): void {
    this.#pieces.push(piece)
    this.#waiting += piece.length
    this.#program.next()
  }

  *take(length: number): Generator<void, Buffer, void> {
    while (this.#waiting < length) yield
    const first = this.#pieces[0]
    if (first && first.length > length) {
      this.#pieces[0] = first.subarray(length)
      this.#count(length)
      return first.subarray(0, length)
    }
    const taken: Buffer[] = []
    for (let left = length; left > 0; ) {
      const piece = this.#pieces.shift() ?? Buffer.alloc(0)
      taken.push(piece.subarray(0, left))
      if (piece.length > left) this.#pieces.unshift(piece.subarray(left))
      left -= Math.min(left, piece.length)
    }
    this.#count(length)
    return taken.length === 1 ? (taken[0] as Buffer) : Buffer.concat(taken)
  }

  *u8(): Generator<void, number, void> {
    return (yield* this.take(1)).readUInt8(0)
  }

  *u16(): Generator<void, number, void> {
    return (yield* this.take(2)).readUInt16BE(0)
  }

  *u32(): Generator<void, number, void> {
    return (yield* this.take(4)).readUInt32BE(0)
  }

  /** Up to and with the next byte that `is` true of. */
  *until(is: (byte: number) => boolean): Generator<void, Buffer, void> {
    const bytes: number[] = []
    for (;;) {
      const byte = yield* this.u8()
      bytes.push(byte)
      if (is(byte)) return Buffer.from(bytes)
    }
  }

  #count(length: number): void {
    this.#waiting -= length
    this.consumed += length
  }
}
