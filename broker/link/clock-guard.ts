import { BROKER } from '../audit/event.ts'
import type { AuditLog } from '../audit/log.ts'
import type { AuditEntry } from '../contract/audit-entry.ts'
import type { Clock, Timer } from '../domain/clock.ts'
import type { RuntimeFacts } from '../domain/ports.ts'
import type { Database } from '../store/sql.ts'

/** Further apart than this counts as wrong (access.md). */
export const APART_MS = 30_000
/** Time services step a clock back by less than this; more below the highest time ever seen is an anomaly. */
const BELOW_MARK_MS = 5_000
const EVERY_MS = 10_000

export interface ClockView {
  state: RuntimeFacts['clock']
  detail: string
}

/**
 * Compares the broker's wall clock with the highest one any broker ever saw (kept in the database, so a restart does
 * not help), with the database's and with each gateway's. Denies new sessions while something is off.
 */
export class ClockGuard {
  readonly #clock: Clock
  readonly #db: Database
  #mark = 0
  #databaseOffset = 0
  #compared = false
  readonly #gateways = new Map<string, number>()
  readonly #told = new Map<string, string>()
  #timer: Timer | null = null
  #stopped = false

  constructor(clock: Clock, db: Database) {
    this.#clock = clock
    this.#db = db
  }

  async start(): Promise<void> {
    await this.compare()
    this.#arm()
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  /** One comparison with the database; also raises the mark. */
  async compare(): Promise<void> {
    const before = this.#clock.wall()
    const [row] = await this.#db.sql<{ now: Date; mark: number }[]>`
      INSERT INTO clock_mark (one, wall_ms) VALUES (true, ${before})
      ON CONFLICT (one) DO UPDATE SET wall_ms = GREATEST(clock_mark.wall_ms, excluded.wall_ms)
      RETURNING clock_timestamp() AS now, wall_ms AS mark`
    const after = this.#clock.wall()
    if (!row) return
    this.#mark = Math.max(this.#mark, row.mark)
    // The database answered somewhere in between: only what both ends agree on is an offset.
    const now = row.now.getTime()
    this.#databaseOffset = now < before ? now - before : now > after ? now - after : 0
    this.#compared = true
  }

  gateway(id: string, offsetMs: number | null): void {
    if (offsetMs === null) this.#gateways.delete(id)
    else this.#gateways.set(id, offsetMs)
  }

  gatewayOffset(id: string): number | null {
    return this.#gateways.get(id) ?? null
  }

  /** The state that counts for sessions through this gateway; without one, that of broker and database alone. */
  view(gatewayId?: string): ClockView {
    const wall = this.#clock.wall()
    // While the database is down the mark still grows with what we see, so a jump back is noticed then too.
    const below = this.#mark - wall
    this.#mark = Math.max(this.#mark, wall)
    if (below > BELOW_MARK_MS)
      return { state: 'behind-mark', detail: `${seconds(below)} below the latest time seen before` }
    if (Math.abs(this.#databaseOffset) > APART_MS)
      return { state: 'apart', detail: `${seconds(this.#databaseOffset)} apart from the database` }
    const offset = gatewayId === undefined ? 0 : (this.#gateways.get(gatewayId) ?? 0)
    if (Math.abs(offset) > APART_MS)
      return { state: 'apart', detail: `${seconds(offset)} apart from the gateway` }
    return { state: 'ok', detail: 'broker, database and gateways agree' }
  }

  auditState(): AuditEntry['clock'] {
    return this.#compared ? (this.view().state === 'ok' ? 'ok' : 'suspect') : 'unknown'
  }

  /** Writes an entry whenever the state of a clock changes. */
  async tell(audit: AuditLog): Promise<void> {
    const subjects = [undefined, ...this.#gateways.keys()]
    for (const id of subjects) {
      const view = this.view(id)
      const key = id ?? 'broker'
      const before = this.#told.get(key) ?? 'ok'
      if (view.state === before) continue
      await audit.record(this.#db.sql, {
        action: view.state === 'ok' ? 'clock.agrees' : 'clock.anomaly',
        actor: BROKER,
        object: id === undefined ? { kind: 'broker', id: 'clock' } : { kind: 'gateway', id },
        result: view.state === 'ok' ? 'ok' : 'denied',
        reason: view.detail,
        details: { state: view.state },
      })
      this.#told.set(key, view.state)
    }
  }

  #arm(): void {
    if (this.#stopped) return
    this.#timer = this.#clock.after(EVERY_MS, () => {
      this.compare()
        .catch(() => undefined)
        .finally(() => this.#arm())
    })
  }
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`
}
