import type { Clock, Timer } from '../domain/clock.ts'
import type { Database, Query, Subscription } from '../store/sql.ts'

/** Somebody's permission to be here was taken away. Sockets close within 5 s of this. */
export interface Revoked {
  kind: 'person' | 'vendor' | 'sign-in'
  /** Of the person, vendor or sign-in. */
  id: string
  reason:
    | 'person-disabled'
    | 'vendor-disabled'
    | 'roles-changed'
    | 'account-changed'
    | 'signed-out'
    | 'back-channel-logout'
  /** Milliseconds since the epoch. */
  at: number
}

const CHANNEL = 'revocation'
/** After a broken LISTEN connection: how far back to look for what was missed. */
const CATCH_UP_MS = 15 * 60_000
/** After a look at the database that failed. */
const AGAIN_MS = 1_000
const KEEP_MS = 86_400_000

/** Writes the revocation into the caller's transaction; every broker hears of it when that commits. */
export async function revoke(query: Query, revoked: Omit<Revoked, 'at'>, nowMs: number): Promise<void> {
  const [row] = await query<{ id: number }[]>`
    INSERT INTO revocation (kind, subject_id, reason, at)
    VALUES (${revoked.kind}, ${revoked.id}, ${revoked.reason}, ${new Date(nowMs)}) RETURNING id`
  await query`DELETE FROM revocation WHERE at < ${new Date(nowMs - KEEP_MS)}`
  await query`SELECT pg_notify(${CHANNEL}, ${String(row?.id)})`
}

/** Tells listeners in this process of every revocation made by any broker, each once. */
export class Revocations {
  readonly #db: Database
  readonly #clock: Clock
  readonly #listeners = new Set<(revoked: Revoked) => void>()
  /** Ids already told, oldest first; bounded by the catch-up window. */
  readonly #told = new Map<number, number>()
  #subscription: Subscription | null = null
  #startedAt = 0
  #again: Timer | null = null
  #closed = false

  constructor(db: Database, clock: Clock) {
    this.#db = db
    this.#clock = clock
  }

  /** Returns the function that stops it. A listener must not throw. */
  on(listener: (revoked: Revoked) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async start(onError: (error: unknown) => void): Promise<void> {
    this.#startedAt = this.#clock.wall()
    this.#subscription = await this.#db.listen(
      CHANNEL,
      (payload) => {
        const id = Number(payload)
        if (Number.isSafeInteger(id)) this.#lookUntilSeen(id, onError)
      },
      () => {
        this.#lookUntilSeen(null, onError)
      },
    )
  }

  async close(): Promise<void> {
    this.#again?.cancel()
    this.#closed = true
    await this.#subscription?.close()
    this.#listeners.clear()
  }

  /** A look that failed is made again, at all that came since: somebody disabled must not watch on (threat 39). */
  #lookUntilSeen(id: number | null, onError: (error: unknown) => void): void {
    this.#look(id).catch((error) => {
      onError(error)
      if (this.#closed || this.#again) return
      this.#again = this.#clock.after(AGAIN_MS, () => {
        this.#again = null
        this.#lookUntilSeen(null, onError)
      })
    })
  }

  async #look(id: number | null): Promise<void> {
    const since = new Date(Math.max(this.#startedAt - 60_000, this.#clock.wall() - CATCH_UP_MS))
    const rows = await this.#db.sql<
      { id: number; kind: Revoked['kind']; subject: string; reason: Revoked['reason']; at: Date }[]
    >`
      SELECT id, kind, subject_id AS subject, reason, at FROM revocation
      WHERE ${id === null ? this.#db.sql`at >= ${since}` : this.#db.sql`id = ${id}`} ORDER BY id LIMIT 10000`
    for (const row of rows) {
      if (this.#told.has(row.id)) continue
      this.#told.set(row.id, this.#clock.monotonic())
      const revoked: Revoked = { kind: row.kind, id: row.subject, reason: row.reason, at: row.at.getTime() }
      for (const listener of this.#listeners) listener(revoked)
    }
    for (const [told, at] of this.#told) {
      if (this.#clock.monotonic() - at < 2 * CATCH_UP_MS) break
      this.#told.delete(told)
    }
  }
}
