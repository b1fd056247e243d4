import { calculateJwkThumbprint, type JWK } from 'jose'
import type { Answer } from '../broker/contract/api/index.ts'
import type { Handlers } from '../broker/contract/handler.ts'
import { conflict, Failure, forbidden, notFound } from '../broker/domain/failure.ts'
import { newId } from '../broker/domain/ids.ts'
import { holds, holdsAnywhere, type Principal, sitesOf } from '../broker/domain/principal.ts'
import { type Query, uniqueViolation } from '../broker/store/sql.ts'
import { askConsole, giveReady, listConsoles, takeReadyBack } from './console.ts'
import { beginDecision, finishDecision, withdrawApproval } from './decisions.ts'
import { type ApprovalsDeps, actorOf, signInOf } from './deps.ts'
import { askExtension } from './extensions.ts'
import { readAccounts, readGround } from './ground.ts'
import { preview } from './preview.ts'
import { editRequest, submitRequest, visibleGround, withdrawRequest } from './requests.ts'
import type { RequestRow } from './rows.ts'
import { listRules, setRule } from './rules.ts'
import { receiveTicketFile, ticketKeyState } from './tickets/signed-file.ts'
import { knownTicket, openTickets } from './tickets/ticket-book.ts'
import { TicketFileError, ticketKeyId } from './tickets/ticket-file.ts'
import type { TicketReader } from './tickets/ticket-reader.ts'
import { TicketSystemUnreachable } from './tickets/ticket-system.ts'
import { assetCard, extensionViews, requestView, ticketView } from './views.ts'

const STAFF = ['approver', 'operator', 'auditor', 'administrator'] as const

type Routes = Pick<
  Handlers,
  | 'GET /api/my/endpoints'
  | 'POST /api/tickets/lookup'
  | 'GET /api/my/tickets'
  | 'POST /api/requests/preview'
  | 'POST /api/requests'
  | 'PUT /api/requests/:id'
  | 'POST /api/requests/:id/withdraw'
  | 'GET /api/requests'
  | 'GET /api/requests/:id'
  | 'POST /api/requests/:id/decision/options'
  | 'POST /api/requests/:id/decision'
  | 'POST /api/approvals/:id/withdraw'
  | 'GET /api/consoles'
  | 'POST /api/requests/:id/console/ask'
  | 'POST /api/requests/:id/console/ready'
  | 'POST /api/requests/:id/console/take-back'
  | 'POST /api/sessions/:id/extension'
  | 'GET /api/extensions'
  | 'POST /api/extensions/:id/decision/options'
  | 'POST /api/extensions/:id/decision'
  | 'GET /api/approval-rules'
  | 'PUT /api/approval-rules/:siteId/:criticality'
  | 'GET /api/ticket-keys'
  | 'POST /api/ticket-keys'
  | 'POST /api/ticket-files'
>

/** Handlers of everything under requests, approvals, extensions, rules and tickets. Every one checks its object. */
export function approvalsRoutes(deps: ApprovalsDeps, tickets: TicketReader): Routes {
  const { sql } = deps.db
  // All rows of one moment: a change committed between a row and the log's entry for it would look like tampering.
  const viewOf = (id: string, staff: boolean) =>
    deps.db.tx((tx) => requestView(deps, tx, id, staff), 'repeatable read read only')
  const view = async (principal: Principal, id: string) => {
    const [row] = await sql<RequestRow[]>`SELECT * FROM access_request WHERE id = ${id}`
    if (!row) throw notFound('request')
    const staff = holds(principal, row.site_id, ...STAFF)
    if (!staff && row.requester_id !== principal.personId) throw notFound('request')
    return shown(await viewOf(id, staff && row.requester_id !== principal.personId))
  }

  const routes: Routes = {
    'GET /api/my/endpoints': async ({ principal }) => {
      const sites = sitesOf(principal, 'vendor')
      const rows = await sql<{ id: string }[]>`
        SELECT e.id FROM endpoint e JOIN asset a ON a.id = e.asset_id
        WHERE a.enabled AND a.site_id = ANY(${sites === 'all' ? [] : sites}::uuid[]) AND ${askable(sql)}
        ORDER BY a.name, e.id LIMIT 500`
      const found = await Promise.all(
        rows.map(async ({ id }) => {
          const ground = await readGround(sql, id)
          return { ground, accounts: ground ? await readAccounts(sql, ground) : [] }
        }),
      )
      return found.flatMap(({ ground, accounts }) =>
        ground
          ? [
              {
                asset: assetCard(ground),
                endpointId: ground.endpointId,
                protocol: ground.protocol,
                accounts,
                ending: ground.ending,
              },
            ]
          : [],
      )
    },

    'POST /api/tickets/lookup': async ({ principal, body }) => {
      if (!holds(principal, body.siteId, 'vendor', 'approver', 'administrator')) throw notFound('ticket')
      await tickets.refresh(body.siteId, body.system, body.key).catch(unreachable)
      const known = await knownTicket(deps, sql, body.siteId, body.system, body.key)
      if (!known) throw notFound('ticket')
      // A ticket is the plant's paper: a vendor sees those about something that they may ask for, by whatever key.
      if (principal.vendorId !== null && !(await namesAskable(sql, body.siteId, known.ticket.items)))
        throw notFound('ticket')
      return ticketView(known)
    },

    'GET /api/my/tickets': async ({ principal, query }) => {
      const ground = await visibleGround(sql, principal, query.endpointId)
      const known = await openTickets(deps, sql, ground.siteId, ground.assetName, deps.clock.wall())
      return known.map(ticketView)
    },

    'POST /api/requests/preview': ({ principal, body }) => preview(deps, principal, body),

    'POST /api/requests': async ({ principal, body, sourceAddress }) => {
      const ground = await visibleGround(sql, principal, body.endpointId)
      await tickets.refresh(ground.siteId, body.ticket.system, body.ticket.key).catch(unreachable)
      return view(principal, await submitRequest(deps, principal, body, sourceAddress))
    },

    'PUT /api/requests/:id': async ({ principal, params, body, sourceAddress }) =>
      view(principal, await editRequest(deps, principal, params.id, body, sourceAddress)),

    'POST /api/requests/:id/withdraw': async ({ principal, params, sourceAddress }) => {
      await withdrawRequest(deps, principal, params.id, sourceAddress)
      return view(principal, params.id)
    },

    'GET /api/requests': async ({ principal, query }) => {
      const ids = await listRequests(sql, principal, query, deps.clock.wall())
      const page = ids.slice(0, query.limit)
      const items = []
      for (const { id, site_id, requester_id } of page) {
        const staff = requester_id !== principal.personId && holds(principal, site_id, ...STAFF)
        const item = await viewOf(id, staff)
        if (item) items.push(item)
      }
      return { items, next: ids.length > query.limit ? (page.at(-1)?.id ?? null) : null }
    },

    'GET /api/requests/:id': ({ principal, params }) => view(principal, params.id),

    'POST /api/requests/:id/decision/options': async ({ principal, params, body, sourceAddress }) => {
      const [row] = await sql<RequestRow[]>`SELECT * FROM access_request WHERE id = ${params.id}`
      if (!row || !holds(principal, row.site_id, 'approver')) throw notFound('request')
      await tickets.refresh(row.site_id, row.ticket_system, row.ticket_key).catch(unreachable)
      return begun(
        await beginDecision(deps, principal, { kind: 'request', id: params.id }, body, sourceAddress),
      )
    },

    'POST /api/requests/:id/decision': async ({ principal, params, body, sourceAddress }) => {
      await finishDecision(deps, principal, { kind: 'request', id: params.id }, body, sourceAddress)
      return view(principal, params.id)
    },

    'POST /api/approvals/:id/withdraw': async ({ principal, params, body, sourceAddress }) =>
      view(principal, await withdrawApproval(deps, principal, params.id, body.reason, sourceAddress)),

    'GET /api/consoles': ({ principal }) => listConsoles(deps, sitesOf(principal, 'operator', 'approver')),

    'POST /api/requests/:id/console/ask': async ({ principal, params, sourceAddress }) => {
      await askConsole(deps, principal, params.id, sourceAddress)
      return view(principal, params.id)
    },

    'POST /api/requests/:id/console/ready': async ({ principal, params, sourceAddress }) => {
      await giveReady(deps, principal, params.id, sourceAddress)
      return { ok: true }
    },

    'POST /api/requests/:id/console/take-back': async ({ principal, params, sourceAddress }) => {
      await takeReadyBack(deps, principal, params.id, sourceAddress)
      return { ok: true }
    },

    'POST /api/sessions/:id/extension': async ({ principal, params, body, sourceAddress }) => {
      const id = await askExtension(deps, principal, params.id, body, sourceAddress)
      return shown((await extensionViews(sql, [id], deps.clock.wall()))[0] ?? null)
    },

    'GET /api/extensions': async ({ principal, query }) => {
      const sites = sitesOf(principal, ...STAFF)
      const now = deps.clock.wall()
      const rows = await sql<{ id: string }[]>`
        SELECT e.id FROM extension_request e JOIN access_request r ON r.id = e.request_id
        WHERE (e.requester_id = ${principal.personId}
            ${sites === 'all' ? sql`OR true` : sql`OR r.site_id = ANY(${sites}::uuid[])`})
          ${query.sessionId ? sql`AND e.session_id = ${query.sessionId}` : sql`AND e.closes_at > ${new Date(now)}`}
        ORDER BY e.id DESC LIMIT 100`
      const views = await extensionViews(
        sql,
        rows.map((row) => row.id),
        now,
      )
      return query.sessionId ? views : views.filter((each) => each.state === 'waiting')
    },

    'POST /api/extensions/:id/decision/options': async ({ principal, params, body, sourceAddress }) =>
      begun(
        await beginDecision(
          deps,
          principal,
          { kind: 'extension', id: params.id },
          { decision: body.decision, constraints: {}, snapshotHash: null, reason: null },
          sourceAddress,
        ),
      ),

    'POST /api/extensions/:id/decision': async ({ principal, params, body, sourceAddress }) => {
      await finishDecision(deps, principal, { kind: 'extension', id: params.id }, body, sourceAddress)
      return shown((await extensionViews(sql, [params.id], deps.clock.wall()))[0] ?? null)
    },

    'GET /api/approval-rules': ({ principal }) => listRules(sql, sitesOf(principal, ...STAFF)),

    'PUT /api/approval-rules/:siteId/:criticality': async ({ principal, params, body, sourceAddress }) => {
      if (!holds(principal, params.siteId, 'administrator')) throw notFound('site')
      const [site] = await sql`SELECT 1 FROM site WHERE id = ${params.siteId}`
      if (!site) throw notFound('site')
      await setRule(deps, principal, params.siteId, params.criticality, body, sourceAddress)
      return { ok: true }
    },

    'GET /api/ticket-keys': async ({ principal }) => {
      const sites = sitesOf(principal, 'administrator', 'auditor')
      const rows = await sql<
        { id: string; site_id: string; name: string; kid: string; enabled: boolean; added_at: Date }[]
      >`
        SELECT id, site_id, name, kid, enabled, added_at FROM ticket_key
        ${sites === 'all' ? sql`` : sql`WHERE site_id = ANY(${sites}::uuid[])`} ORDER BY id`
      return rows.map((row) => ({
        id: row.id,
        siteId: row.site_id,
        name: row.name,
        kid: row.kid,
        enabled: row.enabled,
        addedAt: row.added_at.toISOString(),
      }))
    },

    'POST /api/ticket-keys': async ({ principal, body, sourceAddress }) => {
      if (!holds(principal, body.siteId, 'administrator')) throw notFound('site')
      await registerTicketKey(deps, principal, body, sourceAddress)
      return { ok: true }
    },

    'POST /api/ticket-files': async ({ principal, body, sourceAddress }) => {
      if (!holds(principal, body.siteId, 'administrator', 'approver'))
        throw forbidden('This is not your site.')
      try {
        const { siteId, keys } = await receiveTicketFile(deps, body.jws, {
          siteId: body.siteId,
          personId: principal.personId,
          actor: actorOf(principal, null),
          source: sourceAddress,
        })
        const known = await Promise.all(keys.map((key) => knownTicket(deps, sql, siteId, 'file', key)))
        return { tickets: known.flatMap((each) => (each ? [ticketView(each)] : [])) }
      } catch (error) {
        if (error instanceof TicketFileError)
          throw new Failure(
            422,
            `ticket-file-${error.code}`,
            error.message,
            'See the guide to signed ticket files.',
          )
        throw error
      }
    },
  }
  return routes
}

/** Registers a public key for signed ticket files. Two sites never share one. */
export async function registerTicketKey(
  deps: ApprovalsDeps,
  principal: Principal,
  body: { siteId: string; name: string; jwk: object },
  source: string,
): Promise<void> {
  const jwk = body.jwk as JWK
  let kid: string
  try {
    kid = await ticketKeyId(jwk)
  } catch (error) {
    if (error instanceof TicketFileError)
      throw new Failure(422, error.code, error.message, 'Export the public key as a JWK.')
    throw error
  }
  const id = newId(deps.clock.wall())
  const plain = { kty: jwk.kty, crv: jwk.crv, x: jwk.x, ...(jwk.y === undefined ? {} : { y: jwk.y }) } as JWK
  try {
    await deps.db.tx(async (tx) => {
      const row = {
        id,
        site_id: body.siteId,
        name: body.name,
        kid: await calculateJwkThumbprint(plain),
        jwk: JSON.stringify(plain),
        enabled: true,
      }
      await tx`
        INSERT INTO ticket_key (id, site_id, name, kid, jwk, enabled, added_by, added_at)
        VALUES (${id}, ${row.site_id}, ${row.name}, ${row.kid}, ${row.jwk}, true, ${principal.personId},
          ${new Date(deps.clock.wall())})`
      await deps.audit.record(tx, {
        action: 'ticket-key.added',
        actor: actorOf(principal, null),
        authentication: signInOf(principal),
        source,
        object: { kind: 'ticket-key', id },
        after: ticketKeyState(row),
        details: { kid, name: body.name },
      })
    })
  } catch (error) {
    if (uniqueViolation(error) !== null)
      throw conflict('key-known', 'This key is registered already.', 'Use a key of its own for each site.')
    throw error
  }
}

async function listRequests(
  sql: Query,
  principal: Principal,
  query: {
    view: 'mine' | 'decide' | 'all'
    siteId?: string | undefined
    state?: string | undefined
    cursor?: string | undefined
    limit: number
  },
  now: number,
): Promise<{ id: string; site_id: string; requester_id: string }[]> {
  const cursor = query.cursor && /^[0-9a-f-]{36}$/.test(query.cursor) ? query.cursor : null
  const at = new Date(now)
  const sites = sitesOf(principal, ...(query.view === 'decide' ? (['approver'] as const) : STAFF))
  if (query.view !== 'mine' && !holdsAnywhere(principal, ...STAFF)) return []
  const atSites = sites === 'all' ? sql`true` : sql`r.site_id = ANY(${sites}::uuid[])`
  const which =
    query.view === 'mine'
      ? sql`r.requester_id = ${principal.personId}`
      : query.view === 'all'
        ? atSites
        : sql`${atSites} AND r.state = 'waiting' AND r.closes_at > ${at} AND r.requester_id <> ${principal.personId}
            AND NOT EXISTS (SELECT FROM approval a WHERE a.request_id = r.id AND a.version = r.version
              AND a.extension_id IS NULL AND a.withdrawn_at IS NULL AND a.person_id = ${principal.personId})`
  // "ended" is not stored: it is what waiting and approved become when their window is over.
  const state =
    query.state === undefined
      ? sql`true`
      : query.state === 'ended'
        ? sql`r.state IN ('waiting', 'approved') AND r.closes_at <= ${at}`
        : query.state === 'waiting' || query.state === 'approved'
          ? sql`r.state = ${query.state} AND r.closes_at > ${at}`
          : sql`r.state = ${query.state}`
  return sql<{ id: string; site_id: string; requester_id: string }[]>`
    SELECT r.id, r.site_id, r.requester_id FROM access_request r
    WHERE ${which} AND ${state}
      ${query.siteId ? sql`AND r.site_id = ${query.siteId}` : sql``}
      ${cursor ? sql`AND r.id < ${cursor}` : sql``}
    ORDER BY r.id DESC LIMIT ${query.limit + 1}`
}

/** A ticket system that is away doesn't stop the page: what is stored is shown, with its age. */
function unreachable(error: unknown): void {
  if (!(error instanceof TicketSystemUnreachable)) throw error
}

function shown<T>(view: T | null): T {
  if (view === null) throw notFound('page')
  return view
}

/** The library's own types, as the loose JSON object of the contract. */
function begun(
  beginning: Awaited<ReturnType<typeof beginDecision>>,
): Answer<'POST /api/requests/:id/decision/options'> {
  return {
    challengeId: beginning.challengeId,
    document: { ...beginning.document },
    meaning: beginning.meaning,
    options: { ...beginning.options },
  }
}

/** An endpoint `e` that a session could log in to: with an account in the vault, or without being asked for one. */
const askable = (query: Query) => query`
  (e.vnc_authentication = 'none' OR EXISTS (SELECT 1 FROM credential c WHERE c.endpoint_id = e.id))`

/** Whether one of the items is an asset that `GET /api/my/endpoints` lists for this site. */
async function namesAskable(query: Query, siteId: string, items: readonly string[]): Promise<boolean> {
  const rows = await query<{ name: string }[]>`
    SELECT DISTINCT a.name FROM asset a JOIN endpoint e ON e.asset_id = a.id
    WHERE a.enabled AND a.site_id = ${siteId} AND ${askable(query)}`
  const plain = (name: string) => name.trim().toLowerCase()
  const names = new Set(rows.map(({ name }) => plain(name)))
  return items.some((item) => names.has(plain(item)))
}
