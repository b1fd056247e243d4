import type { AuditLog } from '../audit/log.ts'
import { type Database, unavailable } from '../store/sql.ts'
import { type GatewayRow, vouchedGateway } from './gateway-rows.ts'

const CHANNEL = 'gateway_changed'

/**
 * Who may connect, by id. Every connection reads the row afresh and has it vouched for; while the database is down a
 * row that was vouched for before still counts, so that a gateway that reconnects can be told to stop a session. A
 * revocation is remembered at once and checked on every message.
 */
export class GatewayDirectory {
  readonly #db: Database
  readonly #audit: Pick<AuditLog, 'verifyObject'>
  readonly #known = new Map<string, GatewayRow>()
  readonly #onChanged: ((id: string) => void)[] = []

  constructor(db: Database, audit: Pick<AuditLog, 'verifyObject'>) {
    this.#db = db
    this.#audit = audit
  }

  /** Follows changes that other brokers make. */
  async follow(): Promise<() => Promise<void>> {
    const again = (id: string) => void this.find(id).catch(() => undefined)
    const subscription = await this.#db.listen(CHANNEL, again, () => {
      for (const id of this.#known.keys()) again(id)
    })
    return () => subscription.close()
  }

  async find(id: string): Promise<GatewayRow | null> {
    try {
      const row = await this.#db.tx((tx) => vouchedGateway(tx, this.#audit, id), 'repeatable read read only')
      if (row) this.remember(row)
      else this.#known.delete(id)
      return row
    } catch (error) {
      const known = this.#known.get(id)
      if (known && unavailable(error)) return known
      // A row that nobody vouches for: whoever has it open is out as well.
      if (!unavailable(error)) this.#forget(id)
      throw error
    }
  }

  /** After a change was committed here. */
  async changed(row: GatewayRow): Promise<void> {
    this.remember(row)
    await this.#db.notify(CHANNEL, row.id)
  }

  remember(row: GatewayRow): void {
    this.#known.set(row.id, row)
    for (const tell of this.#onChanged) tell(row.id)
  }

  /** Whether this certificate is the gateway's present one. From memory: asked for every message. */
  accepts(id: string, certificate: string): boolean {
    const row = this.#known.get(id)
    return row !== undefined && row.revokedAt === null && row.certificate === certificate
  }

  known(id: string): GatewayRow | null {
    return this.#known.get(id) ?? null
  }

  /** Whoever is connected with a certificate that no longer counts has to go. */
  onChanged(listener: (id: string) => void): void {
    this.#onChanged.push(listener)
  }

  #forget(id: string): void {
    if (this.#known.delete(id)) for (const tell of this.#onChanged) tell(id)
  }
}
