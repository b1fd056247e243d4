import { CLOSE, type TerminalDown, type TerminalUp } from '../../broker/contract/terminal.ts'
import type { SessionTicket } from '../../broker/domain/grant.ts'
import type { Said, Seat } from './medium.ts'

const MOST_WATCHERS = 20

export interface Watcher {
  person: string
  name: string
}

/** What the audience tells the session. */
export interface AudienceEvents<S extends Seat> {
  /** A message of the person whose session it is; of each browser one `start` at most. */
  said(seat: S, message: Said): void
  /** That person's browser has acknowledged what it was shown. */
  took(): void
  /** Binary frames of that person's browser. */
  typed(seat: S, bytes: Buffer): void
  /** Binary frames of a watcher's. */
  watched(seat: S, bytes: Buffer): void
  /** That person's browser is gone by itself. */
  left(): void
  /** A watcher has acknowledged what it was shown. */
  watcherTook(): void
  /** Somebody has come to watch, or has left: nobody leaves who still looks on in another window. */
  watcher(who: Watcher, joined: boolean): void
}

/**
 * Who sees the session: the person whose session it is, in one browser at a time, and those who watch, whose browsers
 * may only acknowledge.
 */
export class Audience<S extends Seat> {
  readonly #events: AudienceEvents<S>
  #owner: S | null = null
  #hadOwner = false
  /** Browsers whose one `start` has come: each paints the whole screen, for a few bytes. */
  readonly #greeted = new WeakSet<S>()
  readonly #watchers = new Map<S, Watcher>()

  constructor(events: AudienceEvents<S>) {
    this.#events = events
  }

  get owner(): S | null {
    return this.#owner
  }

  /** Whether the person has ever come. */
  get hadOwner(): boolean {
    return this.#hadOwner
  }

  get watchers(): Iterable<S> {
    return this.#watchers.keys()
  }

  get isFull(): boolean {
    return this.#watchers.size >= MOST_WATCHERS
  }

  /** The person's browser; a former one is closed. */
  own(seat: S): void {
    const former = this.#owner
    this.#owner = seat
    this.#hadOwner = true
    former?.close(CLOSE.replaced, 'replaced')
    seat.browser.listen({
      message: (message) => {
        if (this.#owner === seat) this.#heard(seat, message)
      },
      bytes: (bytes) => {
        if (this.#owner === seat) this.#events.typed(seat, bytes)
      },
      closed: () => {
        if (this.#owner !== seat) return
        this.#owner = null
        seat.drop()
        this.#events.left()
      },
    })
  }

  #heard(seat: S, message: TerminalUp): void {
    if (message.type === 'ack') {
      seat.acknowledge(message.bytes)
      this.#events.took()
    } else if (message.type === 'ping') seat.tell({ type: 'pong', id: message.id })
    else {
      if (message.type === 'start' && this.#greeted.has(seat)) return
      if (message.type === 'start') this.#greeted.add(seat)
      this.#events.said(seat, message)
    }
  }

  watch(seat: S, ticket: SessionTicket): void {
    const who = { person: ticket.person, name: ticket.personName }
    this.#watchers.set(seat, who)
    seat.browser.listen({
      message: (message) => {
        if (message.type === 'ack') {
          seat.acknowledge(message.bytes)
          this.#events.watcherTook()
        } else if (message.type === 'ping') seat.tell({ type: 'pong', id: message.id })
        // `start` says a size; a watcher's does not count. Anything else of a watcher is dropped.
        else if (message.type !== 'start') seat.close(CLOSE.badMessage, 'watchers only watch')
      },
      bytes: (bytes) => this.#events.watched(seat, bytes),
      closed: () => {
        if (!this.#watchers.delete(seat)) return
        seat.drop()
        this.tellWatchers()
        // In another window the same person still looks on: whoever counts people must not be told that they left.
        if ([...this.#watchers.values()].some(({ person }) => person === who.person)) return
        this.#events.watcher(who, false)
      },
    })
    this.#events.watcher(who, true)
  }

  /** The person's browser is closed by the session: its going is not told. */
  closeOwner(code: (typeof CLOSE)[keyof typeof CLOSE], reason: string): void {
    const owner = this.#owner
    this.#owner = null
    owner?.close(code, reason)
  }

  closeAll(reason: string): void {
    this.closeOwner(CLOSE.ended, reason)
    for (const watcher of this.#watchers.keys()) watcher.close(CLOSE.ended, reason)
    this.#watchers.clear()
  }

  tell(message: TerminalDown): void {
    this.#owner?.tell(message)
    for (const watcher of this.#watchers.keys()) watcher.tell(message)
  }

  /** Everybody sees who watches. */
  tellWatchers(): void {
    this.tell({
      type: 'watchers',
      names: [...new Map([...this.#watchers.values()].map((who) => [who.person, who.name])).values()],
    })
  }
}
