import { Readable } from 'node:stream'
import type { Handlers } from '../contract/handler.ts'
import { TERMINAL_PROTOCOL } from '../contract/terminal.ts'
import { conflict, Failure, notFound } from '../domain/failure.ts'
import { holds, type Principal, sitesOf } from '../domain/principal.ts'
import { by } from '../identity/actor.ts'
import { unavailable } from '../store/sql.ts'
import { mayOperate, type Operators } from './operators.ts'
import {
  cursorOf,
  listSessions,
  readCursor,
  readSession,
  type SessionFilter,
  type SessionRow,
  type View,
} from './session-rows.ts'
import type { Caller, Sessions } from './sessions.ts'
import { CSV_HEAD, csvLine, viewOf, viewOfLive } from './view.ts'

const CSV_PAGE = 500
const CSV_LIMIT = 200_000

type SessionKeys =
  | 'GET /api/requests/:id/notice'
  | 'POST /api/requests/:id/session'
  | 'POST /api/sessions/:id/attach'
  | 'POST /api/sessions/:id/watch'
  | 'GET /ws/sessions/:id'
  | 'GET /api/sessions'
  | 'GET /api/sessions.csv'
  | 'GET /api/sessions/:id'
  | 'POST /api/sessions/:id/hold'
  | 'POST /api/sessions/:id/release'
  | 'POST /api/sessions/:id/stop'
  | 'POST /api/sessions/:id/stop-reason'
  | 'POST /api/sessions/:id/closing-note'
  | 'GET /api/events'

interface RequestPlace {
  requesterId: string
  siteId: string
  endpointId: string
  gatewayId: string | null
}

/** The routes of sessions. Every one checks the object: this session, this request, this site. */
export function sessionsRoutes(deps: {
  sessions: Sessions
  operators: Operators
}): Pick<Handlers, SessionKeys> {
  const { sessions, operators } = deps
  const { db, audit, clock, hints } = sessions.deps

  const place = async (principal: Principal, requestId: string): Promise<RequestPlace> => {
    const [row] = await db.sql<RequestPlace[]>`
      SELECT r.requester_id AS "requesterId", r.site_id AS "siteId", r.endpoint_id AS "endpointId",
        a.gateway_id AS "gatewayId"
      FROM access_request r JOIN asset a ON a.id = r.asset_id WHERE r.id = ${requestId}`
    if (row?.requesterId !== principal.personId) throw notFound('request')
    return row
  }
  const notice = async (siteId: string, personId: string) => {
    const [row] = await db.sql<{ version: number; text: string; accepted: boolean }[]>`
      SELECT n.version, n.text, EXISTS (
        SELECT FROM notice_acceptance a
        WHERE a.person_id = ${personId} AND a.site_id = n.site_id AND a.version = n.version) AS accepted
      FROM site_notice n WHERE n.site_id = ${siteId} ORDER BY n.version DESC LIMIT 1`
    if (!row) {
      throw conflict(
        'no-notice',
        'The site has no notice to accept yet, so no session may open.',
        'Ask an administrator of the site to write it.',
      )
    }
    return { version: row.version, text: row.text, accepted: row.accepted }
  }
  const accept = async (caller: Caller, siteId: string, version: number) => {
    const current = await notice(siteId, caller.principal.personId)
    if (current.version !== version) {
      throw conflict(
        'notice-changed',
        "The site's notice has changed since you read it.",
        'Read the new one and accept it.',
      )
    }
    if (current.accepted) return
    await db.tx(async (tx) => {
      await tx`
        INSERT INTO notice_acceptance (person_id, site_id, version, accepted_at)
        VALUES (${caller.principal.personId}, ${siteId}, ${version}, ${new Date(clock.wall())})
        ON CONFLICT DO NOTHING`
      await audit.record(tx, {
        action: 'notice.accepted',
        ...by(caller),
        object: { kind: 'site', id: siteId },
        details: { version },
      })
    })
  }
  /** The row, when the person may see it: their own session, or one at their site. */
  const visible = async (principal: Principal, id: string): Promise<SessionRow> => {
    const row = await readSession(db.sql, id)
    const mine = row?.personId === principal.personId && principal.vendorId !== null
    if (!row || !(mine || holds(principal, row.siteId, 'operator', 'approver', 'auditor')))
      throw notFound('session')
    return row
  }
  const view = (row: SessionRow): View => viewOf(row, sessions.live.get(row.id), clock.wall())
  /** For what has taken effect already: the answer must not fail because the database does. */
  const viewOrMemory = async (principal: Principal, id: string): Promise<View> => {
    try {
      return view(await visible(principal, id))
    } catch (error) {
      const live = sessions.live.get(id)
      if (!live || !unavailable(error)) throw error
      return viewOfLive(live, clock.wall())
    }
  }
  const running = async (id: string) => {
    const live = await sessions.find(id)
    if (!live)
      throw conflict('session-over', 'The session is over.', 'Open a new one if the window still permits.')
    return live
  }
  const scopeOf = (principal: Principal): SessionFilter['scope'] => {
    if (principal.vendorId !== null) return { personId: principal.personId }
    const siteIds = sitesOf(principal, 'operator', 'approver', 'auditor')
    return { siteIds }
  }

  return {
    'GET /api/requests/:id/notice': async ({ params, principal }) => {
      const { siteId } = await place(principal, params.id)
      return await notice(siteId, principal.personId)
    },
    'POST /api/requests/:id/session': async ({ params, body, principal, sourceAddress }) => {
      const caller = { principal, sourceAddress }
      const where = await place(principal, params.id)
      await accept(caller, where.siteId, body.noticeVersion)
      return await sessions.open(caller, params.id, where)
    },
    'POST /api/sessions/:id/attach': async ({ params, principal }) => {
      const live = await running(params.id)
      if (live.personId !== principal.personId) throw notFound('session')
      return await sessions.attach(live, principal)
    },
    'POST /api/sessions/:id/watch': async ({ params, principal, sourceAddress }) => {
      const row = await visible(principal, params.id)
      if (!mayOperate(principal, row.siteId)) throw notFound('session')
      return await sessions.watch(await running(params.id), { principal, sourceAddress })
    },
    'GET /ws/sessions/:id': async ({ reply }) => {
      reply.header('upgrade', 'websocket')
      throw new Failure(
        426,
        'websocket-needed',
        'This is the address of a session socket.',
        `Connect with a WebSocket that offers ${TERMINAL_PROTOCOL}.`,
      )
    },
    'GET /api/sessions': async ({ query, principal }) => {
      const after = query.cursor === undefined ? undefined : readCursor(query.cursor)
      if (after === null)
        throw new Failure(400, 'bad-cursor', 'This page does not exist.', 'Begin the list again.')
      const { cursor: _, live, ...filter } = query
      const rows = await listSessions(db.sql, {
        ...filter,
        scope: scopeOf(principal),
        live: live === undefined ? undefined : live === 'true',
        holdStands: query.holdStands === 'true',
        after,
        limit: query.limit + 1,
      })
      const page = rows.slice(0, query.limit)
      const last = page.at(-1)
      return { items: page.map(view), next: rows.length > page.length && last ? cursorOf(last) : null }
    },
    'GET /api/sessions.csv': async ({ query, principal, sourceAddress, reply }) => {
      const scope = scopeOf(principal)
      await audit.record(db.sql, {
        action: 'session.exported',
        ...by({ principal, sourceAddress }),
        details: { format: 'csv', from: query.from ?? null, to: query.to ?? null },
      })
      async function* lines() {
        yield CSV_HEAD
        let after: { openedAt: Date; id: string } | undefined
        for (let count = 0; count < CSV_LIMIT; ) {
          const rows = await listSessions(db.sql, { ...query, scope, after, limit: CSV_PAGE })
          for (const row of rows) yield csvLine(view(row))
          count += rows.length
          after = rows.at(-1)
          if (rows.length < CSV_PAGE) return
        }
      }
      reply
        .type('text/csv; charset=utf-8')
        .header('content-disposition', 'attachment; filename="sessions.csv"')
      return reply.send(Readable.from(lines(), { objectMode: false }))
    },
    'GET /api/sessions/:id': async ({ params, principal }) => view(await visible(principal, params.id)),
    'POST /api/sessions/:id/hold': async ({ params, body, principal, sourceAddress }) => {
      await operators.hold({ principal, sourceAddress }, params.id, body.cause)
      return await viewOrMemory(principal, params.id)
    },
    'POST /api/sessions/:id/release': async ({ params, principal, sourceAddress }) => {
      await operators.release({ principal, sourceAddress }, params.id)
      return await viewOrMemory(principal, params.id)
    },
    'POST /api/sessions/:id/stop': async ({ params, principal, sourceAddress }) => ({
      ok: true,
      closedAfterMs: await operators.stop({ principal, sourceAddress }, params.id),
    }),
    'POST /api/sessions/:id/stop-reason': async ({ params, body, principal, sourceAddress }) => {
      await operators.reason({ principal, sourceAddress }, params.id, body.reason)
      return { ok: true }
    },
    'POST /api/sessions/:id/closing-note': async ({ params, body, principal, sourceAddress }) => {
      await db.tx(async (tx) => {
        const row = await readSession(tx, params.id, true)
        if (row?.personId !== principal.personId) throw notFound('session')
        if (row.closingNote !== null)
          throw conflict('note-given', 'The note for this session has been given.', 'It stands in the list.')
        await tx`UPDATE session SET closing_note = ${body.text} WHERE id = ${row.id}`
        await audit.record(tx, {
          action: 'session.closing-note',
          ...by({ principal, sourceAddress }),
          object: { kind: 'session', id: row.id },
          reason: body.text,
          correlation: {
            session: row.id,
            request: row.requestId,
            recording: row.recordingId,
            ticket: row.ticketKey,
          },
        })
      })
      hints.publish('sessions')
      return view(await visible(principal, params.id))
    },
    'GET /api/events': async ({ principal, reply }) => {
      if (!hints.open(reply, principal.personId)) {
        throw new Failure(
          429,
          'too-many-streams',
          'Too many of your pages are open.',
          'Close some; this one works without live updates.',
        )
      }
      return reply
    },
  }
}
