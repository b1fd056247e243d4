import { BROKER } from '../audit/event.ts'
import { newId } from '../domain/ids.ts'
import { canonicalSite, canonicalZone } from '../inventory/rows.ts'
import { ENROLMENT_MS, keepToken, newEnrolmentToken } from '../link/enrolment-token.ts'
import { gatewayState } from '../link/gateway-rows.ts'
import { caFingerprint, type LinkCa } from '../link/link-authority.ts'
import { insertGateway } from './gateway-routes.ts'
import type { Sessions } from './sessions.ts'

/** Reserved for documentation (RFC 5737): no asset can have an address in the gateway's own zone. */
const NO_ASSETS = ['192.0.2.0/24']

const NOTICE =
  'This session is recorded: everything the screen shows and everything you type. People of the site may watch it live and stop it at any time.'

/**
 * For a machine that runs everything itself: an enrolment token for its gateway. At the very first start it also makes
 * the site and the zone that the gateway stands in; an administrator names them as they like afterwards. Null when
 * the installation has gateways already.
 */
export async function firstGateway(
  sessions: Sessions,
  ca: LinkCa,
  names: { site: string; timeZone: string; zone: string; gateway: string },
): Promise<{ token: string; gatewayId: string } | null> {
  const { db, audit, clock } = sessions.deps
  const now = new Date(clock.wall())
  return await db.tx(async (tx) => {
    await tx`LOCK TABLE gateway IN SHARE ROW EXCLUSIVE MODE`
    const [waiting] = await tx<{ id: string; enrolled: boolean; name: string }[]>`
      SELECT id, name, enrolled_at IS NOT NULL AS enrolled FROM gateway WHERE revoked_at IS NULL ORDER BY id LIMIT 1`
    // A first start that was cut off before the gateway had enrolled goes on where it was.
    if (waiting && (waiting.enrolled || waiting.name !== names.gateway)) return null
    let gatewayId = waiting?.id
    if (gatewayId === undefined) {
      const [known] = await tx`SELECT 1 FROM site LIMIT 1`
      if (known) return null
      const site = { id: newId(now.getTime()), name: names.site, timeZone: names.timeZone }
      await tx`INSERT INTO site (id, name, time_zone, created_at)
        VALUES (${site.id}, ${site.name}, ${site.timeZone}, ${now})`
      await tx`INSERT INTO site_notice (site_id, version, text, created_at) VALUES (${site.id}, 1, ${NOTICE}, ${now})`
      await audit.record(tx, {
        action: 'site.added',
        actor: BROKER,
        object: { kind: 'site', id: site.id },
        after: canonicalSite(site),
        reason: 'first start',
      })
      const zone = { id: newId(now.getTime()), siteId: site.id, name: names.zone, ranges: NO_ASSETS }
      await tx`INSERT INTO zone (id, site_id, name, ranges, created_at)
        VALUES (${zone.id}, ${site.id}, ${zone.name}, ${tx.json(zone.ranges)}, ${now})`
      await audit.record(tx, {
        action: 'zone.added',
        actor: BROKER,
        object: { kind: 'zone', id: zone.id },
        after: canonicalZone(zone),
        reason: 'first start',
      })
      const row = await insertGateway(tx, { name: names.gateway, siteId: site.id, zoneId: zone.id }, now)
      await audit.record(tx, {
        action: 'gateway.announced',
        actor: BROKER,
        object: { kind: 'gateway', id: row.id },
        after: gatewayState(row),
        reason: 'first start',
      })
      gatewayId = row.id
    }
    const { token, hash } = newEnrolmentToken(caFingerprint(ca.certificate))
    const expiresAt = new Date(now.getTime() + ENROLMENT_MS)
    await keepToken(
      tx,
      audit,
      { hash, gatewayId, createdBy: null, createdAt: now, expiresAt },
      { actor: BROKER, reason: 'first start' },
    )
    return { token, gatewayId }
  })
}
