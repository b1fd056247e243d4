import type { AuditLog } from '../audit/log.ts'
import type { JsonWebKeyPublic } from '../domain/grant.ts'
import type { Query } from '../store/sql.ts'

export interface GatewayRow {
  id: string
  siteId: string
  zoneId: string
  name: string
  certificate: string | null
  certificateEndsAt: Date | null
  signKey: JsonWebKeyPublic | null
  sealKey: JsonWebKeyPublic | null
  enrolledAt: Date | null
  revokedAt: Date | null
}

/** What the audit log vouches for: everything that lets a gateway in, nothing that it reports about itself. */
export function gatewayState(row: GatewayRow): Record<string, unknown> {
  return {
    id: row.id,
    siteId: row.siteId,
    zoneId: row.zoneId,
    name: row.name,
    certificate: row.certificate,
    certificateEndsAt: row.certificateEndsAt?.toISOString() ?? null,
    signKey: row.signKey,
    sealKey: row.sealKey,
    enrolledAt: row.enrolledAt?.toISOString() ?? null,
    revokedAt: row.revokedAt?.toISOString() ?? null,
  }
}

/** Null when there is none. `lock`: keeps the row for a change in the same transaction. */
export async function readGateway(query: Query, id: string, lock = false): Promise<GatewayRow | null> {
  const [row] = await query<GatewayRow[]>`
    SELECT id, site_id AS "siteId", zone_id AS "zoneId", name, certificate,
      certificate_ends_at AS "certificateEndsAt", sign_key AS "signKey", seal_key AS "sealKey",
      enrolled_at AS "enrolledAt", revoked_at AS "revokedAt"
    FROM gateway WHERE id = ${id} ${lock ? query`FOR UPDATE` : query``}`
  return row ?? null
}

/** The row, when the audit log vouches for it. Throws IntegrityError (with an alarm) when it was edited by hand. */
export async function vouchedGateway(
  query: Query,
  audit: Pick<AuditLog, 'verifyObject'>,
  id: string,
): Promise<GatewayRow | null> {
  const row = await readGateway(query, id)
  if (row) await audit.verifyObject(query, 'gateway', id, gatewayState(row))
  return row
}
