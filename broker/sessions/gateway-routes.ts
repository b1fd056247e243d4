import type { z } from 'zod'
import type { inventoryApi } from '../contract/api/inventory.ts'
import type { Handlers } from '../contract/handler.ts'
import { conflict, notFound } from '../domain/failure.ts'
import { newId } from '../domain/ids.ts'
import { holds, type Principal, sitesOf } from '../domain/principal.ts'
import { by } from '../identity/actor.ts'
import { ENROLMENT_MS, keepToken, newEnrolmentToken } from '../link/enrolment-token.ts'
import { type GatewayRow, gatewayState, readGateway } from '../link/gateway-rows.ts'
import { caFingerprint, type LinkCa } from '../link/link-authority.ts'
import { type Query, uniqueViolation } from '../store/sql.ts'
import type { Sessions } from './sessions.ts'

type GatewayView = z.output<(typeof inventoryApi)['POST /api/gateways/:id/revoke']['response']>

type GatewayKeys =
  | 'GET /api/gateways'
  | 'POST /api/gateways'
  | 'POST /api/gateways/:id/revoke'
  | 'GET /api/health'
  | 'POST /api/restore/confirm'

interface ListedGateway extends GatewayRow {
  site: string
  zone: string
  version: string | null
  lastSeenAt: Date | null
  clockOffsetMs: number | null
  freeBytes: number | null
  reserveBytes: number | null
  spooledRecordings: number | null
}

export interface GatewayRoutesDeps {
  sessions: Sessions
  ca: LinkCa
  version: string
  /** Recordings that have not arrived whole. */
  unshipped(): Promise<number>
}

/** Gateways and the health page. */
export function gatewayRoutes(deps: GatewayRoutesDeps): Pick<Handlers, GatewayKeys> {
  const { sessions } = deps
  const { db, audit, clock, clocks, link } = sessions.deps

  const list = (query: Query, sites: 'all' | string[], id?: string) =>
    query<ListedGateway[]>`
      SELECT g.id, g.site_id AS "siteId", g.zone_id AS "zoneId", g.name, g.certificate,
        g.certificate_ends_at AS "certificateEndsAt", g.sign_key AS "signKey", g.seal_key AS "sealKey",
        g.enrolled_at AS "enrolledAt", g.revoked_at AS "revokedAt", s.name AS site, z.name AS zone, g.version,
        g.last_seen_at AS "lastSeenAt", g.clock_offset_ms AS "clockOffsetMs", g.free_bytes AS "freeBytes",
        g.reserve_bytes AS "reserveBytes", g.spooled_recordings AS "spooledRecordings"
      FROM gateway g JOIN site s ON s.id = g.site_id JOIN zone z ON z.id = g.zone_id
      WHERE ${sites === 'all' ? query`true` : query`g.site_id = ANY(${sites}::uuid[])`}
        ${id === undefined ? query`` : query`AND g.id = ${id}`}
      ORDER BY s.name, g.name`

  const view = (row: ListedGateway): GatewayView => {
    const now = link.health(row.id)
    const health = now?.health ?? null
    return {
      id: row.id,
      name: row.name,
      site: { id: row.siteId, name: row.site },
      zone: { id: row.zoneId, name: row.zone },
      state: row.revokedAt
        ? 'revoked'
        : link.online(row.id)
          ? 'online'
          : row.enrolledAt
            ? 'offline'
            : 'waiting',
      version: now?.version ?? row.version,
      lastSeenAt: (now ? new Date(now.lastSeenAt) : row.lastSeenAt)?.toISOString() ?? null,
      clockOffsetMs: clocks.gatewayOffset(row.id) ?? row.clockOffsetMs,
      sessions: health?.sessions ?? null,
      workers: health?.workers ?? null,
      freeBytes: health?.freeBytes ?? row.freeBytes,
      reserveBytes: health?.reserveBytes ?? row.reserveBytes,
      spooledRecordings: health?.spooledRecordings ?? row.spooledRecordings,
    }
  }
  const one = async (id: string): Promise<GatewayView> => {
    const [row] = await list(db.sql, 'all', id)
    if (!row) throw notFound('gateway')
    return view(row)
  }
  const staffSites = (principal: Principal) =>
    sitesOf(principal, 'administrator', 'approver', 'operator', 'auditor')

  return {
    'GET /api/gateways': async ({ principal }) => (await list(db.sql, staffSites(principal))).map(view),

    'POST /api/gateways': async ({ body, principal, sourceAddress }) => {
      const now = clock.wall()
      const { token, hash } = newEnrolmentToken(caFingerprint(deps.ca.certificate))
      const expiresAt = new Date(now + ENROLMENT_MS)
      const row = await announce(sessions, { principal, sourceAddress }, body, { hash, expiresAt })
      return { gateway: await one(row.id), enrolmentToken: token, expiresAt: expiresAt.toISOString() }
    },

    'POST /api/gateways/:id/revoke': async ({ params, body, principal, sourceAddress }) => {
      const row = await db.tx(async (tx) => {
        const before = await readGateway(tx, params.id, true)
        if (!before || !holds(principal, before.siteId, 'administrator')) throw notFound('gateway')
        if (before.revokedAt !== null)
          throw conflict('revoked-already', 'This gateway has been revoked.', 'Announce a new one.')
        const after = { ...before, revokedAt: new Date(clock.wall()) }
        await tx`
          UPDATE gateway SET revoked_at = ${after.revokedAt}, revoked_because = ${body.reason} WHERE id = ${after.id}`
        await tx`
          UPDATE enrolment_token SET used_at = ${after.revokedAt} WHERE gateway_id = ${after.id} AND used_at IS NULL`
        await audit.record(tx, {
          action: 'gateway.revoked',
          ...by({ principal, sourceAddress }),
          object: { kind: 'gateway', id: after.id },
          reason: body.reason,
          before: gatewayState(before),
          after: gatewayState(after),
        })
        return after
      })
      await link.directory.changed(row)
      return await one(row.id)
    },

    'POST /api/restore/confirm': async (context) => {
      if (!(await sessions.deps.restore.confirm(by(context), context.body.reason)))
        throw conflict(
          'nothing-restored',
          'There is no restored backup that waits for a confirmation.',
          'Nothing; look at the health page.',
        )
      sessions.deps.hints.publish('alarms')
      return { ok: true }
    },

    'GET /api/health': async ({ principal }) => {
      const ok = await db.ping(1_000)
      const storage = await sessions.deps.storage()
      const sites = staffSites(principal)
      const rows = ok ? await list(db.sql, sites) : []
      const checkpoint = ok ? await audit.latestCheckpoint() : null
      const [signed] = ok
        ? await db.sql<
            { at: Date }[]
          >`SELECT signed_at AS at FROM audit.checkpoint ORDER BY size DESC LIMIT 1`
        : []
      const restore = ok ? await sessions.deps.restore.unconfirmed() : null
      return {
        version: deps.version,
        clock: clocks.view(),
        database: {
          ok,
          detail: ok ? 'answers' : 'does not answer; running sessions go on, new ones are refused',
        },
        storage: {
          freeBytes: storage?.freeBytes ?? 0,
          reserveBytes: storage?.reserveBytes ?? 0,
          ok: storage !== null && storage.freeBytes >= storage.reserveBytes,
        },
        restore: restore && {
          at: new Date(restore.at).toISOString(),
          backupAt: new Date(restore.backupAt).toISOString(),
        },
        checkpoint: { size: checkpoint?.size ?? 0, at: signed?.at.toISOString() ?? null },
        witness: {
          state: 'absent',
          detail: 'No witness is configured: whoever holds both database and log key could rewrite history.',
        },
        gateways: rows.map(view),
        unshippedRecordings: ok ? await deps.unshipped() : 0,
      }
    },
  }
}

/**
 * A gateway that may enrol: its row, or with `gatewayId` a further token for one that is there (rotation). Throws
 * Failure when the zone is not of the site or the name is taken.
 */
async function announce(
  sessions: Sessions,
  caller: { principal: Principal; sourceAddress: string },
  body: { name: string; siteId: string; zoneId: string },
  token: { hash: Buffer; expiresAt: Date },
): Promise<GatewayRow> {
  const { db, audit, clock } = sessions.deps
  const now = new Date(clock.wall())
  if (!holds(caller.principal, body.siteId, 'administrator')) throw notFound('site')
  try {
    return await db.tx(async (tx) => {
      const [zone] = await tx`SELECT id FROM zone WHERE id = ${body.zoneId} AND site_id = ${body.siteId}`
      if (!zone) throw notFound('zone')
      const [known] = await tx<{ id: string }[]>`
        SELECT id FROM gateway WHERE site_id = ${body.siteId} AND name = ${body.name} FOR UPDATE`
      const before = known ? await readGateway(tx, known.id, true) : null
      // The same name in the same zone asks for a new token: a first one that ran out, or a rotation of keys.
      if (before && (before.revokedAt !== null || before.zoneId !== body.zoneId)) {
        throw conflict('name-taken', 'A gateway of this name stands there already.', 'Choose another name.')
      }
      if (before) await audit.verifyObject(tx, 'gateway', before.id, gatewayState(before))
      const row = before ?? (await insertGateway(tx, body, now))
      if (!before)
        await audit.record(tx, {
          action: 'gateway.announced',
          ...by(caller),
          object: { kind: 'gateway', id: row.id },
          after: gatewayState(row),
        })
      await keepToken(
        tx,
        audit,
        {
          hash: token.hash,
          gatewayId: row.id,
          createdBy: caller.principal.personId,
          createdAt: now,
          expiresAt: token.expiresAt,
        },
        by(caller),
      )
      return row
    })
  } catch (error) {
    if (uniqueViolation(error) !== null)
      throw conflict('name-taken', 'A gateway of this name stands there already.', 'Choose another name.')
    throw error
  }
}

export async function insertGateway(
  tx: Query,
  body: { name: string; siteId: string; zoneId: string },
  now: Date,
): Promise<GatewayRow> {
  const row: GatewayRow = {
    id: newId(now.getTime()),
    siteId: body.siteId,
    zoneId: body.zoneId,
    name: body.name,
    certificate: null,
    certificateEndsAt: null,
    signKey: null,
    sealKey: null,
    enrolledAt: null,
    revokedAt: null,
  }
  await tx`
    INSERT INTO gateway (id, site_id, zone_id, name, created_at)
    VALUES (${row.id}, ${row.siteId}, ${row.zoneId}, ${row.name}, ${now})`
  return row
}
