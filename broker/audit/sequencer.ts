import { leafHash } from '../domain/merkle.ts'
import type { Secret } from '../domain/secret.ts'
import type { Database, Query } from '../store/sql.ts'
import { insertNodes, readNodes } from './nodes.ts'
import { macHolds, type StagedRow } from './stage.ts'
import { append, frontier } from './tree.ts'

/** Held by whichever broker is sequencing, for the length of one batch. */
const SEQUENCER_LOCK = 7_259_002

export interface SequencedBatch {
  taken: number
  /** Ids of staged rows that no broker wrote: kept out of the log. */
  refused: string[]
}

export async function logSize(query: Query): Promise<number> {
  const [row] = await query<{ size: number }[]>`SELECT coalesce(max(idx) + 1, 0) AS size FROM audit.leaf`
  return row?.size ?? 0
}

/**
 * Gives the next indexes to up to `limit` staged entries, in the order of staging, and extends the tree: all in one
 * transaction, so a crash leaves either everything or nothing of a batch, and no index is ever skipped or used twice.
 */
export async function sequenceBatch(
  db: Database,
  key: Secret<Buffer>,
  limit: number,
): Promise<SequencedBatch> {
  // An idle log costs one look at an empty queue, without the lock.
  const [waiting] = await db.sql`SELECT 1 FROM audit.pending LIMIT 1`
  if (!waiting) return { taken: 0, refused: [] }
  return db.tx(async (tx) => {
    await tx`SELECT pg_advisory_xact_lock(${SEQUENCER_LOCK})`
    const rows = await tx<(StagedRow & { id: string })[]>`
      SELECT e.staged, e.bytes, e.mac, e.id FROM audit.pending p JOIN audit.entry e ON e.id = p.entry
      ORDER BY p.staged LIMIT ${limit}`
    const taken = rows.filter((row) => macHolds(key, row))
    const refused = rows.filter((row) => !taken.includes(row)).map((row) => row.id)
    if (refused.length > 0) {
      await tx`INSERT INTO audit.refused (entry, reason)
        SELECT id, 'no valid MAC' FROM unnest(${refused}::uuid[]) AS id ON CONFLICT DO NOTHING`
    }
    if (taken.length > 0) {
      const size = await logSize(tx)
      const nodes = append(
        size,
        taken.map((row) => leafHash(row.bytes)),
        await readNodes(tx, frontier(size)),
      )
      await tx`INSERT INTO audit.leaf (idx, entry)
        SELECT ${size} + n - 1, id FROM unnest(${taken.map((row) => row.id)}::uuid[]) WITH ORDINALITY AS t (id, n)`
      await insertNodes(tx, nodes)
    }
    if (rows.length > 0) {
      await tx`DELETE FROM audit.pending WHERE staged = ANY (${rows.map((row) => row.staged)}::bigint[])`
    }
    return { taken: taken.length, refused }
  })
}
