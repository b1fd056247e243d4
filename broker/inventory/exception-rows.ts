import type { ExceptionKind } from '../domain/words.ts'
import type { Query } from '../store/sql.ts'

/** A recorded deviation of one endpoint: why it is accepted, what stands against it, who answers for it, until when. */
export interface ExceptionRow {
  id: string
  siteId: string
  assetId: string
  endpointId: string
  kind: ExceptionKind
  reason: string
  compensatingControl: string
  ownerId: string
  expiresAt: Date
  openedBy: string
  openedAt: Date
  closedAt: Date | null
  closedBy: string | null
  closedBecause: string | null
}

/** Object kind `exception`: everything that the register says. */
export const canonicalException = (row: ExceptionRow) => ({
  v: 1,
  id: row.id,
  siteId: row.siteId,
  assetId: row.assetId,
  endpointId: row.endpointId,
  kind: row.kind,
  reason: row.reason,
  compensatingControl: row.compensatingControl,
  ownerId: row.ownerId,
  expiresAt: row.expiresAt.toISOString(),
  openedBy: row.openedBy,
  openedAt: row.openedAt.toISOString(),
  closedAt: row.closedAt?.toISOString() ?? null,
  closedBy: row.closedBy,
  closedBecause: row.closedBecause,
})

export const exceptionColumns = (query: Query) => query`
  x.id, x.site_id AS "siteId", x.asset_id AS "assetId", x.endpoint_id AS "endpointId", x.kind, x.reason,
  x.compensating_control AS "compensatingControl", x.owner_id AS "ownerId", x.expires_at AS "expiresAt",
  x.opened_by AS "openedBy", x.opened_at AS "openedAt", x.closed_at AS "closedAt", x.closed_by AS "closedBy",
  x.closed_because AS "closedBecause"`

export async function readExceptions(query: Query, ids: readonly string[]): Promise<ExceptionRow[]> {
  if (ids.length === 0) return []
  return query<ExceptionRow[]>`
    SELECT ${exceptionColumns(query)} FROM access_exception x WHERE x.id IN ${query(ids as string[])}`
}

/** Those that nobody has closed, also when they have expired: at most one of a kind for each endpoint. */
export async function readStanding(query: Query, endpointIds: readonly string[]): Promise<ExceptionRow[]> {
  if (endpointIds.length === 0) return []
  return query<ExceptionRow[]>`
    SELECT ${exceptionColumns(query)} FROM access_exception x
    WHERE x.endpoint_id IN ${query(endpointIds as string[])} AND x.closed_at IS NULL ORDER BY x.kind`
}
