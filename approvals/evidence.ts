import { type ApprovalRecord, approvalRecord } from '../broker/contract/approval-record.ts'
import { DEFAULT_POLICY } from '../broker/domain/access-facts.ts'
import { jcs } from '../broker/domain/canonical.ts'
import type { Query } from '../broker/store/sql.ts'
import type { VersionRow } from './rows.ts'

/** What an evidence package holds about the permission for a session. Documents are the exact bytes that were hashed. */
export interface PermissionEvidence {
  /** In the order of the given hashes; one that is missing or unreadable is left out, and a verifier says so. */
  approvals: ApprovalRecord[]
  /** ticket.json: hashes to `snapshot.ticket.hash`. */
  ticket: Uint8Array
  /** asset.json: hashes to `snapshot.asset.hash`. */
  asset: Uint8Array
  /** policy.json: hashes to the grant's `policyHash`. */
  policy: Uint8Array
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
  const records = approvals.flatMap((hash) => {
    const row = rows.find((each) => each.document_hash === hash)
    const record = row && approvalRecord.safeParse(JSON.parse(row.record))
    return record?.success ? [record.data] : []
  })
  const bytes = (text: string) => new TextEncoder().encode(text)
  return {
    approvals: records,
    ticket: bytes(version.ticket_snapshot),
    asset: bytes(version.asset_snapshot),
    policy: jcs(DEFAULT_POLICY),
  }
}
