import { IntegrityError } from '../broker/audit/integrity.ts'
import type { ObjectState } from '../broker/audit/log.ts'
import type { RequestState } from '../broker/domain/words.ts'
import type { Query } from '../broker/store/sql.ts'
import type { ApprovalsDeps } from './deps.ts'

/**
 * This room's rows as the audit log vouches for them. Each change of a row records the form before and after, so an
 * edited, inserted or deleted row opens nothing (threat 10).
 */
export interface RequestRow {
  id: string
  site_id: string
  asset_id: string
  endpoint_id: string
  requester_id: string
  vendor_id: string
  version: number
  state: RequestState
  snapshot_hash: string
  ticket_system: string
  ticket_key: string
  opens_at: Date
  closes_at: Date
  created_at: Date
}

export function requestState(row: RequestRow) {
  return {
    id: row.id,
    requester: row.requester_id,
    endpoint: row.endpoint_id,
    version: row.version,
    snapshotHash: row.snapshot_hash,
    state: row.state,
  }
}

export interface VersionRow {
  request_id: string
  version: number
  snapshot: string
  snapshot_hash: string
  asset_snapshot: string
  ticket_snapshot: string
  created_at: Date
}

export interface ApprovalRow {
  id: string
  request_id: string
  version: number
  extension_id: string | null
  person_id: string
  decision: 'granted' | 'declined'
  snapshot_hash: string
  record: string
  document_hash: string
  reason: string | null
  at: Date
  withdrawn_at: Date | null
  withdrawn_by: string | null
  withdrawn_because: string | null
}

export function approvalState(row: ApprovalRow) {
  return {
    id: row.id,
    request: row.request_id,
    version: row.version,
    extension: row.extension_id,
    person: row.person_id,
    decision: row.decision,
    snapshotHash: row.snapshot_hash,
    documentHash: row.document_hash,
    withdrawnAt: row.withdrawn_at?.toISOString() ?? null,
    withdrawnBy: row.withdrawn_by,
  }
}

export interface ExtensionRow {
  id: string
  session_id: string
  request_id: string
  request_version: number
  requester_id: string
  minutes: number
  closes_at: Date
  snapshot: string
  snapshot_hash: string
  asked_at: Date
}

export function extensionState(row: ExtensionRow) {
  return {
    id: row.id,
    session: row.session_id,
    request: row.request_id,
    version: row.request_version,
    snapshotHash: row.snapshot_hash,
  }
}

export interface RuleRow {
  id: string
  site_id: string
  criticality: string
  need: number
  roles: string[]
}

export function ruleState(row: RuleRow) {
  return {
    id: row.id,
    site: row.site_id,
    criticality: row.criticality,
    need: row.need,
    roles: [...row.roles].sort(),
  }
}

/** Which of these rows the log does not vouch for; each finding has raised its alarm already. */
export async function notVouchedFor(
  deps: Pick<ApprovalsDeps, 'audit'>,
  query: Query,
  states: readonly ObjectState[],
): Promise<{ object: string; id: string }[]> {
  const found: { object: string; id: string }[] = []
  let left = [...states]
  for (;;) {
    try {
      await deps.audit.verifyObjects(query, left)
      return found
    } catch (error) {
      if (!(error instanceof IntegrityError)) throw error
      const bad = left.filter((state) => `${state.kind} ${state.id}` === error.subject)
      // A finding about the log itself names no row of ours: then none of them counts.
      if (bad.length === 0) return [...found, { object: 'audit log', id: error.subject }]
      found.push(...bad.map((state) => ({ object: state.kind, id: state.id })))
      left = left.filter((state) => !bad.includes(state))
    }
  }
}
