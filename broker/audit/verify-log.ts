import type { AuditEntry } from '../contract/audit-entry.ts'
import { leafHash } from '../domain/merkle.ts'
import type { Secret } from '../domain/secret.ts'
import type { Database, Query } from '../store/sql.ts'
import { type LogSigner, mustExtend, readOwnCheckpoint, type SignedTreeHead } from './checkpoints.ts'
import { IntegrityError } from './integrity.ts'
import { readNodes } from './nodes.ts'
import { logSize } from './sequencer.ts'
import { macHolds, type StagedRow } from './stage.ts'
import { append, frontier } from './tree.ts'

/**
 * How many of the newest entries are read and hashed again at every start, before anything is vouched for: most plants'
 * whole log, in a second or two. The running check reads what is older.
 */
const TAIL = 50_000
const BATCH = 1_000

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
    /** Another number of entries than TAIL (tests of what is older). */
    tail?: number | undefined
  },
): Promise<SignedTreeHead | null> {
  const { origin, epoch, fileNote, logKey, macKey, tail = TAIL } = options
  const [row] = await db.sql<{ note: string }[]>`
    SELECT note FROM audit.checkpoint WHERE epoch = ${epoch} ORDER BY size DESC LIMIT 1`
  const heads = [fileNote, row?.note ?? null]
    .filter((note) => note !== null)
    .map((note) => readOwnCheckpoint(note, origin, logKey))
  for (const head of heads) await mustExtend(db.sql, head)
  const size = await logSize(db.sql)
  for (let from = Math.max(0, size - tail); from < size; from += BATCH)
    await verifyEntries(db.sql, macKey, from, Math.min(size, from + BATCH))
  return heads.reduce<SignedTreeHead | null>(
    (newest, head) => (newest && newest.size >= head.size ? newest : head),
    null,
  )
}

/**
 * Reads the entries [from, to) and checks that each is there, was written by a broker and is found by what it says (the
 * owner of the tables can make the generated columns say something else, and an entry that is not found vouches for
 * nothing), and that the tree's nodes over them are the ones stored; `mustExtend` holds the top of the tree against a checkpoint. At most a few thousand
 * at a time.
 */
export async function verifyEntries(
  query: Query,
  macKey: Secret<Buffer>,
  from: number,
  to: number,
): Promise<void> {
  const rows = await query<LogRow[]>`
    SELECT l.idx, e.staged, e.bytes, e.mac, e.object_kind AS kind, e.object_id AS object, e.changes
    FROM audit.leaf l JOIN audit.entry e ON e.id = l.entry
    WHERE l.idx >= ${from} AND l.idx < ${to} ORDER BY l.idx`
  rows.forEach((row, offset) => {
    if (row.idx !== from + offset) throw missing(from + offset)
    if (!macHolds(macKey, row) || !isFoundByItself(row)) throw changed(row.idx)
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

interface LogRow extends StagedRow {
  idx: number
  bytes: Buffer
  kind: string | null
  object: string | null
  changes: boolean
}

/** Whether the columns by which `vouch` finds an object's latest entry are those of its bytes. */
function isFoundByItself(row: LogRow): boolean {
  // Written by a broker, as the MAC says; read without the schema, because fifty thousand are to be read in a second.
  const { object, before, after } = JSON.parse(row.bytes.toString('utf8')) as Partial<AuditEntry>
  return (
    row.kind === (object?.kind ?? null) &&
    row.object === (object?.id ?? null) &&
    row.changes === ((before ?? null) !== null || (after ?? null) !== null)
  )
}

function missing(index: number): IntegrityError {
  return new IntegrityError('log-entry-missing', `entry ${index}`, `Audit entry ${index} is missing.`)
}

function changed(index: number): IntegrityError {
  return new IntegrityError('log-rewritten', `entry ${index}`, `Audit entry ${index} has been changed.`)
}
