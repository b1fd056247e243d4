import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { sha256 } from '../domain/canonical.ts'
import type { Database, Tx } from './sql.ts'

/** A number of our own, so that two brokers starting at once migrate one after the other. */
const MIGRATION_LOCK = 7_259_001

export class MigrationError extends Error {
  readonly code: 'migration-changed' | 'migration-missing' | 'migration-name'
  constructor(code: MigrationError['code'], message: string) {
    super(message)
    this.code = code
  }
}

export interface Migration {
  number: number
  name: string
  sql: string
  checksum: string
}

/** The SQL files of `folder`, named `NNN_name.sql`, in order. Two files with one number are refused. */
export async function readMigrations(
  folder = path.join(import.meta.dirname, 'migrations'),
): Promise<Migration[]> {
  const found: Migration[] = []
  for (const name of (await readdir(folder)).filter((file) => file.endsWith('.sql')).sort()) {
    const number = Number(/^(\d{3})_[a-z0-9_-]+\.sql$/.exec(name)?.[1] ?? Number.NaN)
    if (!Number.isInteger(number)) {
      throw new MigrationError('migration-name', `${name}: migrations are named NNN_name.sql`)
    }
    const twin = found.find((other) => other.number === number)
    if (twin) throw new MigrationError('migration-name', `${twin.name} and ${name} have the same number`)
    const sql = await readFile(path.join(folder, name), 'utf8')
    found.push({ number, name, sql, checksum: sha256(sql).toString('hex') })
  }
  return found
}

/**
 * Applies what has not been applied yet, as the owner role, each file in a transaction of its own. Forward only:
 * a file that was applied and has changed since, or is gone, is refused. Returns the names applied now.
 */
export async function migrate(owner: Database, migrations?: readonly Migration[]): Promise<string[]> {
  const files = migrations ?? (await readMigrations())
  await owner.tx(async (tx) => {
    await lock(tx)
    await tx`CREATE TABLE IF NOT EXISTS schema_migration (
      number integer PRIMARY KEY,
      name text NOT NULL,
      checksum text NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT now()
    )`
  })
  const applied: string[] = []
  for (;;) {
    const name = await owner.tx(async (tx) => {
      await lock(tx)
      await tx`SET LOCAL statement_timeout = 0`
      const next = await nextMigration(tx, files)
      if (!next) return null
      await tx.unsafe(next.sql).simple()
      await tx`INSERT INTO schema_migration (number, name, checksum)
        VALUES (${next.number}, ${next.name}, ${next.checksum})`
      return next.name
    })
    if (name === null) return applied
    applied.push(name)
  }
}

async function lock(tx: Tx): Promise<void> {
  await tx`SET LOCAL lock_timeout = 0`
  await tx`SELECT pg_advisory_xact_lock(${MIGRATION_LOCK})`
}

/** The first file not applied yet, after checking every one that was. */
async function nextMigration(tx: Tx, files: readonly Migration[]): Promise<Migration | null> {
  const done = await tx<{ number: number; name: string; checksum: string }[]>`
    SELECT number, name, checksum FROM schema_migration ORDER BY number`
  for (const row of done) {
    const file = files.find((candidate) => candidate.number === row.number)
    if (!file) {
      throw new MigrationError(
        'migration-missing',
        `The database has ${row.name}, which this version does not know. Run the version that made it, or a newer one.`,
      )
    }
    if (file.checksum !== row.checksum) {
      throw new MigrationError(
        'migration-changed',
        `${file.name} was changed after it had been applied. Restore it and add a new migration instead.`,
      )
    }
  }
  const numbers = new Set(done.map((row) => row.number))
  return files.find((file) => !numbers.has(file.number)) ?? null
}
