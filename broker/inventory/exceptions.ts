import type { Answer, Body, Query as QueryOf } from '../contract/api/index.ts'
import type { Clock } from '../domain/clock.ts'
import { conflict, Failure, notFound, wrongField } from '../domain/failure.ts'
import { newId } from '../domain/ids.ts'
import { holds, type Principal, sitesOf } from '../domain/principal.ts'
import { deviationsOf } from '../domain/vnc.ts'
import type { Protocol } from '../domain/words.ts'
import { by } from '../identity/actor.ts'
import { keepVouched, type Vouching } from '../identity/vouched.ts'
import type { Database, Query } from '../store/sql.ts'
import { canonicalException, type ExceptionRow, exceptionColumns, readStanding } from './exception-rows.ts'
import { type Caller, notifyInventory } from './places.ts'
import { canonicalAsset, canonicalEndpoint, readAssets, readEndpoints, vncOf } from './rows.ts'

type View = Answer<'POST /api/exceptions/:id/close'>

const LONGEST_MONTHS = 12
const SOON_MS = 30 * 86_400_000

/** A row with the names that a page shows beside it. */
interface ListedRow extends ExceptionRow {
  siteName: string
  timeZone: string
  assetName: string
  protocol: Protocol
  port: number
  ownerName: string
  ownerEnabled: boolean
  openedByName: string
  closedByName: string | null
}

/**
 * The exception register. Operators and administrators of a site open and close; its approvers and auditors read.
 * Whatever changes here is decided anew at once in the sessions that run on the endpoint.
 */
export class Exceptions {
  readonly #db: Database
  readonly #audit: Vouching
  readonly #clock: Clock

  constructor(db: Database, audit: Vouching, clock: Clock) {
    this.#db = db
    this.#audit = audit
    this.#clock = clock
  }

  async list(
    principal: Principal,
    filter: QueryOf<'GET /api/exceptions'>,
  ): Promise<Answer<'GET /api/exceptions'>> {
    const sites = sitesOf(principal, 'operator', 'administrator', 'auditor', 'approver')
    const after = filter.cursor === undefined ? null : readCursor(filter.cursor)
    const now = new Date(this.#clock.wall())
    return this.#db.tx(async (tx) => {
      const { state } = filter
      const forward = state === 'open' || state === 'expiring'
      const rows = await this.#rows(
        tx,
        tx`
          WHERE ${sites === 'all' ? tx`true` : tx`x.site_id = ANY(${sites}::uuid[])`}
            ${filter.siteId ? tx`AND x.site_id = ${filter.siteId}` : tx``}
            ${state === 'closed' ? tx`AND x.closed_at IS NOT NULL` : state ? tx`AND x.closed_at IS NULL` : tx``}
            ${forward ? tx`AND x.expires_at > ${now}` : state === 'expired' ? tx`AND x.expires_at <= ${now}` : tx``}
            ${state === 'expiring' ? tx`AND x.expires_at <= ${new Date(now.getTime() + SOON_MS)}` : tx``}
            ${
              after
                ? forward
                  ? tx`AND (x.expires_at, x.id) > (${after.at}, ${after.id})`
                  : tx`AND (x.expires_at, x.id) < (${after.at}, ${after.id})`
                : tx``
            }
          ORDER BY ${forward ? tx`x.expires_at, x.id` : tx`x.expires_at DESC, x.id DESC`}
          LIMIT ${filter.limit + 1}`,
      )
      const page = rows.slice(0, filter.limit)
      const last = page.at(-1)
      return {
        items: await this.#views(tx, page),
        next: rows.length > page.length && last ? cursorOf(last) : null,
      }
    }, 'repeatable read read only')
  }

  async owners(principal: Principal, siteId: string): Promise<Answer<'GET /api/exceptions/owners'>> {
    if (!keeps(principal, siteId)) throw notFound('site')
    return this.#ownersAt(this.#db.sql, siteId)
  }

  async open(caller: Caller, body: Body<'POST /api/exceptions'>): Promise<View[]> {
    return this.#db.tx(async (tx) => {
      const now = this.#clock.wall()
      const [endpoint] = await readEndpoints(tx, 'id', [body.endpointId])
      const [asset] = endpoint ? await readAssets(tx, 'id', [endpoint.assetId], true) : []
      if (!endpoint || !asset || !keeps(caller.principal, asset.siteId)) throw notFound('endpoint')
      await this.#audit.verifyObjects(tx, [
        { kind: 'asset', id: asset.id, current: canonicalAsset(asset) },
        { kind: 'endpoint', id: endpoint.id, current: canonicalEndpoint(endpoint) },
      ])
      const expiresAt = new Date(body.expiresAt)
      checkExpiry(expiresAt.getTime(), now)
      if (!(await this.#ownersAt(tx, asset.siteId)).some((person) => person.id === body.ownerId)) {
        throw wrongField(
          'owner-not-of-the-site',
          'ownerId',
          'The owner holds no role of the plant at this site.',
          'Choose one of its own people.',
        )
      }
      const lacks = deviationsOf(vncOf(endpoint))
      const opened: string[] = []
      for (const kind of new Set(body.kinds)) {
        if (!lacks.includes(kind)) {
          throw conflict(
            'exception-not-needed',
            `This endpoint does not need an exception of the kind ${kind}.`,
            'Leave it away; if the asset does lack it, declare the endpoint as it is first.',
          )
        }
        const former = (await readStanding(tx, [endpoint.id])).find((row) => row.kind === kind)
        if (former) await this.#end(tx, caller, former, 'Another exception takes its place.')
        const row: ExceptionRow = {
          id: newId(now),
          siteId: asset.siteId,
          assetId: asset.id,
          endpointId: endpoint.id,
          kind,
          reason: body.reason,
          compensatingControl: body.compensatingControl,
          ownerId: body.ownerId,
          expiresAt,
          openedBy: caller.principal.personId,
          openedAt: new Date(now),
          closedAt: null,
          closedBy: null,
          closedBecause: null,
        }
        await tx`
          INSERT INTO access_exception (id, site_id, asset_id, endpoint_id, kind, reason, compensating_control, owner_id,
            expires_at, opened_by, opened_at)
          VALUES (${row.id}, ${row.siteId}, ${row.assetId}, ${row.endpointId}, ${row.kind}, ${row.reason},
            ${row.compensatingControl}, ${row.ownerId}, ${row.expiresAt}, ${row.openedBy}, ${row.openedAt})`
        await this.#audit.record(tx, {
          ...by(caller),
          action: 'exception.opened',
          object: { kind: 'exception', id: row.id },
          reason: row.reason,
          after: canonicalException(row),
          details: {
            asset: asset.id,
            endpoint: endpoint.id,
            kind,
            compensatingControl: row.compensatingControl,
            owner: row.ownerId,
            expiresAt: row.expiresAt.toISOString(),
          },
        })
        opened.push(row.id)
      }
      await notifyInventory(tx, { kind: 'endpoint', id: endpoint.id })
      return this.#views(tx, await this.#rows(tx, tx`WHERE x.id = ANY(${opened}::uuid[]) ORDER BY x.kind`))
    })
  }

  async close(caller: Caller, id: string, reason: string): Promise<View> {
    return this.#db.tx(async (tx) => {
      const [row] = await this.#rows(tx, tx`WHERE x.id = ${id} FOR UPDATE OF x`)
      if (!row || !keeps(caller.principal, row.siteId)) throw notFound('exception')
      if (row.closedAt !== null) {
        throw conflict('exception-closed', 'This exception is closed already.', 'Nothing is left to do.')
      }
      await this.#end(tx, caller, row, reason)
      await notifyInventory(tx, { kind: 'endpoint', id: row.endpointId })
      const [view] = await this.#views(tx, await this.#rows(tx, tx`WHERE x.id = ${id}`))
      if (!view) throw notFound('exception')
      return view
    })
  }

  /** Also one that nobody vouches for: what is taken away needs no voucher, and the log says what the row was. */
  async #end(tx: Query, caller: Caller, row: ExceptionRow, reason: string): Promise<void> {
    const closed: ExceptionRow = {
      ...row,
      closedAt: new Date(this.#clock.wall()),
      closedBy: caller.principal.personId,
      closedBecause: reason,
    }
    await tx`UPDATE access_exception SET closed_at = ${closed.closedAt}, closed_by = ${closed.closedBy},
      closed_because = ${reason} WHERE id = ${row.id}`
    await this.#audit.record(tx, {
      ...by(caller),
      action: 'exception.closed',
      object: { kind: 'exception', id: row.id },
      reason,
      before: canonicalException(row),
      after: canonicalException(closed),
      details: { asset: row.assetId, endpoint: row.endpointId, kind: row.kind },
    })
  }

  /** The plant's own people at the site: whoever answers for a deviation must be there to answer. */
  async #ownersAt(query: Query, siteId: string): Promise<{ id: string; name: string }[]> {
    return query<{ id: string; name: string }[]>`
      SELECT p.id, p.name FROM person p
      WHERE p.enabled AND p.vendor_id IS NULL AND EXISTS (
        SELECT 1 FROM role r WHERE r.person_id = p.id AND r.role <> 'vendor'
          AND (r.site_id = ${siteId} OR (r.site_id IS NULL AND r.role = 'administrator')))
      ORDER BY p.name, p.id LIMIT 500`
  }

  async #rows(query: Query, which: ReturnType<Query>): Promise<ListedRow[]> {
    return query<ListedRow[]>`
      SELECT ${exceptionColumns(query)}, s.name AS "siteName", s.time_zone AS "timeZone", a.name AS "assetName",
        e.protocol, e.port, o.name AS "ownerName", o.enabled AS "ownerEnabled", p.name AS "openedByName",
        c.name AS "closedByName"
      FROM access_exception x
      JOIN site s ON s.id = x.site_id JOIN asset a ON a.id = x.asset_id JOIN endpoint e ON e.id = x.endpoint_id
      JOIN person o ON o.id = x.owner_id JOIN person p ON p.id = x.opened_by
      LEFT JOIN person c ON c.id = x.closed_by
      ${which}`
  }

  async #views(query: Query, rows: readonly ListedRow[]): Promise<View[]> {
    const counting = await keepVouched(
      this.#audit,
      query,
      rows.map((row) => ({ row, kind: 'exception', id: row.id, form: canonicalException(row) })),
    )
    const now = this.#clock.wall()
    return rows.map((row) => ({
      id: row.id,
      site: { id: row.siteId, name: row.siteName, timeZone: row.timeZone },
      asset: { id: row.assetId, name: row.assetName },
      endpoint: { id: row.endpointId, protocol: row.protocol, port: row.port },
      kind: row.kind,
      state: row.closedAt !== null ? 'closed' : row.expiresAt.getTime() <= now ? 'expired' : 'open',
      counts: counting.includes(row),
      reason: row.reason,
      compensatingControl: row.compensatingControl,
      owner: { id: row.ownerId, name: row.ownerName, enabled: row.ownerEnabled },
      expiresAt: row.expiresAt.toISOString(),
      openedAt: row.openedAt.toISOString(),
      openedBy: { id: row.openedBy, name: row.openedByName },
      closed:
        row.closedAt === null
          ? null
          : {
              at: row.closedAt.toISOString(),
              by: { id: row.closedBy ?? '', name: row.closedByName ?? '' },
              reason: row.closedBecause ?? '',
            },
    }))
  }
}

const keeps = (principal: Principal, siteId: string) => holds(principal, siteId, 'operator', 'administrator')

function checkExpiry(expiresAt: number, now: number): void {
  if (expiresAt <= now) {
    throw wrongField(
      'expiry-in-the-past',
      'expiresAt',
      'The exception would be over before it begins.',
      'Choose a later day.',
    )
  }
  const longest = new Date(now)
  longest.setUTCMonth(longest.getUTCMonth() + LONGEST_MONTHS)
  if (expiresAt > longest.getTime()) {
    throw wrongField(
      'expiry-too-late',
      'expiresAt',
      `An exception lasts ${LONGEST_MONTHS} months at most.`,
      'Choose an earlier day; it can be opened anew before it is over.',
    )
  }
}

/** Keyset cursor: opaque to callers, checked when it comes back. */
function cursorOf(row: ExceptionRow): string {
  return `${row.expiresAt.getTime()}_${row.id}`
}

function readCursor(cursor: string): { at: Date; id: string } {
  const found = /^(\d{1,15})_([0-9a-f-]{36})$/.exec(cursor)
  if (!found) throw new Failure(400, 'bad-cursor', 'This page does not exist.', 'Begin the list again.')
  return { at: new Date(Number(found[1])), id: found[2] ?? '' }
}
