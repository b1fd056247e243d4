import type { GatewayEvent } from '../contract/link.ts'
import type { Clock, Timer } from '../domain/clock.ts'
import { unavailable } from '../store/sql.ts'

/** Events of one gateway that wait for the database. Beyond this they stay in the gateway's journal alone. */
const WAITING_LIMIT = 2_000
/** So often an event is tried that fails although the database is there: two that met may pass each other. */
const TRIES = 3
const RETRY_MS = [250, 500, 1_000, 2_000, 5_000] as const

/** One event, with the run of the gateway that wrote it down: `seq` alone is known again only within a run. */
export interface Reported {
  boot: string
  seq: number
  event: GatewayEvent
}

export interface InboxDeps {
  clock: Clock
  /** Session row and audit entry in one transaction; idempotent. Throws DatabaseUnavailable to be called again. */
  commit(reported: Reported): Promise<void>
  /** For an event that cannot be stored: puts on record that there was one, and that it is not. */
  setAside(reported: Reported, error: unknown): Promise<void>
  /** Seconds until the next event may be committed; 0 for now. Takes one from the gateway's quota. */
  wait(): number
  /** Only after the commit. */
  acknowledge(seq: number): void
  /** Some were left out while the database was down: the gateway should connect again and send them again. */
  wantsAll(): void
  failed(error: unknown): void
}

/**
 * Commits a gateway's events one after the other, in its order, and acknowledges each only when it is committed. While
 * the database is down it waits and tries again; once the queue is full, everything later is left to the gateway's
 * journal, because acknowledging past a hole would lose what is in it. One that reports without end is slowed down, not
 * cut short: each event is a log entry for good, and the log belongs to all.
 * One that cannot be stored at all is set aside, with a trace: it must not stand before the ends and the gaps of others.
 */
export class EventInbox {
  readonly #deps: InboxDeps
  readonly #waiting: Reported[] = []
  #busy = false
  #leftOut = false
  #closed = false
  #attempt = 0
  /** How often the first one in the queue could not be stored although the database was there. */
  #failed = 0
  #timer: Timer | null = null

  constructor(deps: InboxDeps) {
    this.#deps = deps
  }

  put(reported: Reported): void {
    if (this.#closed || this.#leftOut) return
    if (this.#waiting.length >= WAITING_LIMIT) {
      this.#leftOut = true
      return
    }
    this.#waiting.push(reported)
    void this.#work()
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.#waiting.length = 0
  }

  async #work(): Promise<void> {
    if (this.#busy) return
    this.#busy = true
    this.#timer?.cancel()
    this.#timer = null
    try {
      for (let next = this.#waiting[0]; next && !this.#closed; next = this.#waiting[0]) {
        const seconds = this.#deps.wait()
        if (seconds > 0) {
          this.#timer = this.#deps.clock.after(seconds * 1000, () => void this.#work())
          return
        }
        try {
          await this.#deps.commit(next)
        } catch (error) {
          if (!(await this.#setAside(next, error))) return
        }
        this.#attempt = 0
        this.#failed = 0
        this.#waiting.shift()
        if (!this.#closed) this.#deps.acknowledge(next.seq)
      }
      if (this.#leftOut && !this.#closed) this.#deps.wantsAll()
    } finally {
      this.#busy = false
    }
  }

  /** Whether it is done with; otherwise it will be tried again. */
  async #setAside(reported: Reported, error: unknown): Promise<boolean> {
    if (!unavailable(error)) {
      // A bug, a text that no row takes, or a row that was tampered with.
      this.#deps.failed(error)
      this.#failed += 1
    }
    if (this.#failed < TRIES) {
      this.#retry()
      return false
    }
    try {
      await this.#deps.setAside(reported, error)
      return true
    } catch (cause) {
      if (!unavailable(cause)) this.#deps.failed(cause)
      this.#retry()
      return false
    }
  }

  #retry(): void {
    const wait = RETRY_MS[Math.min(this.#attempt, RETRY_MS.length - 1)] ?? 5_000
    this.#attempt += 1
    this.#timer = this.#deps.clock.after(wait, () => void this.#work())
  }
}
