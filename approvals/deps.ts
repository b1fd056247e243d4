import type { AuditLog } from '../broker/audit/log.ts'
import type { AuditActor } from '../broker/contract/audit-entry.ts'
import type { Clock } from '../broker/domain/clock.ts'
import type { RuntimeFacts } from '../broker/domain/ports.ts'
import type { Principal } from '../broker/domain/principal.ts'
import type { Database, Query } from '../broker/store/sql.ts'

/** What this room needs from the others; main.ts puts it together. */
export interface ApprovalsDeps {
  db: Database
  audit: Pick<AuditLog, 'record' | 'verifyObjects' | 'orders'>
  clock: Clock
  /** Deployment id, part of every signed snapshot. */
  deployment: string
  webauthn: {
    rpId: string
    /** Origins that this installation serves its pages under. */
    origins: readonly string[]
  }
  /** Signs and checks stored ticket snapshots with the broker's key. */
  ticketSigner: TicketSigner
  /** What only the running broker knows, for the preview. */
  runtime(
    gatewayId: string | null,
  ): Promise<Pick<RuntimeFacts, 'gatewayOnline' | 'clock' | 'storageBelowReserve' | 'restoreUnconfirmed'>>
}

/** JWS (EdDSA, typ `sallyport-ticket-snapshot+jws`) by the broker's key. */
export interface TicketSigner {
  sign(payload: Record<string, unknown>): Promise<string>
  /** The payload when the signature is ours; null otherwise. */
  verify(jws: string): Promise<Record<string, unknown> | null>
}

/** Carries request ids, one a message: their facts changed, whatever runs on them is decided again. */
export const ACCESS_CHANGED = 'access_changed'

/**
 * Tells every broker when the transaction commits: to decide anew what runs on these requests, and to let open pages
 * fetch again (the channel and topics of broker/sessions/hints.ts).
 */
export async function announce(query: Query, requestIds: readonly string[]): Promise<void> {
  for (const id of new Set(requestIds)) await query`SELECT pg_notify(${ACCESS_CHANGED}, ${id})`
  if (requestIds.length > 0) await query`SELECT pg_notify('hints', 'requests,extensions')`
}

export function actorOf(principal: Principal, organisation: string | null): AuditActor {
  return { kind: 'person', id: principal.personId, name: principal.name, organisation }
}

/** How the person is signed in, for an audit entry that is not a signature of its own. */
export function signInOf(principal: Principal) {
  return {
    method: principal.method,
    credential: principal.method === 'oidc' ? principal.issuer : null,
    at: new Date(principal.authenticatedAt).toISOString(),
  }
}
