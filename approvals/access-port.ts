import { IntegrityError } from '../broker/audit/integrity.ts'
import { Failure, notFound } from '../broker/domain/failure.ts'
import type { AccessPort, ApprovedRequest, AskAccess } from '../broker/domain/ports.ts'
import { decideAccess } from '../broker/policy/decide-access.ts'
import { explain } from '../broker/policy/explain.ts'
import type { Subscription } from '../broker/store/sql.ts'
import { ACCESS_CHANGED, type ApprovalsDeps } from './deps.ts'
import { type GatheredRequest, gatherRequest } from './gather-facts.ts'

/** What the session service decides from: facts read afresh, approvals verified again, and word of changes. */
export function accessPort(
  deps: ApprovalsDeps,
): AccessPort & { start(): Promise<void>; close(): Promise<void> } {
  const listeners = new Set<(requestIds: string[]) => void>()
  let subscription: Subscription | null = null
  const tell = (ids: string[]) => {
    for (const listener of listeners) listener(ids)
  }
  return {
    async facts(ask: AskAccess) {
      const gathered = await read(deps, ask.requestId, {
        purpose: ask.purpose,
        sessionId: ask.sessionId,
        runtime: ask.runtime,
        strongAuthAt: ask.runtime.authenticatedAt,
      })
      // Somebody else's request is decided like one that isn't there.
      if (gathered.row.requester_id !== ask.personId) throw notFound('request')
      return gathered.facts
    },

    async approved(requestId: string): Promise<ApprovedRequest> {
      const [running] = await deps.db.sql<{ id: string }[]>`
        SELECT id FROM session WHERE request_id = ${requestId} AND state <> 'closed' ORDER BY opened_at DESC LIMIT 1`
      const gathered = await read(deps, requestId, {
        purpose: 'renew',
        sessionId: running?.id ?? null,
        runtime: { gatewayOnline: true, clock: 'ok', storageBelowReserve: false, restoreUnconfirmed: false },
        strongAuthAt: null,
      })
      const bad = gathered.facts.unvouched[0]
      if (bad)
        throw new IntegrityError(
          'row-not-vouched-for',
          `${bad.object} ${bad.id}`,
          `The row of ${bad.object} ${bad.id} is not the one that the audit log vouches for.`,
        )
      const decision = decideAccess(gathered.facts, deps.clock.wall())
      if (!decision.permit)
        throw new Failure(
          409,
          'not-approved',
          'This request does not hold.',
          'See what is missing, below.',
          decision.reasons.map(explain),
        )
      const { obligations } = decision
      return {
        snapshot: gathered.snapshot,
        snapshotHash: gathered.facts.request.snapshotHash,
        // Nothing has changed since: the decision just now would have said so.
        address: { host: gathered.ground.address, port: gathered.ground.port },
        features: obligations.features,
        viewOnly: obligations.viewOnly,
        inputDuringGrace: obligations.ending.inputDuringGrace,
        approvals: obligations.approvals,
      }
    },

    onChange(listener) {
      listeners.add(listener)
    },

    async start() {
      subscription = await deps.db.listen(ACCESS_CHANGED, (id) => tell([id]))
    },

    async close() {
      listeners.clear()
      await subscription?.close()
    },
  }
}

/** All rows of one moment. */
async function read(
  deps: ApprovalsDeps,
  requestId: string,
  asking: Parameters<typeof gatherRequest>[3],
): Promise<GatheredRequest> {
  const gathered = await deps.db.tx(
    (tx) => gatherRequest(deps, tx, requestId, asking),
    'repeatable read read only',
  )
  if (!gathered) throw notFound('request')
  return gathered
}
