import type { AuditEntry } from '../contract/audit-entry.ts'
import { leafHash } from '../domain/merkle.ts'
import type { Secret } from '../domain/secret.ts'
import type { Query, Sql } from '../store/sql.ts'
import { macHolds, readEntry, type StagedRow } from './stage.ts'

export interface AuditFilter {
  /** Inclusive, ISO 8601 UTC with milliseconds. */
  from?: string | undefined
  /** Exclusive. */
  to?: string | undefined
  actor?: string | undefined
  /** A prefix: `session.` gives all that happened to sessions. */
  action?: string | undefined
  object?: { kind: string; id: string } | undefined
  session?: string | undefined
  recording?: string | undefined
  request?: string | undefined
  result?: AuditEntry['result'] | undefined
  /** Only what belongs to a request or a session of these sites; absent: everything. */
  sites?: readonly string[] | undefined
}

export interface FoundEntry {
  /** Place in the log; null for the second in which it waits for one. */
  index: number | null
  entry: AuditEntry
  bytes: Buffer
  /** RFC 6962 leaf hash. */
  leaf: Buffer
}

export interface AuditPage {
  entries: FoundEntry[]
  /** Give it back for the next page; null on the last one. */
  next: string | null
}

const PAGE_LIMIT = 1_000

/**
 * Newest first. Pages are cut by position (keyset), so a page costs the same however deep it lies, and entries that
 * arrive meanwhile move nothing. There is no total: counting would scan history.
 */
export async function findEntries(
  query: Query,
  macKey: Secret<Buffer>,
  filter: AuditFilter,
  options: { cursor?: string | null | undefined; limit: number },
): Promise<AuditPage> {
  const limit = Math.min(Math.max(1, options.limit), PAGE_LIMIT)
  const before = readCursor(options.cursor)
  const rows = await query<(StagedRow & { bytes: Buffer; idx: number | null })[]>`
    SELECT e.staged, e.bytes, e.mac, l.idx FROM audit.entry e LEFT JOIN audit.leaf l ON l.entry = e.id
    WHERE ${conditions(query, filter)} ${before === null ? query`` : query`AND e.staged < ${before}`}
    ORDER BY e.staged DESC LIMIT ${limit + 1}`
  const page = rows.slice(0, limit)
  const last = page.at(-1)
  return {
    // A row that no broker wrote is not shown as an entry; the sequencer raises the alarm.
    entries: page.filter((row) => macHolds(macKey, row)).map(found),
    next: rows.length > limit && last ? String(last.staged) : null,
  }
}

/** All sequenced entries that match, by index, in pages of constant size: for packages. */
export async function* entriesInOrder(
  sql: Sql,
  macKey: Secret<Buffer>,
  filter: AuditFilter,
): AsyncGenerator<FoundEntry> {
  let after = -1
  for (;;) {
    const rows = await sql<(StagedRow & { bytes: Buffer; idx: number })[]>`
      SELECT e.staged, e.bytes, e.mac, l.idx FROM audit.entry e JOIN audit.leaf l ON l.entry = e.id
      WHERE ${conditions(sql, filter)} AND l.idx > ${after} ORDER BY l.idx LIMIT ${PAGE_LIMIT}`
    for (const row of rows) if (macHolds(macKey, row)) yield found(row)
    const last = rows.at(-1)
    if (!last || rows.length < PAGE_LIMIT) return
    after = last.idx
  }
}

function found(row: StagedRow & { bytes: Buffer; idx: number | null }): FoundEntry {
  return { index: row.idx, entry: readEntry(row.bytes), bytes: row.bytes, leaf: leafHash(row.bytes) }
}

const COLUMNS = [
  'index',
  'time',
  'clock',
  'action',
  'result',
  'actor',
  'actor name',
  'source',
  'object kind',
  'object',
  'reason',
  'request',
  'session',
  'ticket',
  'details',
  'id',
  'leaf',
] as const

/** The matching entries as CSV (RFC 4180), newest first, page by page. */
export async function* entriesAsCsv(
  query: Query,
  macKey: Secret<Buffer>,
  filter: AuditFilter,
): AsyncGenerator<string> {
  yield csvLine([...COLUMNS])
  let cursor: string | null = null
  do {
    const page: AuditPage = await findEntries(query, macKey, filter, { cursor, limit: PAGE_LIMIT })
    yield page.entries
      .map(({ index, entry, leaf }) =>
        csvLine([
          index === null ? '' : String(index),
          entry.time,
          entry.clock,
          entry.action,
          entry.result,
          entry.actor.id,
          entry.actor.name ?? '',
          entry.source ?? '',
          entry.object?.kind ?? '',
          entry.object?.id ?? '',
          entry.reason ?? '',
          entry.correlation.request ?? '',
          entry.correlation.session ?? '',
          entry.correlation.ticket ?? '',
          JSON.stringify(entry.details),
          entry.id,
          leaf.toString('hex'),
        ]),
      )
      .join('')
    cursor = page.next
  } while (cursor !== null)
}

function csvLine(cells: string[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`
}

/** Quoted always; a leading formula character gets an apostrophe, because spreadsheets execute such cells. */
function csvCell(value: string): string {
  const safe = /^[=+\-@＝＋－＠\t\r\n]/.test(value) ? `'${value}` : value
  return `"${safe.replaceAll('"', '""')}"`
}

function conditions(query: Query, filter: AuditFilter) {
  const parts = [query`TRUE`]
  if (filter.from !== undefined) parts.push(query`e.time >= ${filter.from}`)
  if (filter.to !== undefined) parts.push(query`e.time < ${filter.to}`)
  if (filter.actor !== undefined) parts.push(query`e.actor = ${filter.actor}`)
  if (filter.action !== undefined) {
    // A range instead of LIKE: no wildcard in what a user typed, and the index serves it ("C" collation).
    parts.push(query`e.action >= ${filter.action} AND e.action < ${`${filter.action}\u{10ffff}`}`)
  }
  if (filter.object !== undefined) {
    parts.push(query`e.object_kind = ${filter.object.kind} AND e.object_id = ${filter.object.id}`)
  }
  if (filter.session !== undefined) parts.push(query`e.session = ${filter.session}`)
  if (filter.recording !== undefined) parts.push(query`e.recording = ${filter.recording}`)
  if (filter.request !== undefined) parts.push(query`e.request = ${filter.request}`)
  if (filter.result !== undefined) parts.push(query`e.result = ${filter.result}`)
  if (filter.sites !== undefined) {
    const sites = [...filter.sites]
    parts.push(query`(
      e.session IN (SELECT id FROM session WHERE site_id = ANY (${sites}))
      OR e.request IN (SELECT id::text FROM access_request WHERE site_id = ANY (${sites})))`)
  }
  return parts.reduce((all, part) => query`${all} AND ${part}`)
}

function readCursor(cursor: string | null | undefined): number | null {
  if (cursor === null || cursor === undefined) return null
  if (!/^[0-9]{1,15}$/.test(cursor)) throw new RangeError('not a cursor of this list')
  return Number(cursor)
}
