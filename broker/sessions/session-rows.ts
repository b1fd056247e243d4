import type { z } from 'zod'
import type { SessionView } from '../contract/api/sessions.ts'
import type { Criticality, Feature, Protocol, SessionEnd, SessionState } from '../domain/words.ts'
import type { Query } from '../store/sql.ts'

export type View = z.output<typeof SessionView>

/** What a list shows, kept as it was when the session opened. */
export interface StoredView {
  asset: {
    id: string
    name: string
    criticality: Criticality
    site: { id: string; name: string; timeZone: string }
    zone: string
  }
  person: { id: string; name: string; company: string }
  features: Feature[]
  purpose: string
}

export interface SessionRow {
  id: string
  requestId: string
  recordingId: string
  grantId: string
  grantJws: string
  gatewayId: string
  siteId: string
  assetId: string
  endpointId: string
  personId: string
  signInId: string | null
  vendorId: string | null
  protocol: Protocol
  account: string
  view: StoredView
  ticketKey: string
  state: SessionState
  inputFrozen: boolean
  cause: string | null
  by: string | null
  permitEndsAt: Date
  holdEndsAt: Date | null
  openedAt: Date
  liveAt: Date | null
  endedAt: Date | null
  end: SessionEnd | null
  endMessage: string | null
  endedBy: string | null
  closedAfterMs: number | null
  watchers: { id: string; name: string }[]
  closingNote: string | null
  stopReason: string | null
  /** It is over, and an operator's hold of it was not released (broker/audit/orders.ts). */
  holdStands: boolean
  /** When its credential was handed out: from then on there may be something to record. */
  credentialFetchedAt: Date | null
  manifestAt: Date | null
  manifestEnded: 'clean' | 'recovered' | null
}

const columns = (query: Query) => query`
  id, request_id AS "requestId", recording_id AS "recordingId", grant_id AS "grantId", grant_jws AS "grantJws",
  gateway_id AS "gatewayId", site_id AS "siteId", asset_id AS "assetId", endpoint_id AS "endpointId",
  person_id AS "personId", sign_in_id AS "signInId", vendor_id AS "vendorId", protocol, account, view, ticket_key AS "ticketKey", state,
  input_frozen AS "inputFrozen", cause, by, permit_ends_at AS "permitEndsAt", hold_ends_at AS "holdEndsAt",
  opened_at AS "openedAt", live_at AS "liveAt", ended_at AS "endedAt", end_code AS "end",
  end_message AS "endMessage", ended_by AS "endedBy", closed_after_ms AS "closedAfterMs", watchers,
  closing_note AS "closingNote", stop_reason AS "stopReason",
  credential_fetched_at AS "credentialFetchedAt", manifest_at AS "manifestAt",
  manifest_ended AS "manifestEnded",
  coalesce(state = 'closed' AND (SELECT action FROM audit.entry WHERE entry.session = session.id
    AND action IN ('session.hold', 'session.release') ORDER BY staged DESC LIMIT 1) = 'session.hold', false) AS "holdStands"`

export async function readSession(query: Query, id: string, lock = false): Promise<SessionRow | null> {
  const [row] = await query<SessionRow[]>`
    SELECT ${columns(query)} FROM session WHERE id = ${id} ${lock ? query`FOR UPDATE` : query``}`
  return row ?? null
}

export async function runningSessions(query: Query): Promise<SessionRow[]> {
  return query<SessionRow[]>`SELECT ${columns(query)} FROM session WHERE state <> 'closed' ORDER BY id`
}

/** What other brokers may have changed about the sessions that run. */
export async function runningSerials(query: Query): Promise<{ id: string; serial: number }[]> {
  return query<{ id: string; serial: number }[]>`
    SELECT id, grant_serial AS serial FROM session WHERE state <> 'closed'`
}

export interface SessionFilter {
  /** Whose: a vendor's own, or those of some sites; `all` for a deployment-wide reader. */
  scope: { personId: string } | { siteIds: string[] | 'all' }
  live?: boolean | undefined
  holdStands?: boolean | undefined
  siteId?: string | undefined
  assetId?: string | undefined
  personId?: string | undefined
  end?: SessionEnd | undefined
  ticket?: string | undefined
  search?: string | undefined
  from?: string | undefined
  to?: string | undefined
  after?: { openedAt: Date; id: string } | undefined
  limit: number
}

/** Newest first; by keyset, so that a page far down costs what the first one costs. */
export async function listSessions(query: Query, filter: SessionFilter): Promise<SessionRow[]> {
  const { scope } = filter
  if ('siteIds' in scope && scope.siteIds !== 'all' && scope.siteIds.length === 0) return []
  const like = (text: string) => `%${text.toLowerCase().replace(/[\\%_]/g, '\\$&')}%`
  return query<SessionRow[]>`
    SELECT ${columns(query)} FROM session WHERE true
      ${'personId' in scope ? query`AND person_id = ${scope.personId}` : query``}
      ${'siteIds' in scope && scope.siteIds !== 'all' ? query`AND site_id IN ${query(scope.siteIds)}` : query``}
      ${filter.live === undefined ? query`` : filter.live ? query`AND state <> 'closed'` : query`AND state = 'closed'`}
      ${
        filter.holdStands
          ? query`AND state = 'closed' AND id IN (
              SELECT session FROM (
                SELECT DISTINCT ON (session) session, action FROM audit.entry
                WHERE session IS NOT NULL AND action IN ('session.hold', 'session.release')
                ORDER BY session, staged DESC) AS last
              WHERE action = 'session.hold')`
          : query``
      }
      ${filter.siteId ? query`AND site_id = ${filter.siteId}` : query``}
      ${filter.assetId ? query`AND asset_id = ${filter.assetId}` : query``}
      ${filter.personId ? query`AND person_id = ${filter.personId}` : query``}
      ${filter.end ? query`AND end_code = ${filter.end}` : query``}
      ${filter.ticket ? query`AND ticket_key = ${filter.ticket}` : query``}
      ${filter.search ? query`AND searchable LIKE ${like(filter.search)}` : query``}
      ${filter.from ? query`AND opened_at >= ${new Date(filter.from)}` : query``}
      ${filter.to ? query`AND opened_at < ${new Date(filter.to)}` : query``}
      ${filter.after ? query`AND (opened_at, id) < (${filter.after.openedAt}, ${filter.after.id})` : query``}
    ORDER BY opened_at DESC, id DESC LIMIT ${filter.limit}`
}

/** Keyset cursor: opaque to callers, checked when it comes back. */
export function cursorOf(row: SessionRow): string {
  return Buffer.from(JSON.stringify([row.openedAt.getTime(), row.id])).toString('base64url')
}

export function readCursor(cursor: string): { openedAt: Date; id: string } | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    if (!Array.isArray(value) || value.length !== 2) return null
    const [at, id] = value as [unknown, unknown]
    if (typeof at !== 'number' || !Number.isSafeInteger(at) || typeof id !== 'string') return null
    return /^[0-9a-f-]{36}$/.test(id) ? { openedAt: new Date(at), id } : null
  } catch {
    return null
  }
}
