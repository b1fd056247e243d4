import { BLOCK_BYTES } from '../screen-model/messages.ts'
import type { Keyframe, ScreenHandle } from '../screen-model/port.ts'

/**
 * How many bytes wait for a keyframe to be asked for, however long, and how long more than that waits for a whole
 * block. Nobody reads the model but for keyframes; waking its thread for every keystroke would take a core from the
 * echo that is on its way, and from the other sessions.
 */
const WAITING_BYTES = 4 * 1024
const BLOCK_WAIT_MS = 20

/** Gathers output into blocks for the model thread: one message each, given away without another copy. */
export class ModelFeed {
  readonly #handle: ScreenHandle
  #block: Uint8Array<ArrayBuffer> | null = null
  #length = 0
  #isScheduled = false
  /** Keyframes that the model owes us. */
  #owed = 0

  constructor(handle: ScreenHandle) {
    this.#handle = handle
  }

  /** Bytes that the model has not parsed yet. */
  get lag(): number {
    return this.#handle.lag + this.#length
  }

  feed(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const block = this.#room(bytes.length - at)
      const piece = bytes.subarray(at, at + block.length - this.#length)
      block.set(piece, this.#length)
      this.#length += piece.length
      at += piece.length
      if (this.#length === BLOCK_BYTES) this.#flush()
    }
    if (this.#length >= WAITING_BYTES || (this.#owed > 0 && this.#length > 0)) this.#schedule()
  }

  resize(cols: number, rows: number): void {
    this.#flush()
    this.#handle.resize(cols, rows)
  }

  /** A keyframe here, or at the first place after it: until it has come, the model may need what comes next. */
  async keyframe(): Promise<Keyframe> {
    this.#flush()
    this.#owed += 1
    const keyframe = await this.#handle.keyframe()
    this.#owed -= 1
    return keyframe
  }

  #flush(): void {
    const block = this.#block
    const length = this.#length
    this.#block = null
    this.#length = 0
    if (!block || length === 0) return
    // What is sent must own its buffer: short of a whole block, send a fitting copy.
    if (length === block.length) {
      this.#handle.feed(block)
      return
    }
    this.#handle.feed(block.slice(0, length))
    this.#handle.giveBack(block)
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setTimeout(() => {
      this.#isScheduled = false
      this.#flush()
    }, BLOCK_WAIT_MS).unref()
  }

  #room(wanted: number): Uint8Array<ArrayBuffer> {
    const block = this.#block
    if (block && this.#length < block.length) return block
    const length = this.#length + wanted
    // A piece that comes alone fits and is sent without another copy.
    const grown =
      length > WAITING_BYTES ? this.#handle.block() : new Uint8Array(block ? WAITING_BYTES : length)
    if (block) grown.set(block)
    this.#block = grown
    return grown
  }
}
