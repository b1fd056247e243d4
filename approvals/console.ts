import type { Answer } from '../broker/contract/api/index.ts'
import { conflict, Failure, notFound } from '../broker/domain/failure.ts'
import { newId } from '../broker/domain/ids.ts'
import { holds, type Principal } from '../broker/domain/principal.ts'
import type { Criticality } from '../broker/domain/words.ts'
import { decideAccess } from '../broker/policy/decide-access.ts'
import { explain } from '../broker/policy/explain.ts'
import {
  canonicalReady,
  READY_MS,
  type ReadyRow,
  standingReadies,
  standingReady,
} from '../broker/sessions/console-ready.ts'
import type { Query, Tx } from '../broker/store/sql.ts'
import { type ApprovalsDeps, actorOf, announce, signInOf } from './deps.ts'
import { type GatheredRequest, gatherRequest } from './gather-facts.ts'
import { notVouchedFor, type RequestRow } from './rows.ts'

/*
 * Consoles that operators use: the vendor asks whether it is free, an operator of the site says so, and that word counts
 * for one opening. decideAccess weighs it; the session that opens uses it up (broker/sessions/console-ready.ts).
 */

/** The vendor's question. Only when nothing else is missing: an operator is asked for what would open at once. */
export function askConsole(
  deps: ApprovalsDeps,
  principal: Principal,
  requestId: string,
  source: string,
): Promise<void> {
  return deps.db.tx(async (tx) => {
    const request = await lockedRequest(tx, requestId)
    if (request?.requester_id !== principal.personId) throw notFound('request')
    const [place] = await tx<{ gatewayId: string | null; running: boolean }[]>`
      SELECT gateway_id AS "gatewayId",
        EXISTS (SELECT FROM session s WHERE s.request_id = ${requestId} AND s.state <> 'closed') AS running
      FROM asset WHERE id = ${request.asset_id}`
    if (place?.running) throw conflict('session-running', 'Your session runs already.', 'Go back into it.')
    const asking = {
      purpose: 'preview',
      sessionId: null,
      runtime: await deps.runtime(place?.gatewayId ?? null),
      strongAuthAt: null,
    } as const
    const gathered = await gatherRequest(deps, tx, requestId, asking)
    if (!gathered) throw notFound('request')
    if (!gathered.ground.operatorsUseConsole)
      throw conflict('console-not-used', 'No operator uses this console.', 'Open the session.')
    const now = deps.clock.wall()
    const state = standingWord(gathered, now)
    if (state === 'asked')
      throw conflict('asked-already', 'You have asked already.', 'Wait for an operator’s answer.')
    if (state === 'free')
      throw conflict('console-free', 'An operator has said that the console is free.', 'Open the session.')
    const standing = await standingReady(tx, requestId, true)
    if (standing) await end(deps, tx, principal, source, standing, 'asked-again')
    // What stood may itself be what the log does not vouch for, or its giver: what else is missing is looked at without.
    const rest = await gatherRequest(deps, tx, requestId, { ...asking, leavesWordOut: true })
    if (!rest) throw notFound('request')
    const decision = decideAccess(rest.facts, now)
    if (!decision.permit)
      throw new Failure(
        409,
        'not-permitted-yet',
        'Your session could not open yet, whatever an operator says.',
        'See what is missing, below.',
        decision.reasons.map(explain),
      )
    const row: ReadyRow = {
      id: newId(now),
      requestId,
      requestVersion: request.version,
      askedBy: principal.personId,
      askedAt: new Date(now),
      givenBy: null,
      givenAt: null,
      expiresAt: null,
      endedAt: null,
      endedBy: null,
      endedBecause: null,
      sessionId: null,
    }
    await tx`
      INSERT INTO console_ready (id, request_id, request_version, asked_by, asked_at)
      VALUES (${row.id}, ${row.requestId}, ${row.requestVersion}, ${row.askedBy}, ${row.askedAt})`
    await record(deps, tx, principal, source, 'console.asked', null, row, request)
    await announce(tx, [requestId])
  }, 'repeatable read')
}

/** An operator's word that the console is free: for one opening, within 15 minutes. */
export function giveReady(
  deps: ApprovalsDeps,
  principal: Principal,
  requestId: string,
  source: string,
): Promise<void> {
  return deps.db.tx(async (tx) => {
    const request = await operated(tx, principal, requestId)
    const row = await standingReady(tx, requestId, true)
    const now = deps.clock.wall()
    const open = request.state === 'approved' && request.closes_at.getTime() > now
    if (!row || !open || row.requestVersion !== request.version || outdated(row, now))
      throw conflict('nobody-asks', 'Nobody waits for this console any more.', 'Load the page again.')
    if (row.givenAt !== null)
      throw conflict(
        'ready-given',
        'It has been said already that the console is free.',
        'Nothing more to do.',
      )
    await checkVouched(deps, tx, row)
    const after: ReadyRow = {
      ...row,
      givenBy: principal.personId,
      givenAt: new Date(now),
      expiresAt: new Date(now + READY_MS),
    }
    await tx`
      UPDATE console_ready SET given_by = ${after.givenBy}, given_at = ${after.givenAt},
        expires_at = ${after.expiresAt} WHERE id = ${row.id}`
    await record(deps, tx, principal, source, 'console.ready', row, after, request)
    await announce(tx, [requestId])
  })
}

/** Takes the word back, as long as no session has used it: after that there is hold and stop. */
export function takeReadyBack(
  deps: ApprovalsDeps,
  principal: Principal,
  requestId: string,
  source: string,
): Promise<void> {
  return deps.db.tx(async (tx) => {
    await operated(tx, principal, requestId)
    const row = await standingReady(tx, requestId, true)
    if (!row || row.givenAt === null)
      throw conflict(
        'ready-not-standing',
        'There is no word to take back: a session has used it, or nobody gave it.',
        'If the session runs, hold or stop it.',
      )
    await end(deps, tx, principal, source, row, 'taken-back')
    await announce(tx, [requestId])
  })
}

/** What vendors wait for at these sites, and what operators have said that still stands. */
export async function listConsoles(
  deps: ApprovalsDeps,
  sites: readonly string[] | 'all',
): Promise<Answer<'GET /api/consoles'>> {
  const now = deps.clock.wall()
  return deps.db.tx(async (tx) => {
    const requests = await tx<
      {
        id: string
        version: number
        purpose: string
        ticketKey: string
        closesAt: Date
        assetId: string
        asset: string
        criticality: Criticality
        siteId: string
        site: string
        timeZone: string
        personId: string
        person: string
        company: string
      }[]
    >`
      SELECT r.id, r.version, v.snapshot::json ->> 'purpose' AS purpose, r.ticket_key AS "ticketKey",
        r.closes_at AS "closesAt", a.id AS "assetId", a.name AS asset, a.criticality, s.id AS "siteId", s.name AS site,
        s.time_zone AS "timeZone", p.id AS "personId", p.name AS person, c.name AS company
      FROM console_ready w
      JOIN access_request r ON r.id = w.request_id AND r.version = w.request_version
      JOIN access_request_version v ON v.request_id = r.id AND v.version = r.version
      JOIN asset a ON a.id = r.asset_id JOIN site s ON s.id = r.site_id
      JOIN person p ON p.id = r.requester_id JOIN vendor c ON c.id = r.vendor_id
      WHERE w.ended_at IS NULL AND r.state = 'approved' AND r.closes_at > ${new Date(now)}
        AND (w.expires_at IS NULL OR w.expires_at > ${new Date(now)})
        AND ${sites === 'all' ? tx`true` : tx`r.site_id = ANY(${[...sites]}::uuid[])`}
      ORDER BY w.asked_at LIMIT 100`
    const words = await standingReadies(
      tx,
      requests.map(({ id }) => id),
    )
    const bad = await notVouchedFor(
      deps,
      tx,
      words.map((row) => ({ kind: 'console-ready', id: row.id, current: canonicalReady(row) })),
    )
    const names = await givers(tx, words)
    return requests.flatMap((request) => {
      const row = words.find(({ requestId }) => requestId === request.id)
      if (!row || bad.some(({ id }) => id === row.id)) return []
      const { assetId, siteId, personId } = request
      return [
        {
          requestId: request.id,
          asset: { id: assetId, name: request.asset, criticality: request.criticality },
          site: { id: siteId, name: request.site, timeZone: request.timeZone },
          person: { id: personId, name: request.person, company: request.company },
          ticketKey: request.ticketKey,
          purpose: request.purpose,
          windowEndsAt: request.closesAt.toISOString(),
          askedAt: row.askedAt.toISOString(),
          ready: wordOf(row, row.givenBy === null ? '' : (names.get(row.givenBy) ?? '')),
        },
      ]
    })
  }, 'repeatable read read only')
}

/**
 * What stands about the console and counts for an opening now: a question that waits, or an operator's word. Neither does
 * that the log does not vouch for, nor a word that ran out or whose giver could not give it any more.
 */
export function standingWord(
  { facts, console: word }: GatheredRequest,
  now: number,
): 'nothing' | 'asked' | 'free' {
  if (!word || facts.unvouched.some(({ id }) => id === word.id)) return 'nothing'
  if (word.givenAt === null) return 'asked'
  const opening = decideAccess({ ...facts, purpose: 'open' }, now)
  // The giver's own rows are among those that must be vouched for.
  const counts =
    opening.permit ||
    !opening.reasons.some(({ code }) => code === 'operator-not-ready' || code === 'row-not-vouched')
  return counts ? 'free' : 'nothing'
}

/** An operator's word as pages show it; null when it was not given. */
export function wordOf(
  { givenAt, expiresAt }: ReadyRow,
  name: string,
): { by: string; at: string; expiresAt: string } | null {
  return givenAt === null || expiresAt === null
    ? null
    : { by: name, at: givenAt.toISOString(), expiresAt: expiresAt.toISOString() }
}

const outdated = (row: ReadyRow, now: number) => row.expiresAt !== null && row.expiresAt.getTime() <= now

async function lockedRequest(tx: Query, id: string): Promise<RequestRow | null> {
  const [row] = await tx<RequestRow[]>`SELECT * FROM access_request WHERE id = ${id} FOR UPDATE`
  return row ?? null
}

/** The request, when this is an operator of its site who has no part in the work. */
async function operated(tx: Tx, principal: Principal, requestId: string): Promise<RequestRow> {
  const row = await lockedRequest(tx, requestId)
  const operates = row && holds(principal, row.site_id, 'operator', 'approver')
  if (!operates || principal.vendorId !== null || row.requester_id === principal.personId)
    throw notFound('request')
  return row
}

/** A row that was edited must not become one that counts by being changed here. */
async function checkVouched(deps: ApprovalsDeps, tx: Tx, row: ReadyRow): Promise<void> {
  await deps.audit.verifyObjects(tx, [{ kind: 'console-ready', id: row.id, current: canonicalReady(row) }])
}

/** Also one that nobody vouches for: what is taken away needs no voucher, and the log says what the row was. */
async function end(
  deps: ApprovalsDeps,
  tx: Tx,
  principal: Principal,
  source: string,
  row: ReadyRow,
  because: 'taken-back' | 'asked-again',
): Promise<void> {
  const after: ReadyRow = {
    ...row,
    endedAt: new Date(deps.clock.wall()),
    endedBy: principal.personId,
    endedBecause: because,
  }
  await tx`
    UPDATE console_ready SET ended_at = ${after.endedAt}, ended_by = ${after.endedBy}, ended_because = ${because}
    WHERE id = ${row.id}`
  await record(deps, tx, principal, source, `console.${because}`, row, after, null)
}

async function record(
  deps: ApprovalsDeps,
  tx: Tx,
  principal: Principal,
  source: string,
  action: string,
  before: ReadyRow | null,
  after: ReadyRow,
  request: RequestRow | null,
): Promise<void> {
  await deps.audit.record(tx, {
    action,
    actor: actorOf(principal, null),
    authentication: signInOf(principal),
    source,
    object: { kind: 'console-ready', id: after.id },
    before: before && canonicalReady(before),
    after: canonicalReady(after),
    correlation: { request: after.requestId, ...(request ? { ticket: request.ticket_key } : {}) },
    details: {
      ...(request ? { asset: request.asset_id } : {}),
      until: after.expiresAt?.toISOString() ?? null,
    },
  })
}

async function givers(query: Query, rows: readonly ReadyRow[]): Promise<Map<string, string>> {
  const ids = rows.flatMap(({ givenBy }) => (givenBy === null ? [] : [givenBy]))
  if (ids.length === 0) return new Map()
  const people = await query<{ id: string; name: string }[]>`
    SELECT id, name FROM person WHERE id IN ${query(ids)}`
  return new Map(people.map(({ id, name }) => [id, name]))
}
