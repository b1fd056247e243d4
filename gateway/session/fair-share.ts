import type { Clock, Timer } from '../../broker/domain/clock.ts'

/**
 * Hands before floods. A terminal that streams flat out takes every core that its asset, its recording and its browser
 * can get, and then the keystroke of somebody else waits for one. So while another person types through this gateway,
 * a session's output is taken at a walk, far above what anybody reads; the asset is held back like by a slow browser,
 * and nothing is lost. With nobody else typing there is no limit.
 */

/** Bytes per second while somebody else types: 50,000 full lines. */
export const WALK_BYTES_PER_SECOND = 4 * 1024 * 1024
/** What goes at once: a whole screen, a directory, a man page. */
const BURST_BYTES = 512 * 1024
/** Somebody who has pressed a key so recently is typing. */
const TYPING_SECONDS = 3
/** How old the answer to "does anybody else type?" may be. Milliseconds. */
const LOOK_EVERY_MS = 100

const SLOTS = 1024
export const typingBoardMemory = () => new SharedArrayBuffer(SLOTS * Int32Array.BYTES_PER_ELEMENT)

/**
 * When each session last had a key pressed, in memory that all session threads share. Sessions that fall into one slot
 * don't see each other type, which costs them the walk and nothing else.
 */
export class TypingBoard {
  readonly #slots: Int32Array
  readonly #seconds: () => number

  /** `seconds`: whole seconds on a clock that all threads share. */
  constructor(memory: SharedArrayBuffer, seconds: () => number) {
    this.#slots = new Int32Array(memory)
    this.#seconds = seconds
  }

  slotOf(session: string): number {
    return Number.parseInt(session.slice(-4), 16) % SLOTS
  }

  typed(slot: number): void {
    // Never zero: that means "not yet".
    Atomics.store(this.#slots, slot, this.#seconds() + 1)
  }

  othersType(slot: number): boolean {
    const since = this.#seconds() + 1 - TYPING_SECONDS
    return this.#slots.some((at, index) => index !== slot && at > 0 && at >= since)
  }
}

/** One session's share: told of each key and each piece of output, it says when the asset has to wait. */
export class FairShare {
  readonly #board: TypingBoard
  readonly #slot: number
  readonly #clock: Clock
  readonly #goOn: () => void
  #isWalking = false
  #lookAt = 0
  #tokens = BURST_BYTES
  #filledAt = 0
  #timer: Timer | null = null

  /** `goOn` is called when `waits` has become false. */
  constructor(board: TypingBoard, session: string, clock: Clock, goOn: () => void) {
    this.#board = board
    this.#slot = board.slotOf(session)
    this.#clock = clock
    this.#goOn = goOn
  }

  get waits(): boolean {
    return this.#timer !== null
  }

  typed(): void {
    this.#board.typed(this.#slot)
  }

  took(bytes: number): void {
    const now = this.#clock.monotonic()
    if (now >= this.#lookAt) {
      this.#lookAt = now + LOOK_EVERY_MS
      this.#isWalking = this.#board.othersType(this.#slot)
    }
    const refilled = this.#tokens + ((now - this.#filledAt) / 1000) * WALK_BYTES_PER_SECOND
    this.#filledAt = now
    this.#tokens = this.#isWalking ? Math.min(BURST_BYTES, refilled) - bytes : BURST_BYTES
    if (this.#tokens >= 0 || this.#timer) return
    const waitMs = (-this.#tokens / WALK_BYTES_PER_SECOND) * 1000
    this.#timer = this.#clock.after(Math.max(1, waitMs), () => {
      this.#timer = null
      this.#goOn()
    })
  }

  close(): void {
    this.#timer?.cancel()
    this.#timer = null
  }
}
