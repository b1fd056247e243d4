import type { Answer, Body } from '../contract/api/index.ts'
import type { Clock } from '../domain/clock.ts'
import { Failure, forbidden, notFound } from '../domain/failure.ts'
import { newId } from '../domain/ids.ts'
import { holds, type Principal, sitesOf } from '../domain/principal.ts'
import { by } from '../identity/actor.ts'
import type { Vouching } from '../identity/vouched.ts'
import type { Database, Query } from '../store/sql.ts'
import { checkRanges } from './addresses.ts'
import {
  type ConduitRow,
  canonicalConduit,
  canonicalSite,
  canonicalZone,
  type Ids,
  readConduits,
  readSites,
  readZones,
  type SiteRow,
  type ZoneRow,
} from './rows.ts'

export interface Caller {
  principal: Principal
  sourceAddress: string
}

type SiteView = Answer<'POST /api/sites'>
type ConduitView = Answer<'POST /api/conduits'>

/** The sites whose inventory the principal may see. */
export function visibleSites(principal: Principal): Ids {
  const sites = sitesOf(principal, 'administrator', 'approver', 'operator', 'auditor')
  return sites === 'all' ? null : sites
}

/** Throws the same as for a site that does not exist, when the principal doesn't administer it. */
export function checkAdministers(principal: Principal, siteId: string): void {
  if (!holds(principal, siteId, 'administrator')) throw notFound('site')
}

/** Sites, their notices, zones and conduits. */
export class Places {
  readonly #db: Database
  readonly #audit: Vouching
  readonly #clock: Clock

  constructor(db: Database, audit: Vouching, clock: Clock) {
    this.#db = db
    this.#audit = audit
    this.#clock = clock
  }

  async sites(principal: Principal): Promise<SiteView[]> {
    return (await readSites(this.#db.sql, visibleSites(principal))).map(siteView)
  }

  async addSite(caller: Caller, body: Body<'POST /api/sites'>): Promise<SiteView> {
    if (sitesOf(caller.principal, 'administrator') !== 'all') {
      throw forbidden('Sites are added by administrators of the whole deployment.', 'Ask one of them.')
    }
    const timeZone = checkTimeZone(body.timeZone)
    return this.#db.tx(async (tx) => {
      const now = this.#clock.wall()
      const row = { id: newId(now), name: body.name, timeZone }
      await tx`INSERT INTO site (id, name, time_zone, created_at)
        VALUES (${row.id}, ${row.name}, ${row.timeZone}, ${new Date(now)})`
      await this.#audit.record(tx, {
        ...by(caller),
        action: 'site.added',
        object: { kind: 'site', id: row.id },
        after: canonicalSite(row),
        details: { name: row.name, timeZone },
      })
      await this.#addNotice(tx, caller, row.id, 1, body.notice)
      return this.#site(tx, row.id)
    })
  }

  async changeSite(caller: Caller, id: string, body: Body<'PATCH /api/sites/:id'>): Promise<SiteView> {
    checkAdministers(caller.principal, id)
    return this.#db.tx(async (tx) => {
      await tx`SELECT id FROM site WHERE id = ${id} FOR UPDATE`
      const [site] = await readSites(tx, [id])
      if (!site) throw notFound('site')
      await this.#audit.verifyObject(tx, 'site', id, canonicalSite(site))
      if (body.name !== undefined && body.name !== site.name) {
        await tx`UPDATE site SET name = ${body.name} WHERE id = ${id}`
        await this.#audit.record(tx, {
          ...by(caller),
          action: 'site.changed',
          object: { kind: 'site', id },
          before: canonicalSite(site),
          after: canonicalSite({ ...site, name: body.name }),
        })
      }
      if (body.notice !== undefined && body.notice !== site.notice) {
        await this.#addNotice(tx, caller, id, site.noticeVersion + 1, body.notice)
      }
      return this.#site(tx, id)
    })
  }

  async zones(principal: Principal): Promise<ZoneRow[]> {
    const administers = (siteId: string) => holds(principal, siteId, 'administrator')
    const zones = await readZones(this.#db.sql, 'site_id', visibleSites(principal))
    // Ranges are addresses: for administrators only, as an asset's own.
    return zones.map((zone) => (administers(zone.siteId) ? zone : { ...zone, ranges: [] }))
  }

  async addZone(caller: Caller, body: Body<'POST /api/zones'>): Promise<ZoneRow> {
    checkAdministers(caller.principal, body.siteId)
    const ranges = checkRanges(body.ranges)
    return this.#db.tx(async (tx) => {
      await this.#site(tx, body.siteId)
      const now = this.#clock.wall()
      const row: ZoneRow = { id: newId(now), siteId: body.siteId, name: body.name, ranges }
      await tx`INSERT INTO zone (id, site_id, name, ranges, created_at)
        VALUES (${row.id}, ${row.siteId}, ${row.name}, ${tx.json(ranges)}, ${new Date(now)})`
      await this.#audit.record(tx, {
        ...by(caller),
        action: 'zone.added',
        object: { kind: 'zone', id: row.id },
        after: canonicalZone(row),
        details: { name: row.name, ranges },
      })
      return row
    })
  }

  async conduits(principal: Principal): Promise<ConduitView[]> {
    const rows = await readConduits(this.#db.sql, 'site_id', visibleSites(principal))
    return this.#conduitViews(this.#db.sql, rows)
  }

  async addConduit(caller: Caller, body: Body<'POST /api/conduits'>): Promise<ConduitView> {
    checkAdministers(caller.principal, body.siteId)
    return this.#db.tx(async (tx) => {
      const zones = await readZones(tx, 'id', [body.fromZoneId, body.toZoneId])
      if (body.fromZoneId === body.toZoneId) {
        throw new Failure(400, 'one-zone', 'A conduit joins two zones.', 'Choose another zone.')
      }
      if (zones.length !== 2 || zones.some((zone) => zone.siteId !== body.siteId)) throw notFound('zone')
      const now = this.#clock.wall()
      const row: ConduitRow = {
        id: newId(now),
        siteId: body.siteId,
        name: body.name,
        fromZoneId: body.fromZoneId,
        toZoneId: body.toZoneId,
        protocols: [...new Set(body.protocols)].sort(),
        enabled: true,
      }
      await tx`
        INSERT INTO conduit (id, site_id, name, from_zone_id, to_zone_id, protocols, enabled, created_at)
        VALUES (${row.id}, ${row.siteId}, ${row.name}, ${row.fromZoneId}, ${row.toZoneId},
          ${tx.json(row.protocols)}, true, ${new Date(now)})`
      await this.#audit.record(tx, {
        ...by(caller),
        action: 'conduit.added',
        object: { kind: 'conduit', id: row.id },
        after: canonicalConduit(row),
        details: { name: row.name, from: row.fromZoneId, to: row.toZoneId, protocols: row.protocols },
      })
      return this.#conduit(tx, row)
    })
  }

  async changeConduit(
    caller: Caller,
    id: string,
    body: Body<'PATCH /api/conduits/:id'>,
  ): Promise<ConduitView> {
    return this.#db.tx(async (tx) => {
      await tx`SELECT id FROM conduit WHERE id = ${id} FOR UPDATE`
      const [row] = await readConduits(tx, 'id', [id])
      if (!row || !holds(caller.principal, row.siteId, 'administrator')) throw notFound('conduit')
      await this.#audit.verifyObject(tx, 'conduit', id, canonicalConduit(row))
      const after = { ...row, enabled: body.enabled }
      await tx`UPDATE conduit SET enabled = ${body.enabled} WHERE id = ${id}`
      await this.#audit.record(tx, {
        ...by(caller),
        action: body.enabled ? 'conduit.enabled' : 'conduit.disabled',
        object: { kind: 'conduit', id },
        reason: body.reason,
        before: canonicalConduit(row),
        after: canonicalConduit(after),
      })
      await notifyInventory(tx, { kind: 'conduit', id })
      return this.#conduit(tx, after)
    })
  }

  async #addNotice(tx: Query, caller: Caller, siteId: string, version: number, text: string): Promise<void> {
    const now = new Date(this.#clock.wall())
    await tx`INSERT INTO site_notice (site_id, version, text, created_by, created_at)
      VALUES (${siteId}, ${version}, ${text}, ${caller.principal.personId}, ${now})`
    await this.#audit.record(tx, {
      ...by(caller),
      action: 'site-notice.published',
      object: { kind: 'site-notice', id: `${siteId}/${version}` },
      after: { v: 1, siteId, version, text },
      details: { version },
    })
  }

  async #site(tx: Query, id: string): Promise<SiteView> {
    const [site] = await readSites(tx, [id])
    if (!site) throw notFound('site')
    return siteView(site)
  }

  async #conduit(query: Query, row: ConduitRow): Promise<ConduitView> {
    const [view] = await this.#conduitViews(query, [row])
    if (!view) throw notFound('conduit')
    return view
  }

  async #conduitViews(query: Query, rows: readonly ConduitRow[]): Promise<ConduitView[]> {
    const zones = await readZones(query, 'id', [
      ...new Set(rows.flatMap((row) => [row.fromZoneId, row.toZoneId])),
    ])
    const zone = (id: string) => ({ id, name: zones.find((found) => found.id === id)?.name ?? '' })
    return rows.map((row) => ({
      id: row.id,
      siteId: row.siteId,
      name: row.name,
      from: zone(row.fromZoneId),
      to: zone(row.toZoneId),
      protocols: row.protocols,
      enabled: row.enabled,
    }))
  }
}

/** Carries {kind, id}: something that running sessions rest on was changed; whoever keeps them decides again. */
export const INVENTORY_CHANGED = 'inventory_changed'

export async function notifyInventory(
  tx: Query,
  changed: { kind: 'conduit' | 'asset' | 'endpoint'; id: string },
): Promise<void> {
  await tx`SELECT pg_notify(${INVENTORY_CHANGED}, ${JSON.stringify(changed)})`
  // Open pages (broker/sessions/hints.ts): what may be asked for or decided has changed.
  await tx`SELECT pg_notify('hints', 'requests')`
}

function siteView(row: SiteRow): SiteView {
  return {
    id: row.id,
    name: row.name,
    timeZone: row.timeZone,
    notice: { version: row.noticeVersion, text: row.notice },
  }
}

/** The name as the time zone data spells it; an offset such as +01:00 is no zone, because it has no rules. */
function checkTimeZone(name: string): string {
  try {
    if (!/^[A-Za-z]/.test(name)) throw new RangeError(name)
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone
  } catch {
    throw new Failure(
      400,
      'time-zone-unknown',
      `"${name.slice(0, 60)}" is no time zone.`,
      'Give an IANA name such as Europe/Berlin.',
    )
  }
}
