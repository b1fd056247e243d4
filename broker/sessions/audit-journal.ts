import { mkdir, open, readdir, readFile, rename, unlink } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import type { AuditEvent } from '../audit/event.ts'
import type { AuditLog } from '../audit/log.ts'
import type { Clock, Timer } from '../domain/clock.ts'
import { newId } from '../domain/ids.ts'
import { type Database, unavailable } from '../store/sql.ts'

const RETRY_MS = 2_000
const noted = z.object({ at: z.number(), event: z.looseObject({ action: z.string() }) })

/**
 * What must be recorded even while the database is down (an operator's stop): written to disk first, one synced file
 * an event, and moved into the audit log as soon as it answers. The entry then says when it happened and how late it
 * came. After a crash between the two an event may stand in the log twice, never not at all.
 */
export class AuditJournal {
  readonly #folder: string
  readonly #db: Database
  readonly #audit: AuditLog
  readonly #clock: Clock
  readonly #failed: (error: unknown) => void
  #shipping: Promise<void> | null = null
  #again = false
  #timer: Timer | null = null
  #closed = false

  constructor(deps: {
    folder: string
    db: Database
    audit: AuditLog
    clock: Clock
    failed: (error: unknown) => void
  }) {
    this.#folder = deps.folder
    this.#db = deps.db
    this.#audit = deps.audit
    this.#clock = deps.clock
    this.#failed = deps.failed
  }

  async start(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    this.#ship()
  }

  async stop(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    await this.#shipping
  }

  /** Resolves when the event is on disk. */
  async write(event: AuditEvent): Promise<void> {
    const at = this.#clock.wall()
    const name = path.join(this.#folder, newId(at))
    const file = await open(`${name}.new`, 'w', 0o600)
    try {
      await file.writeFile(JSON.stringify({ at, event }))
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(`${name}.new`, `${name}.json`)
    this.#ship()
  }

  /** Waits until nothing is left on disk, or the database is down. */
  async settle(): Promise<void> {
    this.#ship()
    await this.#shipping
  }

  #ship(): void {
    if (this.#shipping) {
      this.#again = true
      return
    }
    if (this.#closed) return
    this.#again = false
    this.#shipping = this.#shipAll()
      .catch((error) => {
        if (!unavailable(error)) this.#failed(error)
        this.#timer?.cancel()
        if (!this.#closed) this.#timer = this.#clock.after(RETRY_MS, () => this.#ship())
      })
      .finally(() => {
        this.#shipping = null
        if (this.#again) this.#ship()
      })
  }

  async #shipAll(): Promise<void> {
    const names = (await readdir(this.#folder)).filter((name) => name.endsWith('.json')).sort()
    for (const name of names) {
      const file = path.join(this.#folder, name)
      const { at, event } = noted.parse(JSON.parse(await readFile(file, 'utf8'))) as unknown as {
        at: number
        event: AuditEvent
      }
      const late = Math.max(0, Math.round(this.#clock.wall() - at))
      await this.#db.tx((tx) =>
        this.#audit.record(tx, {
          ...event,
          details: { ...event.details, happenedAt: new Date(at).toISOString(), recordedAfterMs: late },
        }),
      )
      await unlink(file)
    }
  }
}
