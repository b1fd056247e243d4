import { newId } from '../broker/domain/ids.ts'
import type { Principal } from '../broker/domain/principal.ts'
import { decideAccess } from '../broker/policy/decide-access.ts'
import { type Line, linesOf, type Topic } from './decision-lines.ts'
import type { ApprovalsDeps } from './deps.ts'
import { gatherProposal } from './gather-facts.ts'
import { type RequestBody, visibleGround } from './requests.ts'

export interface Preview {
  permitted: boolean
  until: string | null
  lines: Line[]
}

/** The fields as far as they have been filled in. */
export type PartialBody = { [K in keyof RequestBody]?: RequestBody[K] | undefined }

/** What `decideAccess` says to a form that is still being filled in. Changes nothing. */
export async function preview(
  deps: ApprovalsDeps,
  principal: Principal,
  body: PartialBody,
): Promise<Preview> {
  const { endpointId, window } = body
  if (endpointId === undefined)
    return {
      permitted: false,
      until: null,
      lines: [{ code: 'choose-asset', holds: false, text: 'Choose an asset.', who: 'You', facts: {} }],
    }
  const now = deps.clock.wall()
  const opensAt = window ? Date.parse(window.opensAt) : now
  const closesAt = window ? Date.parse(window.closesAt) : now
  const unknown: Partial<Record<Topic, string>> = {}
  if (!body.ticket) unknown.ticket = 'Choose the change ticket.'
  if (!window) unknown.window = 'Choose a window inside the planned time of the ticket.'
  else if (opensAt >= closesAt) unknown.window = 'The window closes before it opens.'
  if (body.account === undefined) unknown.asset = 'Choose an account on the asset.'
  const gathered = await deps.db.tx(async (tx) => {
    const ground = await visibleGround(tx, principal, endpointId)
    return gatherProposal(
      deps,
      tx,
      ground,
      {
        requestId: newId(now),
        version: 1,
        state: 'waiting',
        snapshotHash: '',
        changedSince: [],
        stopped: null,
        held: null,
        personId: principal.personId,
        account: body.account ?? '',
        features: body.features ?? [],
        viewOnly: false,
        opensAt,
        closesAt,
        ending: ground.ending,
        ticket: body.ticket ?? { system: '', key: '' },
      },
      {
        purpose: 'preview',
        sessionId: null,
        runtime: await deps.runtime(ground.gatewayId),
        strongAuthAt: principal.authenticatedAt,
      },
    )
  }, 'repeatable read read only')
  const decision = decideAccess(gathered.facts, now)
  return {
    permitted: decision.permit && Object.keys(unknown).length === 0,
    until: decision.permit ? new Date(decision.until).toISOString() : null,
    lines: linesOf(decision, unknown),
  }
}
