import { type CLOSE, type TerminalDown, UNACKNOWLEDGED_LIMIT } from '../../broker/contract/terminal.ts'
import type { Keyframe } from '../../recordings/screen-model/port.ts'
import type { Browser } from './browser.ts'

/** What is kept for a viewer while its screen is on the way from the screen model. */
const CATCH_UP_LIMIT = 1024 * 1024
/** A watcher this far behind is caught up from the screen, not served every byte. */
const WATCHER_LIMIT = 1024 * 1024

const RESET = Buffer.from('\x1bc')

/**
 * Somebody who sees the screen: the vendor or a watcher. Starts, and starts again after falling behind, with the whole
 * screen; `position` counts the asset's bytes, so that nothing is shown twice and nothing is left out.
 */
export class Viewer {
  readonly browser: Browser
  readonly #screen: () => Promise<Keyframe>
  #sent = 0
  #acknowledged = 0
  /** While waiting for the screen: what came after it was asked for. Null while in step. */
  #waiting: { from: number; chunks: Uint8Array[]; bytes: number; overflow: boolean } | null = null
  #over = false

  constructor(browser: Browser, screen: () => Promise<Keyframe>) {
    this.browser = browser
    this.#screen = screen
  }

  get unacknowledged(): number {
    return this.#sent - this.#acknowledged
  }

  /** The owner's browser owes so much that the asset must wait. */
  get owesTooMuch(): boolean {
    return this.unacknowledged >= UNACKNOWLEDGED_LIMIT
  }

  get caughtUpEnough(): boolean {
    return this.unacknowledged < UNACKNOWLEDGED_LIMIT / 2
  }

  acknowledge(bytes: number): void {
    this.#acknowledged = Math.min(this.#sent, this.#acknowledged + bytes)
  }

  /** `position`: the asset's bytes before this chunk. */
  show(bytes: Uint8Array, position: number): void {
    if (this.#over) return
    const waiting = this.#waiting
    if (!waiting) {
      this.#send(bytes)
      return
    }
    if (waiting.overflow) return
    if (waiting.chunks.length === 0) waiting.from = position
    waiting.chunks.push(bytes)
    waiting.bytes += bytes.length
    if (waiting.bytes > CATCH_UP_LIMIT) {
      waiting.overflow = true
      waiting.chunks = []
    }
  }

  /** As `show`, but never waited for: a watcher that is behind skips to the screen once it has read what it has. */
  showIfInStep(bytes: Uint8Array, position: number): void {
    if (this.#waiting || this.#over) {
      this.show(bytes, position)
      return
    }
    if (this.browser.queued > WATCHER_LIMIT || this.unacknowledged > WATCHER_LIMIT) {
      // Nothing more until it has caught up; `recover` then asks for the screen.
      this.#waiting = { from: position, chunks: [], bytes: 0, overflow: true }
      return
    }
    this.#send(bytes)
  }

  /** Its screen is on the way: the owner's asset waits for it, a watcher's never. */
  get catchingUp(): boolean {
    return this.#waiting !== null && !this.#over
  }

  /** Whether this viewer has been left behind and has room again. */
  get wantsScreen(): boolean {
    return (
      !this.#over &&
      this.#waiting?.overflow === true &&
      this.browser.queued < WATCHER_LIMIT / 8 &&
      this.unacknowledged < WATCHER_LIMIT / 2
    )
  }

  /**
   * Repaints from the screen model, then goes on with what came since. `position`: the asset's bytes so far; `size`
   * is asked at the end, in case the terminal was resized in between.
   */
  async repaint(position: number, size: () => { cols: number; rows: number }): Promise<void> {
    const waiting = { from: position, chunks: [] as Uint8Array[], bytes: 0, overflow: false }
    this.#waiting = waiting
    let screen: Keyframe
    try {
      screen = await this.#screen()
    } catch {
      // Without a screen model the viewer goes on with what comes; it stands in the recorder's failure.
      if (this.#waiting === waiting) this.#waiting = null
      return
    }
    if (this.#over || this.#waiting !== waiting || waiting.overflow) return
    this.tell({ type: 'screen', cols: screen.cols, rows: screen.rows })
    // RIS first: the keyframe is written for an empty terminal, and a viewer that fell behind has an old screen.
    this.#send(Buffer.concat([RESET, screen.bytes]))
    let at = waiting.from
    for (const chunk of waiting.chunks) {
      const skip = Math.max(0, screen.position - at)
      if (skip < chunk.length) this.#send(chunk.subarray(skip))
      at += chunk.length
    }
    this.#waiting = null
    const now = size()
    if (now.cols !== screen.cols || now.rows !== screen.rows) this.tell({ type: 'resize', ...now })
  }

  tell(message: TerminalDown): void {
    if (!this.#over) this.browser.tell(message)
  }

  /** Says no more to it. */
  close(code: (typeof CLOSE)[keyof typeof CLOSE], reason: string): void {
    if (this.#over) return
    this.#over = true
    this.browser.close(code, reason)
  }

  /** The socket is gone, or goes at once. */
  drop(): void {
    this.#over = true
    this.browser.destroy()
  }

  #send(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#sent += bytes.length
    this.browser.send(bytes)
  }
}
