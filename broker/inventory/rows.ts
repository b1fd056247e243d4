import type { PinnedIdentity } from '../domain/grant.ts'
import type { RdpSecurity } from '../domain/rdp.ts'
import type { VncSecurity } from '../domain/vnc.ts'
import type { AssetType, Criticality, EndingMode, Protocol } from '../domain/words.ts'
import type { Query } from '../store/sql.ts'

/**
 * Rows of the inventory and the canonical forms under which the audit log vouches for them (see identity/rows.ts).
 * What an asset only showed (`seen…`) is not in its form: it opens nothing.
 */
export interface SiteRow {
  id: string
  name: string
  timeZone: string
  noticeVersion: number
  notice: string
}

export interface ZoneRow {
  id: string
  siteId: string
  name: string
  ranges: string[]
}

export interface ConduitRow {
  id: string
  siteId: string
  name: string
  fromZoneId: string
  toZoneId: string
  protocols: Protocol[]
  enabled: boolean
}

export interface AssetRow {
  id: string
  siteId: string
  zoneId: string
  gatewayId: string | null
  name: string
  description: string
  type: AssetType
  criticality: Criticality
  owner: string
  address: string
  enabled: boolean
  endingMode: EndingMode
  endingHoldSeconds: number
  endingInputDuringGrace: boolean
  safety: number
  availability: number
  integrity: number
  confidentiality: number
  regulatory: number
  hazard: string
  compensatingControls: string
  lastVerifiedAt: Date | null
  /** Whoever opens a session takes the console away from those who stand before it. */
  operatorsUseConsole: boolean
}

export interface EndpointRow {
  id: string
  assetId: string
  protocol: Protocol
  port: number
  /** Both null but of a VNC endpoint. */
  vncSecurity: VncSecurity['security'] | null
  vncAuthentication: VncSecurity['authentication'] | null
  seenVncSecurity: VncSecurity['security'] | null
  seenVncAuthentication: VncSecurity['authentication'] | null
  seenVncAt: Date | null
  /** Null but of an RDP endpoint. */
  rdpSecurity: RdpSecurity['security'] | null
  seenRdpSecurity: RdpSecurity['security'] | null
  seenRdpAt: Date | null
  seenAlgorithm: string | null
  seenFingerprint: string | null
  seenAt: Date | null
}

export interface EndpointIdentityRow extends PinnedIdentity {
  id: string
  endpointId: string
  acceptedBy: string
  acceptedAt: Date
}

/** Object kind `site`. */
export const canonicalSite = (row: Pick<SiteRow, 'id' | 'name' | 'timeZone'>) => ({
  v: 1,
  id: row.id,
  name: row.name,
  timeZone: row.timeZone,
})

/** Object kind `zone`. */
export const canonicalZone = (row: ZoneRow) => ({
  v: 1,
  id: row.id,
  siteId: row.siteId,
  name: row.name,
  ranges: row.ranges,
})

/** Object kind `conduit`. */
export const canonicalConduit = (row: ConduitRow) => ({
  v: 1,
  id: row.id,
  siteId: row.siteId,
  name: row.name,
  fromZoneId: row.fromZoneId,
  toZoneId: row.toZoneId,
  protocols: row.protocols,
  enabled: row.enabled,
})

/** Object kind `asset`; `operatorsUseConsole` is in the form only when it is set, so older rows keep theirs. */
export const canonicalAsset = (row: AssetRow) => ({
  v: 1,
  id: row.id,
  siteId: row.siteId,
  zoneId: row.zoneId,
  gatewayId: row.gatewayId,
  name: row.name,
  description: row.description,
  type: row.type,
  criticality: row.criticality,
  owner: row.owner,
  address: row.address,
  enabled: row.enabled,
  ending: {
    mode: row.endingMode,
    holdSeconds: row.endingHoldSeconds,
    inputDuringGrace: row.endingInputDuringGrace,
  },
  consequence: {
    safety: row.safety,
    availability: row.availability,
    integrity: row.integrity,
    confidentiality: row.confidentiality,
    regulatory: row.regulatory,
  },
  hazard: row.hazard,
  compensatingControls: row.compensatingControls,
  lastVerifiedAt: row.lastVerifiedAt === null ? null : row.lastVerifiedAt.toISOString(),
  ...(row.operatorsUseConsole ? { operatorsUseConsole: true } : {}),
})

/** Object kind `endpoint`; the protection is in the form of those that have one, so older rows keep theirs. */
export const canonicalEndpoint = (row: EndpointRow) => ({
  v: 1,
  id: row.id,
  assetId: row.assetId,
  protocol: row.protocol,
  port: row.port,
  ...(row.vncSecurity === null && row.vncAuthentication === null
    ? {}
    : { vnc: { security: row.vncSecurity, authentication: row.vncAuthentication } }),
  ...(row.rdpSecurity === null ? {} : { rdp: { security: row.rdpSecurity } }),
})

/** How the endpoint is declared to be protected; null but of a VNC endpoint. */
export function vncOf(row: Pick<EndpointRow, 'vncSecurity' | 'vncAuthentication'>): VncSecurity | null {
  const { vncSecurity: security, vncAuthentication: authentication } = row
  return security === null || authentication === null ? null : { security, authentication }
}

/** How the endpoint is declared to sign in; null but of an RDP endpoint. */
export function rdpOf({ rdpSecurity: security }: Pick<EndpointRow, 'rdpSecurity'>): RdpSecurity | null {
  return security === null ? null : { security }
}

/** Object kind `endpoint-identity`; a retired one has no form. */
export const canonicalEndpointIdentity = (row: EndpointIdentityRow) => ({
  v: 1,
  id: row.id,
  endpointId: row.endpointId,
  algorithm: row.algorithm,
  fingerprint: row.fingerprint,
  acceptedBy: row.acceptedBy,
  acceptedAt: row.acceptedAt.toISOString(),
})

/** `null`: all of them. */
export type Ids = readonly string[] | null

const among = (query: Query, column: 'id' | 'site_id' | 'asset_id' | 'endpoint_id', ids: Ids) =>
  ids === null ? query`true` : query`${query(column)} IN ${query(ids as string[])}`

export async function readSites(query: Query, ids: Ids): Promise<SiteRow[]> {
  if (ids?.length === 0) return []
  return query<SiteRow[]>`
    SELECT s.id, s.name, s.time_zone AS "timeZone", n.version AS "noticeVersion", n.text AS notice
    FROM site s JOIN LATERAL (
      SELECT version, text FROM site_notice WHERE site_id = s.id ORDER BY version DESC LIMIT 1) n ON true
    WHERE ${ids === null ? query`true` : query`s.id IN ${query(ids as string[])}`} ORDER BY s.name`
}

export async function readZones(query: Query, by: 'id' | 'site_id', ids: Ids): Promise<ZoneRow[]> {
  if (ids?.length === 0) return []
  return query<ZoneRow[]>`
    SELECT id, site_id AS "siteId", name, ranges FROM zone WHERE ${among(query, by, ids)} ORDER BY name`
}

export async function readConduits(query: Query, by: 'id' | 'site_id', ids: Ids): Promise<ConduitRow[]> {
  if (ids?.length === 0) return []
  return query<ConduitRow[]>`
    SELECT id, site_id AS "siteId", name, from_zone_id AS "fromZoneId", to_zone_id AS "toZoneId", protocols, enabled
    FROM conduit WHERE ${among(query, by, ids)} ORDER BY name`
}

export async function readAssets(
  query: Query,
  by: 'id' | 'site_id',
  ids: Ids,
  lock = false,
): Promise<AssetRow[]> {
  if (ids?.length === 0) return []
  return query<AssetRow[]>`
    SELECT id, site_id AS "siteId", zone_id AS "zoneId", gateway_id AS "gatewayId", name, description, type,
      criticality, owner, address, enabled, ending_mode AS "endingMode", ending_hold_seconds AS "endingHoldSeconds",
      ending_input_during_grace AS "endingInputDuringGrace", safety, availability, integrity, confidentiality,
      regulatory, hazard, compensating_controls AS "compensatingControls", last_verified_at AS "lastVerifiedAt",
      operators_use_console AS "operatorsUseConsole"
    FROM asset WHERE ${among(query, by, ids)} ORDER BY name ${lock ? query`FOR UPDATE` : query``}`
}

export async function readEndpoints(query: Query, by: 'id' | 'asset_id', ids: Ids): Promise<EndpointRow[]> {
  if (ids?.length === 0) return []
  return query<EndpointRow[]>`
    SELECT id, asset_id AS "assetId", protocol, port, vnc_security AS "vncSecurity",
      vnc_authentication AS "vncAuthentication", seen_vnc_security AS "seenVncSecurity",
      seen_vnc_authentication AS "seenVncAuthentication", seen_vnc_at AS "seenVncAt", rdp_security AS "rdpSecurity",
      seen_rdp_security AS "seenRdpSecurity", seen_rdp_at AS "seenRdpAt", seen_algorithm AS "seenAlgorithm",
      seen_fingerprint AS "seenFingerprint", seen_at AS "seenAt"
    FROM endpoint WHERE ${among(query, by, ids)} ORDER BY protocol, port`
}

/** Those that are pinned now. */
export async function readIdentities(
  query: Query,
  by: 'id' | 'endpoint_id',
  ids: Ids,
): Promise<EndpointIdentityRow[]> {
  if (ids?.length === 0) return []
  return query<EndpointIdentityRow[]>`
    SELECT id, endpoint_id AS "endpointId", algorithm, fingerprint, accepted_by AS "acceptedBy",
      accepted_at AS "acceptedAt"
    FROM endpoint_identity WHERE retired_at IS NULL AND ${among(query, by, ids)} ORDER BY fingerprint`
}

/** An account for which the vault holds a credential. */
export interface AccountRow {
  endpointId: string
  account: string
  kind: 'password' | 'private-key'
}

export async function readAccounts(query: Query, endpointIds: readonly string[]): Promise<AccountRow[]> {
  if (endpointIds.length === 0) return []
  return query<AccountRow[]>`
    SELECT endpoint_id AS "endpointId", account, kind FROM credential
    WHERE endpoint_id IN ${query(endpointIds as string[])} ORDER BY account`
}

/**
 * Notes the identity that an asset showed, in a probe or a session. It is trusted by nobody for that; one that
 * differs from the pinned ones makes the endpoint `changed`, and nothing opens until an administrator accepted it.
 */
export async function noteSeenIdentity(
  query: Query,
  endpointId: string,
  seen: PinnedIdentity,
  at: Date,
): Promise<void> {
  await query`UPDATE endpoint SET seen_algorithm = ${seen.algorithm}, seen_fingerprint = ${seen.fingerprint},
    seen_at = ${at} WHERE id = ${endpointId}`
}

/** The same of how a VNC server was seen to be protected. */
export async function noteSeenVnc(
  query: Query,
  endpointId: string,
  seen: VncSecurity,
  at: Date,
): Promise<void> {
  await query`UPDATE endpoint SET seen_vnc_security = ${seen.security},
    seen_vnc_authentication = ${seen.authentication}, seen_vnc_at = ${at} WHERE id = ${endpointId}`
}

/** And of how an RDP server was seen to sign in at its best. */
export async function noteSeenRdp(
  query: Query,
  endpointId: string,
  seen: RdpSecurity,
  at: Date,
): Promise<void> {
  await query`UPDATE endpoint SET seen_rdp_security = ${seen.security}, seen_rdp_at = ${at} WHERE id = ${endpointId}`
}
