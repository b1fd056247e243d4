import type { Answer } from '../broker/contract/api/index.ts'
import type { ApprovalRecord } from '../broker/contract/approval-record.ts'
import { decideAccess } from '../broker/policy/decide-access.ts'
import type { Query } from '../broker/store/sql.ts'
import { standingWord, wordOf } from './console.ts'
import { linesOf } from './decision-lines.ts'
import type { ApprovalsDeps } from './deps.ts'
import { type GatheredRequest, gatherRequest } from './gather-facts.ts'
import type { ApprovalRow, ExtensionRow } from './rows.ts'
import type { KnownTicket } from './tickets/ticket-book.ts'

export type RequestView = Answer<'GET /api/requests/:id'>
export type TicketView = Answer<'POST /api/tickets/lookup'>
export type ExtensionView = Answer<'POST /api/sessions/:id/extension'>

/** The request as a page shows it, or null. `staff`: the customer's own people, who also see what can go wrong. */
export async function requestView(
  deps: ApprovalsDeps,
  query: Query,
  requestId: string,
  staff: boolean,
): Promise<RequestView | null> {
  const now = deps.clock.wall()
  const [session] = await query<{ id: string; state: string }[]>`
    SELECT id, state FROM session WHERE request_id = ${requestId} AND state <> 'closed'
    ORDER BY opened_at DESC LIMIT 1`
  const [place] = await query<{ gateway_id: string | null }[]>`
    SELECT a.gateway_id FROM access_request r JOIN asset a ON a.id = r.asset_id WHERE r.id = ${requestId}`
  if (!place) return null
  const asking = {
    purpose: session ? 'renew' : 'preview',
    sessionId: session?.id ?? null,
    runtime: await deps.runtime(place.gateway_id),
    strongAuthAt: null,
  } as const
  let gathered = await gatherRequest(deps, query, requestId, asking)
  // What stands about the console and does not count is asked for anew, so it must not count as what is missing either.
  if (!session && gathered?.console && standingWord(gathered, now) === 'nothing')
    gathered = await gatherRequest(deps, query, requestId, { ...asking, leavesWordOut: true })
  if (!gathered) return null
  const { row, ground, snapshot, facts, ticket } = gathered
  const decision = decideAccess(facts, now)
  const visits = await visitsOf(query, row.requester_id, row.site_id)
  const otherWork = staff ? await overlapping(query, gathered) : []
  const over =
    now >= row.closes_at.getTime() && !session && (row.state === 'waiting' || row.state === 'approved')
  return {
    id: row.id,
    version: row.version,
    state: over ? 'ended' : row.state,
    snapshotHash: row.snapshot_hash,
    requester: {
      id: snapshot.requester.id,
      name: snapshot.requester.name,
      company: snapshot.requester.vendor.name,
      lastVisitAt: visits.last?.toISOString() ?? null,
      visits: visits.count,
    },
    asset: assetCard(ground),
    hazard: staff ? ground.hazard : null,
    zonePath: ground.gatewayZone ? `${ground.gatewayZone.name} > ${ground.zoneName}` : ground.zoneName,
    endpoint: { id: ground.endpointId, protocol: ground.protocol },
    deviations: staff ? deviationsOf(gathered) : [],
    account: snapshot.account,
    features: snapshot.features,
    purpose: snapshot.purpose,
    ticket: ticket ? ticketView(ticket) : goneTicket(snapshot.ticket, row.created_at),
    window: snapshot.window,
    ending: snapshot.ending,
    approvals: gathered.approvals
      .filter(({ row: each }) => each.extension_id === null && each.snapshot_hash === row.snapshot_hash)
      .map(approvalView),
    need: {
      count: Math.max(ground.rule.need, ground.criticality === 'C1' ? 2 : 1),
      roles: ground.rule.roles,
    },
    risks: staff ? risksOf(gathered, visits.count, otherWork.length, now) : [],
    otherWork,
    decision: {
      permitted: decision.permit,
      until: decision.permit ? new Date(decision.until).toISOString() : null,
      lines: linesOf(decision),
    },
    session: session ?? null,
    console: consoleOf(gathered, now),
    createdAt: row.created_at.toISOString(),
  }
}

/** An exception for which the log does not vouch is none, on the card as in the decision. */
function deviationsOf({ ground, facts }: GatheredRequest): RequestView['deviations'] {
  return ground.deviations.map(({ kind, exception }) => ({
    kind,
    exception:
      exception && !facts.unvouched.some(({ object, id }) => object === 'exception' && id === exception.id)
        ? {
            reason: exception.reason,
            compensatingControl: exception.compensatingControl,
            owner: exception.owner,
            expiresAt: exception.expiresAt.toISOString(),
          }
        : null,
  }))
}

/** A word is shown only when it counts; one that ran out was answered, so nobody is asked. */
function consoleOf(gathered: GatheredRequest, now: number): RequestView['console'] {
  const { ground, facts, console: word } = gathered
  if (!ground.operatorsUseConsole) return null
  if (!word || standingWord(gathered, now) === 'nothing') return { askedAt: null, ready: null }
  return {
    askedAt: word.askedAt.toISOString(),
    ready: facts.ready && wordOf(word, facts.ready.by.name),
  }
}

export function assetCard(ground: GatheredRequest['ground']): RequestView['asset'] {
  return {
    id: ground.assetId,
    name: ground.assetName,
    type: ground.assetType,
    description: ground.description,
    criticality: ground.criticality,
    site: { id: ground.siteId, name: ground.siteName, timeZone: ground.timeZone },
    zone: ground.zoneName,
  }
}

export function ticketView({ ticket, fetchedAt, facts }: KnownTicket): TicketView {
  return {
    system: ticket.system,
    key: ticket.key,
    title: ticket.title,
    state: ticket.state,
    plannedStart: ticket.plannedStart,
    plannedEnd: ticket.plannedEnd,
    items: ticket.items,
    link: ticket.link,
    fetchedAt: fetchedAt.toISOString(),
    hash: facts.hash,
  }
}

function goneTicket(
  signed: { system: string; key: string; title: string; hash: string },
  createdAt: Date,
): TicketView {
  return {
    ...signed,
    state: 'unknown',
    plannedStart: null,
    plannedEnd: null,
    items: [],
    link: null,
    fetchedAt: createdAt.toISOString(),
  }
}

function approvalView({
  row,
  record,
}: {
  row: ApprovalRow
  record: ApprovalRecord | null
}): RequestView['approvals'][number] {
  return {
    id: row.id,
    decision: row.decision,
    by: {
      id: row.person_id,
      name: record?.approver.name ?? 'unreadable record',
      role: record?.approver.role ?? 'approver',
    },
    at: row.at.toISOString(),
    constraints: record?.document.constraints ?? {},
    reason: row.reason,
    withdrawnAt: row.withdrawn_at?.toISOString() ?? null,
  }
}

async function visitsOf(
  query: Query,
  personId: string,
  siteId: string,
): Promise<{ count: number; last: Date | null }> {
  const [row] = await query<{ count: number; last: Date | null }[]>`
    SELECT count(*)::int AS count, max(live_at) AS last FROM session
    WHERE person_id = ${personId} AND site_id = ${siteId} AND live_at IS NOT NULL AND state = 'closed'`
  return row ?? { count: 0, last: null }
}

async function overlapping(query: Query, { row }: GatheredRequest): Promise<RequestView['otherWork']> {
  const rows = await query<{ asset: string; company: string; opens_at: Date; closes_at: Date }[]>`
    SELECT a.name AS asset, v.name AS company, r.opens_at, r.closes_at
    FROM access_request r JOIN asset a ON a.id = r.asset_id JOIN vendor v ON v.id = r.vendor_id
    WHERE r.site_id = ${row.site_id} AND r.id <> ${row.id} AND r.state = 'approved'
      AND r.opens_at < ${row.closes_at} AND r.closes_at > ${row.opens_at}
    ORDER BY r.opens_at LIMIT 10`
  return rows.map((each) => ({
    asset: each.asset,
    company: each.company,
    opensAt: each.opens_at.toISOString(),
    closesAt: each.closes_at.toISOString(),
  }))
}

/** Why this needs care, most important first; at most six lines. */
function risksOf(gathered: GatheredRequest, visits: number, others: number, now: number): string[] {
  const { ground, facts, snapshot } = gathered
  const risks: string[] = []
  if (ground.criticality === 'C1') risks.push('Safety system: a mistake can hurt people.')
  if (ground.criticality === 'C2') risks.push('Controls the process: a mistake can stop production.')
  if (ground.operatorsUseConsole) risks.push('Opening takes the console away from whoever stands before it.')
  if (ground.rdp?.security === 'tls') risks.push('The sign-in happens without Network Level Authentication.')
  if (ground.scores.safety >= 3 && ground.criticality !== 'C1') risks.push('High consequence for safety.')
  if (visits === 0) risks.push(`First visit of ${snapshot.requester.name} to this site.`)
  if (facts.ticket?.state !== 'approved') risks.push('The change ticket is not approved.')
  if (ground.lastVerifiedAt === null) risks.push('Nobody has verified this asset on site yet.')
  else if (now - ground.lastVerifiedAt.getTime() > 365 * 86_400_000)
    risks.push('The asset was last verified on site more than a year ago.')
  if (snapshot.features.includes('clipboard-paste')) risks.push('Text may be pasted into the asset.')
  if (others > 0)
    risks.push(`${others === 1 ? 'One other job' : `${others} other jobs`} at the site in this time.`)
  return risks.slice(0, 6)
}

/** Extensions by id, newest first, with their state as the approvals say it. */
export async function extensionViews(
  query: Query,
  ids: readonly string[],
  now: number,
): Promise<ExtensionView[]> {
  if (ids.length === 0) return []
  const rows = await query<
    (ExtensionRow & {
      asset: string
      criticality: string
      company: string
      person: string
      session_state: string
      need: number | null
      granted: number
      declined: number
    })[]
  >`
    SELECT e.*, a.name AS asset, a.criticality, v.name AS company, p.name AS person, s.state AS session_state, u.need,
      (SELECT count(DISTINCT person_id)::int FROM approval x WHERE x.extension_id = e.id AND x.decision = 'granted'
        AND x.withdrawn_at IS NULL) AS granted,
      (SELECT count(*)::int FROM approval x WHERE x.extension_id = e.id AND x.decision = 'declined'
        AND x.withdrawn_at IS NULL) AS declined
    FROM extension_request e
    JOIN access_request r ON r.id = e.request_id JOIN asset a ON a.id = r.asset_id
    JOIN vendor v ON v.id = r.vendor_id JOIN person p ON p.id = e.requester_id
    JOIN session s ON s.id = e.session_id
    LEFT JOIN approval_rule u ON u.site_id = r.site_id AND u.criticality = a.criticality
    WHERE e.id = ANY(${[...ids]}::uuid[]) ORDER BY e.id DESC`
  return rows.map((row) => {
    const need = Math.max(row.need ?? 1, row.criticality === 'C1' ? 2 : 1)
    const over = row.closes_at.getTime() <= now || row.session_state === 'closed'
    return {
      id: row.id,
      sessionId: row.session_id,
      requestId: row.request_id,
      state: row.declined > 0 ? 'declined' : row.granted >= need ? 'granted' : over ? 'expired' : 'waiting',
      minutes: row.minutes,
      newEnd: row.closes_at.toISOString(),
      reason: extensionReason(row),
      askedBy: row.person,
      askedAt: row.asked_at.toISOString(),
      asset: row.asset,
      company: row.company,
    }
  })
}

function extensionReason(row: ExtensionRow): string {
  const snapshot = JSON.parse(row.snapshot) as { extension: { reason: string } | null }
  return snapshot.extension?.reason ?? ''
}
