import { hashOf } from '../domain/canonical.ts'
import type { Secret } from '../domain/secret.ts'
import { Overtaken, type Query } from '../store/sql.ts'
import { IntegrityError } from './integrity.ts'
import { macHolds, readEntry, type StagedRow } from './stage.ts'

/** A row to check: `current` is its canonical form as given to `record` as `after`; null when there is no row. */
export interface ObjectState {
  kind: string
  id: string
  current: unknown
}

interface LatestRow extends StagedRow {
  n: number
  idx: number | null
}

/** Latest sequenced staging number seen per object, so that this process notices an entry that vanishes later. */
export type SeenEntries = Map<string, number>
const SEEN_LIMIT = 20_000

/**
 * Throws IntegrityError unless every object's canonical form has the hash that its latest log entry gives, whether
 * sequenced or staged. One query for all of them, by index. Rows and entries must be of one moment: `query` is a
 * repeatable-read transaction that read the rows too, or one that holds them locked. `fresh` sees what is there now.
 */
export async function vouch(
  query: Query,
  key: Secret<Buffer>,
  objects: readonly ObjectState[],
  seen: SeenEntries,
  fresh: Query,
): Promise<void> {
  if (objects.length === 0) return
  const rows = await latestEntries(query, objects)
  const behind = objects.filter((object, index) => isBehind(object, rows[index], seen))
  if (behind.length > 0) {
    const now = await latestEntries(fresh, behind)
    const gone = behind.find((object, index) => isBehind(object, now[index], seen))
    if (gone) {
      const subject = subjectOf(gone)
      throw new IntegrityError('log-entry-missing', subject, `A log entry for ${subject} has disappeared.`)
    }
    // Somebody else has been told the newer state already: nothing is decided from the older one any more.
    throw new Overtaken(`${behind.map(subjectOf).join(', ')} changed meanwhile`)
  }
  objects.forEach((object, index) => {
    check(object, rows[index], key, seen)
  })
}

/** The newest entry of each object, in their order; undefined where there is none. */
async function latestEntries(
  query: Query,
  objects: readonly ObjectState[],
): Promise<(LatestRow | undefined)[]> {
  const kinds = objects.map((object) => object.kind)
  const ids = objects.map((object) => object.id)
  const rows = await query<LatestRow[]>`
    SELECT o.n::int AS n, e.staged, e.bytes, e.mac, l.idx
    FROM unnest(${kinds}::text[], ${ids}::text[]) WITH ORDINALITY AS o (kind, id, n)
    CROSS JOIN LATERAL (
      SELECT staged, bytes, mac, entry.id FROM audit.entry
      WHERE object_kind = o.kind AND object_id = o.id AND changes
      ORDER BY staged DESC LIMIT 1
    ) e
    LEFT JOIN audit.leaf l ON l.entry = e.id`
  const latest = new Map(rows.map((row) => [row.n, row]))
  return objects.map((_, index) => latest.get(index + 1))
}

function subjectOf(object: ObjectState): string {
  return `${object.kind} ${object.id}`
}

/** Whether this process has been shown a later entry of the object before. */
function isBehind(object: ObjectState, row: LatestRow | undefined, seen: SeenEntries): boolean {
  const before = seen.get(subjectOf(object))
  return before !== undefined && (row?.staged ?? -1) < before
}

function check(
  object: ObjectState,
  row: LatestRow | undefined,
  key: Secret<Buffer>,
  seen: SeenEntries,
): void {
  const subject = subjectOf(object)
  if (row && !macHolds(key, row)) {
    throw new IntegrityError(
      'entry-not-ours',
      subject,
      `The log entry for ${subject} was not written by a broker.`,
    )
  }
  const entry = row ? readEntry(row.bytes) : null
  const named = entry?.object?.kind === object.kind && entry.object.id === object.id
  const expected = entry && named ? entry.after : null
  const actual = object.current === null || object.current === undefined ? null : hashOf(object.current)
  if (expected !== actual) {
    throw new IntegrityError(
      'row-not-vouched-for',
      subject,
      `The row of ${subject} is not the one that the audit log vouches for. It does not count.`,
    )
  }
  // Only what is in the log for good: a staged entry may still be rolled back.
  if (row && row.idx !== null) {
    seen.delete(subject)
    seen.set(subject, row.staged)
    if (seen.size > SEEN_LIMIT) for (const oldest of seen.keys()) return void seen.delete(oldest)
  }
}
