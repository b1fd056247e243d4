import type { AuditEntry } from '../contract/audit-entry.ts'
import type { Secret } from '../domain/secret.ts'
import type { Query } from '../store/sql.ts'
import { IntegrityError } from './integrity.ts'
import { macHolds, readEntry, type StagedRow } from './stage.ts'

/**
 * What operators ordered, as the log has it: `details.person` and `details.endpoint` say whom it concerns and where.
 * A stop that only said yes to an end (`details.confirms`) is not among them: it forbids nothing.
 */
export interface Orders {
  /** The newest stop. */
  stop: AuditEntry | null
  /** The newest hold, unless it was released. */
  hold: AuditEntry | null
}

/**
 * The orders that stand for a person on an endpoint. They are read from the log, not from a session's row: the row
 * says what a gateway said of the end, and can be edited. The conditions are those of the index `entry_order`.
 */
export async function ordersOn(
  query: Query,
  macKey: Secret<Buffer>,
  person: string,
  endpoint: string,
): Promise<Orders> {
  const rows = await query<StagedRow[]>`
    SELECT DISTINCT ON (action = 'session.stop') staged, bytes, mac FROM audit.entry
    WHERE action IN ('session.stop', 'session.hold', 'session.release')
      AND audit.field(bytes, 'details', 'person') = ${person}
      AND audit.field(bytes, 'details', 'endpoint') = ${endpoint}
      AND (action <> 'session.stop' OR audit.field(bytes, 'details', 'confirms') IS NULL)
    ORDER BY (action = 'session.stop'), staged DESC`
  const entries = rows.map((row) => {
    if (macHolds(macKey, row)) return readEntry(row.bytes)
    const subject = `orders on endpoint ${endpoint}`
    throw new IntegrityError(
      'entry-not-ours',
      subject,
      `A log entry of ${subject} was not written by a broker.`,
    )
  })
  const newest = (action: string) => entries.find((entry) => entry.action === action) ?? null
  return { stop: newest('session.stop'), hold: newest('session.hold') }
}
