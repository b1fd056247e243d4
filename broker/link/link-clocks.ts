import type { ClockGuard } from '../audit/clock-guard.ts'
import { BROKER } from '../audit/event.ts'
import type { AuditLog } from '../audit/log.ts'
import type { RuntimeFacts } from '../domain/ports.ts'
import type { Database } from '../store/sql.ts'

/** Further apart than this counts as wrong (access.md). */
export const APART_MS = 30_000

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
  /** Gateways of whom the log says that they are apart. */
  readonly #told = new Set<string>()

  constructor(guard: Pick<ClockGuard, 'state'>, db: Database, audit: AuditLog) {
    this.#guard = guard
    this.#db = db
    this.#audit = audit
  }

  /** What a gateway's clock showed, minus ours, milliseconds. Writes an entry whenever its state changes. */
  async compared(id: string, offsetMs: number): Promise<void> {
    this.#gateways.set(id, offsetMs)
    const apart = Math.abs(offsetMs) > APART_MS
    if (apart === this.#told.has(id)) return
    if (apart) this.#told.add(id)
    else this.#told.delete(id)
    await this.#audit.record(this.#db.sql, {
      action: apart ? 'clock.anomaly' : 'clock.agrees',
      actor: BROKER,
      object: { kind: 'gateway', id },
      result: apart ? 'denied' : 'ok',
      details: { offsetMs },
    })
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
