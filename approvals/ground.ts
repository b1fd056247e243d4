import type { RdpSecurity } from '../broker/domain/rdp.ts'
import type { AssetSnapshot } from '../broker/domain/request-snapshot.ts'
import type { VncSecurity } from '../broker/domain/vnc.ts'
import { deviationsOf, needsCredential, VNC_ACCOUNT } from '../broker/domain/vnc.ts'
import type {
  AssetType,
  Criticality,
  EndingRule,
  ExceptionKind,
  Protocol,
  Role,
} from '../broker/domain/words.ts'
import type { Query } from '../broker/store/sql.ts'

/** A row that a decision rests on, by the kind and id under which the audit log vouches for it. */
export interface RowName {
  kind: string
  id: string
}

export interface Deviation {
  kind: ExceptionKind
  exception: {
    id: string
    reason: string
    compensatingControl: string
    owner: string
    expiresAt: Date
  } | null
}

/** What the inventory says about one endpoint and the way to it, read in one go. */
export interface Ground {
  endpointId: string
  protocol: Protocol
  port: number
  /** How a VNC endpoint is protected; null for others. */
  vnc: VncSecurity | null
  /** How an RDP endpoint signs in; null for others. */
  rdp: RdpSecurity | null
  seenFingerprint: string | null
  assetId: string
  assetName: string
  assetType: AssetType
  description: string
  criticality: Criticality
  enabled: boolean
  owner: string
  address: string
  hazard: string
  lastVerifiedAt: Date | null
  ending: EndingRule
  operatorsUseConsole: boolean
  scores: {
    safety: number
    availability: number
    integrity: number
    confidentiality: number
    regulatory: number
  }
  siteId: string
  siteName: string
  timeZone: string
  zoneId: string
  zoneName: string
  gatewayId: string | null
  gatewayName: string | null
  gatewayZone: { id: string; name: string } | null
  identities: { id: string; algorithm: string; fingerprint: string }[]
  conduit: {
    id: string
    name: string
    from: string
    to: string
    protocols: string[]
    enabled: boolean
  } | null
  /** What the endpoint lacks, each with the exception that stands for it. */
  deviations: Deviation[]
  rule: { id: string; need: number; roles: Role[] }
  noticeVersion: number | null
  lock: { since: Date; by: string; reason: string } | null
  /** Rows to be vouched for before anything opens. */
  rows: RowName[]
}

interface GroundRow {
  endpoint_id: string
  protocol: Protocol
  port: number
  vnc_security: VncSecurity['security'] | null
  vnc_authentication: VncSecurity['authentication'] | null
  rdp_security: RdpSecurity['security'] | null
  seen_fingerprint: string | null
  asset_id: string
  asset_name: string
  type: AssetType
  description: string
  criticality: Criticality
  enabled: boolean
  owner: string
  address: string
  hazard: string
  last_verified_at: Date | null
  ending_mode: EndingRule['mode']
  ending_hold_seconds: number
  ending_input_during_grace: boolean
  operators_use_console: boolean
  safety: number
  availability: number
  integrity: number
  confidentiality: number
  regulatory: number
  site_id: string
  site_name: string
  time_zone: string
  zone_id: string
  zone_name: string
  gateway_id: string | null
  gateway_name: string | null
  gateway_zone_id: string | null
  gateway_zone_name: string | null
}

interface ConduitRow {
  id: string
  name: string
  from_name: string
  to_name: string
  protocols: string[]
  enabled: boolean
}

/** Where no administrator has set a rule. C1 needs two people everywhere. */
export function defaultRule(criticality: Criticality): { need: number; roles: Role[] } {
  return { need: criticality === 'C1' ? 2 : 1, roles: ['approver'] }
}

/** The id under which the log knows a rule: an absent row is vouched for too, so that deleting one lowers nothing. */
export function ruleName(siteId: string, criticality: Criticality): RowName {
  return { kind: 'approval-rule', id: `${siteId}/${criticality}` }
}

/** Null when there is no such endpoint. */
export async function readGround(query: Query, endpointId: string): Promise<Ground | null> {
  const [row] = await query<GroundRow[]>`
    SELECT e.id AS endpoint_id, e.protocol, e.port, e.vnc_security, e.vnc_authentication, e.rdp_security,
      e.seen_fingerprint,
      a.id AS asset_id, a.name AS asset_name, a.type, a.description, a.criticality, a.enabled, a.owner, a.address,
      a.hazard, a.last_verified_at, a.ending_mode, a.ending_hold_seconds, a.ending_input_during_grace,
      a.operators_use_console,
      a.safety, a.availability, a.integrity, a.confidentiality, a.regulatory,
      s.id AS site_id, s.name AS site_name, s.time_zone, z.id AS zone_id, z.name AS zone_name,
      g.id AS gateway_id, g.name AS gateway_name, gz.id AS gateway_zone_id, gz.name AS gateway_zone_name
    FROM endpoint e
    JOIN asset a ON a.id = e.asset_id
    JOIN site s ON s.id = a.site_id
    JOIN zone z ON z.id = a.zone_id
    LEFT JOIN gateway g ON g.id = a.gateway_id AND g.site_id = a.site_id AND g.revoked_at IS NULL
      AND g.enrolled_at IS NOT NULL
    LEFT JOIN zone gz ON gz.id = g.zone_id
    WHERE e.id = ${endpointId}`
  if (!row) return null
  const vnc =
    row.vnc_security === null || row.vnc_authentication === null
      ? null
      : { security: row.vnc_security, authentication: row.vnc_authentication }
  const deviations = await readDeviations(query, row, vnc)
  const identities = await query<{ id: string; algorithm: string; fingerprint: string }[]>`
    SELECT id, algorithm, fingerprint FROM endpoint_identity
    WHERE endpoint_id = ${endpointId} AND retired_at IS NULL ORDER BY fingerprint`
  // Of several conduits between the two zones, the enabled one that carries the protocol; then any, to say why not.
  const [conduit] = row.gateway_zone_id
    ? await query<ConduitRow[]>`
        SELECT c.id, c.name, f.name AS from_name, t.name AS to_name, c.protocols, c.enabled
        FROM conduit c JOIN zone f ON f.id = c.from_zone_id JOIN zone t ON t.id = c.to_zone_id
        WHERE c.from_zone_id = ${row.gateway_zone_id} AND c.to_zone_id = ${row.zone_id}
        ORDER BY c.enabled DESC, (c.protocols ? ${row.protocol}) DESC, c.id LIMIT 1`
    : []
  const [rule] = await query<{ id: string; need: number; roles: Role[] }[]>`
    SELECT id, need, roles FROM approval_rule
    WHERE site_id = ${row.site_id} AND criticality = ${row.criticality}`
  const [notice] = await query<{ version: number | null }[]>`
    SELECT max(version) AS version FROM site_notice WHERE site_id = ${row.site_id}`
  const [lock] = await query<{ since: Date; by: string; reason: string }[]>`
    SELECT l.since, p.name AS by, l.reason FROM site_lock l JOIN person p ON p.id = l.locked_by
    WHERE l.site_id = ${row.site_id} AND l.cleared_at IS NULL`
  return {
    endpointId: row.endpoint_id,
    protocol: row.protocol,
    port: row.port,
    vnc,
    rdp: row.rdp_security === null ? null : { security: row.rdp_security },
    seenFingerprint: row.seen_fingerprint,
    assetId: row.asset_id,
    assetName: row.asset_name,
    assetType: row.type,
    description: row.description,
    criticality: row.criticality,
    enabled: row.enabled,
    owner: row.owner,
    address: row.address,
    hazard: row.hazard,
    lastVerifiedAt: row.last_verified_at,
    ending: {
      mode: row.ending_mode,
      holdSeconds: row.ending_hold_seconds,
      inputDuringGrace: row.ending_input_during_grace,
    },
    operatorsUseConsole: row.operators_use_console,
    scores: {
      safety: row.safety,
      availability: row.availability,
      integrity: row.integrity,
      confidentiality: row.confidentiality,
      regulatory: row.regulatory,
    },
    siteId: row.site_id,
    siteName: row.site_name,
    timeZone: row.time_zone,
    zoneId: row.zone_id,
    zoneName: row.zone_name,
    gatewayId: row.gateway_id,
    gatewayName: row.gateway_name,
    gatewayZone:
      row.gateway_zone_id && row.gateway_zone_name
        ? { id: row.gateway_zone_id, name: row.gateway_zone_name }
        : null,
    identities: [...identities],
    conduit: conduit
      ? {
          id: conduit.id,
          name: conduit.name,
          from: conduit.from_name,
          to: conduit.to_name,
          protocols: conduit.protocols,
          enabled: conduit.enabled,
        }
      : null,
    deviations,
    rule: rule ?? { id: 'default', ...defaultRule(row.criticality) },
    noticeVersion: notice?.version ?? null,
    lock: lock ?? null,
    rows: [
      { kind: 'endpoint', id: row.endpoint_id },
      { kind: 'asset', id: row.asset_id },
      { kind: 'site', id: row.site_id },
      { kind: 'zone', id: row.zone_id },
      ...identities.map((identity) => ({ kind: 'endpoint-identity', id: identity.id })),
      ...(conduit ? [{ kind: 'conduit', id: conduit.id }] : []),
      ...(row.gateway_id ? [{ kind: 'gateway', id: row.gateway_id }] : []),
      ...deviations.flatMap(({ exception }) => (exception ? [{ kind: 'exception', id: exception.id }] : [])),
      ruleName(row.site_id, row.criticality),
    ],
  }
}

/** Only an exception of this endpoint, asset and site stands for what the endpoint lacks. */
async function readDeviations(
  query: Query,
  row: Pick<GroundRow, 'endpoint_id' | 'asset_id' | 'site_id'>,
  vnc: VncSecurity | null,
): Promise<Deviation[]> {
  const kinds = deviationsOf(vnc)
  if (kinds.length === 0) return []
  const rows = await query<(NonNullable<Deviation['exception']> & { kind: ExceptionKind })[]>`
    SELECT x.id, x.kind, x.reason, x.compensating_control AS "compensatingControl", o.name AS owner,
      x.expires_at AS "expiresAt"
    FROM access_exception x JOIN person o ON o.id = x.owner_id
    WHERE x.endpoint_id = ${row.endpoint_id} AND x.asset_id = ${row.asset_id} AND x.site_id = ${row.site_id}
      AND x.closed_at IS NULL`
  return kinds.map((kind) => ({ kind, exception: rows.find((found) => found.kind === kind) ?? null }))
}

/** The accounts that may be asked for on an endpoint: those in the vault, or the label where no password is asked. */
export async function readAccounts(
  query: Query,
  { endpointId, vnc }: Pick<Ground, 'endpointId' | 'vnc'>,
): Promise<string[]> {
  if (!needsCredential(vnc)) return [VNC_ACCOUNT]
  const rows = await query<{ account: string }[]>`
    SELECT account FROM credential WHERE endpoint_id = ${endpointId} ORDER BY account`
  return rows.map(({ account }) => account)
}

/** What is missing in the asset's description before anybody may ask for it. */
export function incompleteFields(ground: Ground): string[] {
  const missing: string[] = []
  if (ground.owner.trim() === '') missing.push('owner')
  if (ground.address.trim() === '') missing.push('address')
  if (ground.hazard.trim() === '') missing.push('what can go wrong')
  return missing
}

export function assetSnapshotOf(ground: Ground, policyVersion: string): AssetSnapshot {
  return {
    v: 1,
    id: ground.assetId,
    name: ground.assetName,
    type: ground.assetType,
    criticality: ground.criticality,
    site: { id: ground.siteId, name: ground.siteName, timeZone: ground.timeZone },
    zone: { id: ground.zoneId, name: ground.zoneName },
    address: { host: ground.address, port: ground.port },
    endpoint: {
      id: ground.endpointId,
      protocol: ground.protocol,
      ...(ground.vnc === null ? {} : { vnc: ground.vnc }),
      ...(ground.rdp === null ? {} : { rdp: ground.rdp }),
      identities: ground.identities.map(({ algorithm, fingerprint }) => ({ algorithm, fingerprint })),
    },
    conduit: ground.conduit && {
      id: ground.conduit.id,
      name: ground.conduit.name,
      from: ground.conduit.from,
      to: ground.conduit.to,
      protocols: ground.conduit.protocols,
    },
    ending: ground.ending,
    ...(ground.operatorsUseConsole ? { operatorsUseConsole: true } : {}),
    rule: { id: ground.rule.id, need: ground.rule.need, roles: ground.rule.roles },
    policyVersion,
  }
}
