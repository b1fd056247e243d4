import { hashOf } from './canonical.ts'
import type { PinnedIdentity } from './grant.ts'
import type { RdpSecurity } from './rdp.ts'
import type { VncSecurity } from './vnc.ts'
import type { AssetType, Criticality, EndingRule, Feature, Protocol, Role, TicketState } from './words.ts'

/**
 * What an approver signs: one version of an access request, frozen when the version is made. Any edit makes a new
 * version with a new hash, so an approval given to one request is never carried to another (threats 5 and 6).
 *
 * The byte format is frozen in broker/contract/approval-record.ts; this is the same shape as a plain type. Instants
 * are ISO 8601 in UTC with milliseconds, and lists that are sets are sorted, so one request has one hash.
 */
export interface RequestSnapshot {
  v: 1
  deployment: string
  request: { id: string; version: number }
  requester: {
    id: string
    issuer: string
    subject: string
    name: string
    vendor: { id: string; name: string }
  }
  site: { id: string; name: string; timeZone: string }
  /** `hash`: see AssetSnapshot. */
  asset: { id: string; name: string; criticality: Criticality; hash: string }
  endpoint: string
  protocol: Protocol
  account: string
  features: Feature[]
  viewOnly: boolean
  purpose: string
  /** `hash`: see TicketSnapshot. */
  ticket: { system: string; key: string; title: string; hash: string }
  /** Half-open: opensAt is inside, closesAt is not. */
  window: { opensAt: string; closesAt: string }
  ending: EndingRule
  /** Null for a request; for more time inside a session, everything else repeats the snapshot that is prolonged. */
  extension: { id: string; session: string; of: string; closesAt: string; reason: string } | null
}

/** Lower-case hex SHA-256 of the snapshot's canonical JSON (RFC 8785). */
export function snapshotHash(snapshot: RequestSnapshot): string {
  return hashOf(snapshot)
}

/**
 * Everything of the plant that an approval rests on. The request carries only its hash (it names the address, which
 * the vendor never learns); it is kept with the request version and goes into an evidence package as asset.json.
 * When one of these changes after an approval, the approval no longer counts.
 */
export interface AssetSnapshot {
  v: 1
  id: string
  name: string
  type: AssetType
  criticality: Criticality
  site: { id: string; name: string; timeZone: string }
  zone: { id: string; name: string }
  address: { host: string; port: number }
  /** `vnc`, `rdp`: how such an endpoint is protected; absent for others, so what was signed of those keeps its hash. */
  endpoint: {
    id: string
    protocol: Protocol
    vnc?: VncSecurity
    rdp?: RdpSecurity
    identities: PinnedIdentity[]
  }
  /** The declared path from the gateway's zone to the asset's; null when there is none (nothing opens then). */
  conduit: { id: string; name: string; from: string; to: string; protocols: string[] } | null
  ending: EndingRule
  /** Only when it is set: an operator says that the console is free before a session opens. */
  operatorsUseConsole?: true
  rule: { id: string; need: number; roles: Role[] } | null
  policyVersion: string
}

/** The same snapshot with its sets in one order: what means the same has the same bytes. */
export function normalAsset(asset: AssetSnapshot): AssetSnapshot {
  return {
    ...asset,
    endpoint: {
      ...asset.endpoint,
      identities: [...asset.endpoint.identities]
        .map(({ algorithm, fingerprint }) => ({ algorithm, fingerprint }))
        .sort((a, b) => order(a.fingerprint, b.fingerprint) || order(a.algorithm, b.algorithm)),
    },
    conduit: asset.conduit && { ...asset.conduit, protocols: [...new Set(asset.conduit.protocols)].sort() },
    rule: asset.rule && { ...asset.rule, roles: [...new Set(asset.rule.roles)].sort() },
  }
}

export function assetHash(asset: AssetSnapshot): string {
  return hashOf(normalAsset(asset))
}

/** Names of the top-level fields in which two asset snapshots differ; empty when the approval's ground still holds. */
export function changedFields(before: AssetSnapshot, now: AssetSnapshot): string[] {
  const a = normalAsset(before)
  const b = normalAsset(now)
  const fields = new Set([...Object.keys(a), ...Object.keys(b)]) as Set<keyof AssetSnapshot>
  return [...fields].filter((field) => hashOf(a[field] ?? null) !== hashOf(b[field] ?? null)).sort()
}

/**
 * A change ticket as read from the customer's system: ticket.json of a package. When it was read stands beside it,
 * not in it, so that reading the same ticket again gives the same hash.
 */
export interface TicketSnapshot {
  v: 1
  system: string
  key: string
  title: string
  state: TicketState
  plannedStart: string | null
  plannedEnd: string | null
  /** Configuration items, as the customer's system names them. */
  items: string[]
  link: string | null
}

export function ticketHash(ticket: TicketSnapshot): string {
  return hashOf({ ...ticket, items: [...new Set(ticket.items)].sort() })
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
