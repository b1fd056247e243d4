import { readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { clearAlarm, openAlarm } from '../audit/alarms.ts'
import type { AuditEvent } from '../audit/event.ts'
import type { AuditLog } from '../audit/log.ts'
import { macHolds, readEntry, type StagedRow } from '../audit/stage.ts'
import type { Secret } from '../domain/secret.ts'
import { writeWhole } from '../keys/key-files.ts'
import type { Database, Query, Tx } from '../store/sql.ts'

const restored = z.strictObject({
  id: z.uuid(),
  /** Milliseconds since the epoch. */
  at: z.number().int(),
  backupAt: z.number().int(),
})
/** One restore: when it was made, and when the backup was that it brought back. */
export type Restore = z.infer<typeof restored>

const FILE = 'restored'

export interface RestoreGuardDeps {
  db: Database
  audit: AuditLog
  macKey: Secret<Buffer>
  dataDir: string
}

/** Notes a restore, in the database and beside it: neither alone can be put back. */
export async function noteRestore(tx: Tx, dataDir: string, restore: Restore): Promise<void> {
  await tx`INSERT INTO restored (id, restored_at, backup_at)
    VALUES (${restore.id}, ${new Date(restore.at)}, ${new Date(restore.backupAt)})`
  await openAlarm(
    tx,
    'restored',
    'broker',
    `This is a backup of ${new Date(restore.backupAt).toISOString().slice(0, 16).replace('T', ' ')} UTC. No new session opens: revoke again what was revoked since, then confirm it on the health page.`,
  )
  await writeWhole(path.join(dataDir, FILE), `${JSON.stringify(restore)}\n`)
}

/**
 * A backup brings back, vouched for by its log, what was taken away since it was made: revoked gateways, disabled
 * people, withdrawn approvals, stops. So no new session opens until an administrator has said that it was taken away
 * again. The log decides whether somebody has; running sessions and evidence are not touched.
 */
export class RestoreGuard {
  readonly #deps: RestoreGuardDeps
  /** Restores that the log has not been seen to confirm. */
  #pending: Restore[]

  private constructor(deps: RestoreGuardDeps, pending: Restore[]) {
    this.#deps = deps
    this.#pending = pending
  }

  /** A restore is made while no broker runs, so what is there at the start is all there is. */
  static async open(deps: RestoreGuardDeps): Promise<RestoreGuard> {
    const rows = await deps.db.sql<{ id: string; at: Date; backupAt: Date }[]>`
      SELECT id, restored_at AS at, backup_at AS "backupAt" FROM restored`
    const known = new Map(
      rows.map(({ id, at, backupAt }) => [id, { id, at: at.getTime(), backupAt: backupAt.getTime() }]),
    )
    const beside = await readNote(path.join(deps.dataDir, FILE))
    if (beside) known.set(beside.id, beside)
    const guard = new RestoreGuard(deps, [...known.values()])
    await guard.unconfirmed()
    return guard
  }

  /** The newest restore that nobody has confirmed, or null. */
  async unconfirmed(): Promise<Restore | null> {
    if (this.#pending.length === 0) return null
    const confirmed = await confirmedIn(this.#deps.db.sql, this.#deps.macKey)
    this.#pending = this.#pending.filter(({ id }) => !confirmed.has(id))
    return this.#pending.toSorted((a, b) => b.at - a.at)[0] ?? null
  }

  /** An administrator says that what was revoked since was revoked again. False when there is nothing to confirm. */
  async confirm(by: Pick<AuditEvent, 'actor'> & Partial<AuditEvent>, reason: string): Promise<boolean> {
    if ((await this.unconfirmed()) === null) return false
    await this.#deps.db.tx(async (tx) => {
      for (const { id, at, backupAt } of this.#pending)
        await this.#deps.audit.record(tx, {
          ...by,
          action: 'restore.confirmed',
          object: { kind: 'restore', id },
          reason,
          details: { restoredAt: at, backupAt },
        })
      await clearAlarm(tx, 'restored', 'broker', reason)
    })
    await this.unconfirmed()
    // Only a note: what it names is confirmed.
    await rm(path.join(this.#deps.dataDir, FILE), { force: true }).catch(() => undefined)
    return true
  }
}

async function confirmedIn(query: Query, macKey: Secret<Buffer>): Promise<Set<string>> {
  const rows = await query<StagedRow[]>`
    SELECT staged, bytes, mac FROM audit.entry WHERE action = 'restore.confirmed'`
  // An entry that no broker wrote confirms nothing; the sequencer raises the alarm.
  return new Set(
    rows.flatMap((row) => (macHolds(macKey, row) ? (readEntry(row.bytes).object?.id ?? []) : [])),
  )
}

/** Null when there is none. One that is there and cannot be read is not passed over. */
async function readNote(file: string): Promise<Restore | null> {
  try {
    return restored.parse(JSON.parse(await readFile(file, 'utf8')))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new Error(
      `${file} cannot be read. It says when a backup was restored; put it right, or restore again.`,
      {
        cause: error,
      },
    )
  }
}
