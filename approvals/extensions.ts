import { conflict, notFound } from '../broker/domain/failure.ts'
import { newId } from '../broker/domain/ids.ts'
import type { Principal } from '../broker/domain/principal.ts'
import { type RequestSnapshot, snapshotHash } from '../broker/domain/request-snapshot.ts'
import { type ApprovalsDeps, actorOf, announce, signInOf } from './deps.ts'
import { text } from './requests.ts'
import { type ExtensionRow, extensionState, type RequestRow, type VersionRow } from './rows.ts'
import { knownTicket } from './tickets/ticket-book.ts'

interface SessionRow {
  id: string
  request_id: string
  request_version: number
  person_id: string
  state: string
  permit_ends_at: Date
}

/**
 * Asks for more time from inside a session. The new end is never beyond the ticket's planned end. What approvers sign
 * is a document of its own that repeats the request's snapshot and names the session.
 */
export function askExtension(
  deps: ApprovalsDeps,
  principal: Principal,
  sessionId: string,
  body: { minutes: number; reason: string },
  source: string,
): Promise<string> {
  return deps.db.tx(async (tx) => {
    const [session] = await tx<SessionRow[]>`
      SELECT id, request_id, request_version, person_id, state, permit_ends_at FROM session
      WHERE id = ${sessionId} FOR UPDATE`
    if (!session || session.person_id !== principal.personId) throw notFound('session')
    if (session.state === 'closed' || session.state === 'closing')
      throw conflict('session-over', 'The session is over.', 'Ask for access again.')
    const [request] = await tx<RequestRow[]>`
      SELECT * FROM access_request WHERE id = ${session.request_id} FOR UPDATE`
    const [version] = await tx<VersionRow[]>`
      SELECT * FROM access_request_version
      WHERE request_id = ${session.request_id} AND version = ${session.request_version}`
    if (!request || !version) throw notFound('session')
    if (request.version !== session.request_version || request.state !== 'approved')
      throw conflict(
        'request-edited',
        'The request behind this session does not hold any more.',
        'Ask for access again.',
      )
    const now = deps.clock.wall()
    const [waiting] = await tx`
      SELECT 1 FROM extension_request e WHERE e.session_id = ${sessionId} AND e.closes_at > ${new Date(now)}
        AND NOT EXISTS (SELECT FROM approval a WHERE a.extension_id = e.id AND a.withdrawn_at IS NULL)`
    if (waiting)
      throw conflict(
        'extension-waiting',
        'You have asked already; nobody has answered yet.',
        'Wait for the answer.',
      )
    const ticket = await knownTicket(deps, tx, request.site_id, request.ticket_system, request.ticket_key)
    const plannedEnd = ticket?.facts.plannedEnd ?? null
    const asked = session.permit_ends_at.getTime() + body.minutes * 60_000
    const closesAt = plannedEnd === null ? 0 : Math.min(asked, plannedEnd)
    if (closesAt <= session.permit_ends_at.getTime() || closesAt <= now)
      throw conflict(
        'ticket-ends',
        'The change ticket leaves no more time.',
        'Have the planned end of the change moved first.',
      )
    const base = JSON.parse(version.snapshot) as RequestSnapshot
    const id = newId(now)
    const snapshot: RequestSnapshot = {
      ...base,
      extension: {
        id,
        session: sessionId,
        of: snapshotHash(base),
        closesAt: new Date(closesAt).toISOString(),
        reason: body.reason,
      },
    }
    const [row] = await tx<ExtensionRow[]>`
      INSERT INTO extension_request (id, session_id, request_id, request_version, requester_id, minutes, closes_at,
        snapshot, snapshot_hash, asked_at)
      VALUES (${id}, ${sessionId}, ${request.id}, ${request.version}, ${principal.personId}, ${body.minutes},
        ${new Date(closesAt)}, ${text(snapshot)}, ${snapshotHash(snapshot)}, ${new Date(now)})
      RETURNING *`
    if (!row) throw new Error('the extension was not written')
    await deps.audit.record(tx, {
      action: 'extension.asked',
      actor: actorOf(principal, base.requester.vendor.name),
      authentication: signInOf(principal),
      source,
      object: { kind: 'extension', id },
      after: extensionState(row),
      reason: body.reason,
      correlation: { request: request.id, session: sessionId, ticket: request.ticket_key },
      details: { until: row.closes_at.toISOString() },
    })
    await announce(tx, [request.id])
    return id
  })
}
