import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import path from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Tx } from '../store/sql.ts'
import { BackupError, type BackupManifest } from './format.ts'

type Table = BackupManifest['tables'][number]

/** Every table of ours with the columns that can be written (generated ones come back by themselves). */
export async function listTables(tx: Tx): Promise<{ name: string; columns: string[] }[]> {
  return tx<{ name: string; columns: string[] }[]>`
    SELECT n.nspname || '.' || c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    WHERE c.relkind = 'r' AND n.nspname IN ('public', 'audit')
    GROUP BY 1 ORDER BY 1`
}

export async function listSequences(tx: Tx): Promise<{ name: string; value: number }[]> {
  return tx<{ name: string; value: number }[]>`
    SELECT schemaname || '.' || sequencename AS name, last_value AS value
    FROM pg_sequences WHERE schemaname IN ('public', 'audit') AND last_value IS NOT NULL ORDER BY 1`
}

/** Streams a table's rows into `<folder>/<name>.copy`, within the transaction's snapshot. */
export async function dumpTable(
  tx: Tx,
  table: { name: string; columns: string[] },
  folder: string,
): Promise<Table> {
  const hash = createHash('sha256')
  let rows = 0
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      // In COPY text format a newline inside a value is written as \n, so each real one ends a row.
      for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) rows++
      done(null, chunk)
    },
  })
  const source = await tx`COPY ${tx(table.name)} (${tx(table.columns)}) TO STDOUT`.readable()
  await pipeline(source, meter, createWriteStream(path.join(folder, `${table.name}.copy`), { mode: 0o600 }))
  return { ...table, rows, sha256: hash.digest('hex') }
}

/**
 * Puts all rows back into an empty, migrated schema: foreign keys are taken off first and put on again at the end,
 * which checks them, so the order of tables does not matter; triggers of ours stay silent meanwhile.
 */
export async function loadTables(tx: Tx, manifest: BackupManifest, folder: string): Promise<void> {
  const existing = await listTables(tx)
  const keys = await tx<{ place: string; name: string; definition: string }[]>`
    SELECT conrelid::regclass::text AS place, quote_ident(conname) AS name, pg_get_constraintdef(oid) AS definition
    FROM pg_constraint
    WHERE contype = 'f' AND connamespace IN ('public'::regnamespace, 'audit'::regnamespace)`
  for (const key of keys) await tx.unsafe(`ALTER TABLE ${key.place} DROP CONSTRAINT ${key.name}`)
  for (const { name } of existing) {
    await tx`ALTER TABLE ${tx(name)} DISABLE TRIGGER USER`
    // Rows that migrations put there are in the backup as well.
    if (name !== 'public.schema_migration') await tx`DELETE FROM ${tx(name)}`
  }
  for (const table of manifest.tables) {
    if (table.name === 'public.schema_migration') continue
    if (!existing.some((other) => other.name === table.name)) {
      throw new BackupError(
        'backup-malformed',
        `The backup has a table ${table.name} that its migrations do not make.`,
      )
    }
    await loadTable(tx, table, path.join(folder, `${table.name}.copy`))
  }
  for (const { name } of existing) await tx`ALTER TABLE ${tx(name)} ENABLE TRIGGER USER`
  for (const key of keys) {
    await tx.unsafe(`ALTER TABLE ${key.place} ADD CONSTRAINT ${key.name} ${key.definition}`)
  }
  for (const { name, value } of manifest.sequences) {
    await tx`SELECT setval(${name}::regclass, ${value})`
  }
}

async function loadTable(tx: Tx, table: Table, file: string): Promise<void> {
  const hash = createHash('sha256')
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      done(null, chunk)
    },
  })
  const sink = await tx`COPY ${tx(table.name)} (${tx(table.columns)}) FROM STDIN`.writable()
  await pipeline(createReadStream(file), meter, sink)
  if (hash.digest('hex') !== table.sha256) {
    throw new BackupError('backup-damaged', `The rows of ${table.name} are not those that were saved.`)
  }
}
