import type { ControlLink } from './control-link.ts'
import type { Entry, Journal } from './journal.ts'

/** Events on their way to a broker and not yet committed there; its own queue is bounded too. */
const IN_FLIGHT = 500

/**
 * Sends the journal to one broker at a time, oldest first, and again after a lost link: the broker commits each event
 * once, whoever brings it.
 */
export class EventSender {
  readonly #journal: () => Journal
  readonly #boot: string
  #link: ControlLink | null = null
  #queue: Entry[] = []
  readonly #inFlight = new Set<number>()

  /** `boot`: this run of the gateway. */
  constructor(journal: () => Journal, boot: string) {
    this.#journal = journal
    this.#boot = boot
  }

  /** A greeted link; taken when there is none yet. */
  offer(link: ControlLink): void {
    if (this.#link) return
    this.#link = link
    this.#inFlight.clear()
    this.#queue = this.#journal().waiting()
    this.#pump()
  }

  /** True when it was the one in use: offer another. */
  lost(link: ControlLink): boolean {
    if (this.#link !== link) return false
    this.#link = null
    this.#queue = []
    this.#inFlight.clear()
    return true
  }

  /** A new event, on disk. */
  add(entry: Entry): void {
    if (!this.#link) return
    this.#queue.push(entry)
    this.#pump()
  }

  acknowledged(link: ControlLink, seq: number): void {
    if (this.#link === link) this.#inFlight.delete(seq)
    this.#journal().acknowledge(seq)
    this.#pump()
  }

  #pump(): void {
    while (this.#link && this.#queue.length > 0 && this.#inFlight.size < IN_FLIGHT) {
      const next = this.#queue[0]
      if (!next) return
      const { seq, boot, event } = next
      // Of an earlier run: a broker may have committed it without our having heard.
      const earlier = boot === null || boot === this.#boot ? {} : { boot }
      if (!this.#link.send({ type: 'event', seq, ...earlier, event })) return
      this.#queue.shift()
      this.#inFlight.add(next.seq)
    }
  }
}
