import { IntegrityError } from '../audit/integrity.ts'
import type { AuditLog } from '../audit/log.ts'
import type { Query } from '../store/sql.ts'

/** What identity and inventory need of the audit log. */
export type Vouching = Pick<AuditLog, 'record' | 'verifyObject' | 'verifyObjects'>

/** A row with the kind and form that the log knows it by. */
export interface Vouchable<T> {
  row: T
  kind: string
  id: string
  form: unknown
}

/**
 * The rows that the audit log vouches for, read in the same repeatable-read transaction; the others don't count (threat 10) and the log has raised its alarm. One
 * query when all is well; row by row only to find the bad one.
 */
export async function keepVouched<T>(
  audit: Vouching,
  query: Query,
  rows: readonly Vouchable<T>[],
): Promise<T[]> {
  if (rows.length === 0) return []
  try {
    await audit.verifyObjects(
      query,
      rows.map(({ kind, id, form }) => ({ kind, id, current: form })),
    )
    return rows.map(({ row }) => row)
  } catch (error) {
    if (!(error instanceof IntegrityError)) throw error
  }
  const kept: T[] = []
  for (const { row, kind, id, form } of rows) {
    try {
      await audit.verifyObject(query, kind, id, form)
      kept.push(row)
    } catch (error) {
      if (!(error instanceof IntegrityError)) throw error
    }
  }
  return kept
}

export async function isVouched(
  audit: Vouching,
  query: Query,
  kind: string,
  id: string,
  form: unknown,
): Promise<boolean> {
  return (await keepVouched(audit, query, [{ row: true, kind, id, form }])).length === 1
}
