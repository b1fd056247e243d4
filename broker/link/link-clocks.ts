import type { ClockGuard } from '../audit/clock-guard.ts'
import { BROKER } from '../audit/event.ts'
import type { AuditLog } from '../audit/log.ts'
import type { Clock } from '../domain/clock.ts'
import type { RuntimeFacts } from '../domain/ports.ts'
import type { Database } from '../store/sql.ts'

/** Further apart than this counts as wrong (access.md). */
export const APART_MS = 30_000

/** A clock that swings makes no more entries than this: the log belongs to all gateways. */
const TELL_EVERY_MS = 60_000

export interface ClockView {
  state: RuntimeFacts['clock']
  detail: string
}

/**
 * The broker's own clock guard (highest time ever seen, database) and, beside it, how far each gateway's clock is
 * from ours. A gateway whose clock is off gets no new session; the others do.
 */
export class LinkClocks {
  readonly #guard: Pick<ClockGuard, 'state'>
  readonly #db: Database
  readonly #audit: AuditLog
  readonly #gateways = new Map<string, number>()
  readonly #clock: Clock
  /** What the log says of each gateway, and since when (monotonic). */
  readonly #told = new Map<string, { apart: boolean; at: number }>()
  readonly #telling = new Set<string>()

  constructor(guard: Pick<ClockGuard, 'state'>, db: Database, audit: AuditLog, clock: Clock) {
    this.#guard = guard
    this.#db = db
    this.#audit = audit
    this.#clock = clock
  }

  /**
   * What a gateway's clock showed, minus ours, milliseconds. It counts at once. A change of its state is an entry, with
   * the next comparison when it could not be written or the last one is too new.
   */
  async compared(id: string, offsetMs: number): Promise<void> {
    this.#gateways.set(id, offsetMs)
    const apart = Math.abs(offsetMs) > APART_MS
    const told = this.#told.get(id)
    if (apart === (told?.apart ?? false) || this.#telling.has(id)) return
    const at = this.#clock.monotonic()
    if (told && at - told.at < TELL_EVERY_MS) return
    this.#telling.add(id)
    try {
      await this.#audit.record(this.#db.sql, {
        action: apart ? 'clock.anomaly' : 'clock.agrees',
        actor: BROKER,
        object: { kind: 'gateway', id },
        result: apart ? 'denied' : 'ok',
        details: { offsetMs },
      })
      this.#told.set(id, { apart, at })
    } finally {
      this.#telling.delete(id)
    }
  }

  gone(id: string): void {
    this.#gateways.delete(id)
  }

  gatewayOffset(id: string): number | null {
    return this.#gateways.get(id) ?? null
  }

  /** The state that counts for sessions through this gateway; without one, the broker's own. */
  view(gatewayId?: string): ClockView {
    switch (this.#guard.state()) {
      case 'behind-mark':
        return { state: 'behind-mark', detail: "The broker's clock is behind the latest time seen before." }
      case 'apart':
        return { state: 'apart', detail: "The broker's clock and the database's are more than 30 s apart." }
      case 'ok':
    }
    const offset = gatewayId === undefined ? 0 : (this.#gateways.get(gatewayId) ?? 0)
    if (Math.abs(offset) > APART_MS)
      return { state: 'apart', detail: `The gateway's clock is ${Math.round(offset / 1000)} s apart.` }
    return { state: 'ok', detail: 'Broker and database agree on the time.' }
  }
}
