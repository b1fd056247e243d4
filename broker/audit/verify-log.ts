import { leafHash } from '../domain/merkle.ts'
import type { Secret } from '../domain/secret.ts'
import type { Database, Query } from '../store/sql.ts'
import { type LogSigner, mustExtend, readOwnCheckpoint, type SignedTreeHead } from './checkpoints.ts'
import { IntegrityError } from './integrity.ts'
import { readNodes } from './nodes.ts'
import { logSize } from './sequencer.ts'
import { macHolds } from './stage.ts'
import { append, frontier } from './tree.ts'

/** How many of the newest entries are read and hashed again at every start. */
const TAIL = 1_000

/**
 * Holds the database against the last checkpoint in the file and in its own table, and hashes the newest entries
 * again. Returns the newest checkpoint (null for a new log); throws IntegrityError when something does not fit.
 */
export async function verifyAgainst(
  db: Database,
  options: {
    origin: string
    epoch: number
    fileNote: string | null
    logKey: LogSigner
    macKey: Secret<Buffer>
  },
): Promise<SignedTreeHead | null> {
  const { origin, epoch, fileNote, logKey, macKey } = options
  const [row] = await db.sql<{ note: string }[]>`
    SELECT note FROM audit.checkpoint WHERE epoch = ${epoch} ORDER BY size DESC LIMIT 1`
  const heads = [fileNote, row?.note ?? null]
    .filter((note) => note !== null)
    .map((note) => readOwnCheckpoint(note, origin, logKey))
  for (const head of heads) await mustExtend(db.sql, head)
  const size = await logSize(db.sql)
  await verifyEntries(db.sql, macKey, Math.max(0, size - TAIL), size)
  return heads.reduce<SignedTreeHead | null>(
    (newest, head) => (newest && newest.size >= head.size ? newest : head),
    null,
  )
}

/**
 * Reads the entries [from, to) and checks that each is there and was written by a broker, and that the tree's nodes
 * over them are the ones stored; `mustExtend` holds the top of the tree against a checkpoint. At most a few thousand
 * at a time.
 */
export async function verifyEntries(
  query: Query,
  macKey: Secret<Buffer>,
  from: number,
  to: number,
): Promise<void> {
  const rows = await query<{ idx: number; staged: number; bytes: Buffer; mac: Buffer }[]>`
    SELECT l.idx, e.staged, e.bytes, e.mac
    FROM audit.leaf l JOIN audit.entry e ON e.id = l.entry
    WHERE l.idx >= ${from} AND l.idx < ${to} ORDER BY l.idx`
  rows.forEach((row, offset) => {
    if (row.idx !== from + offset) throw missing(from + offset)
    if (!macHolds(macKey, row)) throw changed(row.idx)
  })
  if (rows.length !== to - from) throw missing(from + rows.length)
  const computed = append(
    from,
    rows.map((row) => leafHash(row.bytes)),
    await readNodes(query, frontier(from)),
  )
  const stored = await readNodes(query, computed)
  for (const node of computed) {
    if (!Buffer.from(stored(node)).equals(node.hash)) throw changed(node.index * 2 ** node.level)
  }
}

function missing(index: number): IntegrityError {
  return new IntegrityError('log-entry-missing', `entry ${index}`, `Audit entry ${index} is missing.`)
}

function changed(index: number): IntegrityError {
  return new IntegrityError('log-rewritten', `entry ${index}`, `Audit entry ${index} has been changed.`)
}
