import type { Clock } from '../../broker/domain/clock.ts'

/** More often than this nobody hears a bell; a server that rings all the time does not fill our queues. */
const BELL_MS = 250
/** Of the texts that come more often, the last one counts. */
const CLIPBOARD_MS = 250

/** What an asset says beside its picture, at a pace that people can follow. */
export class EventPace {
  readonly #clock: Clock
  readonly #events: { clipboard(text: string): void; bell(): void }
  #lastBell = Number.NEGATIVE_INFINITY
  #lastClipboard = Number.NEGATIVE_INFINITY
  #text: Uint8Array | null = null
  #isOver = false

  constructor(clock: Clock, events: { clipboard(text: string): void; bell(): void }) {
    this.#clock = clock
    this.#events = events
  }

  bell(): void {
    const now = this.#clock.monotonic()
    if (now - this.#lastBell < BELL_MS) return
    this.#lastBell = now
    this.#events.bell()
  }

  /** UTF-8; decoded only when it is passed on. */
  copied(text: Uint8Array): void {
    const isWaiting = this.#text !== null
    this.#text = text
    if (isWaiting) return
    const wait = Math.max(0, this.#lastClipboard + CLIPBOARD_MS - this.#clock.monotonic())
    if (wait === 0) this.#pass()
    else this.#clock.after(wait, () => this.#pass())
  }

  stop(): void {
    this.#isOver = true
  }

  #pass(): void {
    const text = this.#text
    this.#text = null
    if (text === null || this.#isOver) return
    this.#lastClipboard = this.#clock.monotonic()
    this.#events.clipboard(new TextDecoder().decode(text))
  }
}
