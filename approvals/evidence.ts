import { DEFAULT_POLICY } from '../broker/domain/access-facts.ts'
import type { Query } from '../broker/store/sql.ts'
import { text } from './requests.ts'
import type { VersionRow } from './rows.ts'

/** What an evidence package holds about the permission for a session, each as the exact text that was hashed. */
export interface PermissionEvidence {
  /** approval-record.ts records in canonical JSON, in the order of the given hashes; null where there is none. */
  approvals: (string | null)[]
  /** ticket.json: hashes to `snapshot.ticket.hash`. */
  ticket: string
  /** asset.json: hashes to `snapshot.asset.hash`. */
  asset: string
  /** policy.json: hashes to the grant's `policyHash`. */
  policy: string
}

/** Null when there is no such version. `approvals`: document hashes, as a grant names them. */
export async function permissionEvidence(
  query: Query,
  request: { id: string; version: number },
  approvals: readonly string[],
): Promise<PermissionEvidence | null> {
  const [version] = await query<VersionRow[]>`
    SELECT * FROM access_request_version WHERE request_id = ${request.id} AND version = ${request.version}`
  if (!version) return null
  const rows = await query<{ document_hash: string; record: string }[]>`
    SELECT document_hash, record FROM approval WHERE document_hash = ANY(${[...approvals]}::text[])`
  const records = new Map(rows.map((row) => [row.document_hash, row.record]))
  return {
    approvals: approvals.map((hash) => records.get(hash) ?? null),
    ticket: version.ticket_snapshot,
    asset: version.asset_snapshot,
    policy: text(DEFAULT_POLICY),
  }
}
