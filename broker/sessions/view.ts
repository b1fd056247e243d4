import type { LiveSession } from './live-sessions.ts'
import type { SessionRow, View } from './session-rows.ts'

/** A closed session whose manifest has not come after this long is reported as missing. Milliseconds. */
export const MANIFEST_DEADLINE_MS = 5 * 60_000

/**
 * A session for the pages: the row, and over it what this broker knows by now (events that are not committed yet, a
 * gateway that is out of reach).
 */
export function viewOf(row: SessionRow, live: LiveSession | undefined, nowMs: number): View {
  const running = row.state !== 'closed' && live !== undefined
  const closed = running ? live.closed : null
  const state = closed ? 'closed' : running ? live.state : row.state
  const lost = running && live.lostAt !== null && !closed
  return {
    id: row.id,
    requestId: row.requestId,
    recordingId: row.recordingId,
    state,
    inputFrozen: running ? live.inputFrozen : row.inputFrozen,
    cause: lost
      ? 'The gateway is out of reach. The session goes on to the end of its lease and then ends safely.'
      : running
        ? live.cause
        : row.cause,
    by: running ? live.by : row.by,
    asset: {
      id: row.view.asset.id,
      name: row.view.asset.name,
      criticality: row.view.asset.criticality,
      site: row.view.asset.site,
      zone: row.view.asset.zone,
    },
    protocol: row.protocol,
    account: row.account,
    features: row.view.features,
    person: row.view.person,
    ticketKey: row.ticketKey,
    purpose: row.view.purpose,
    startedAt: isoOr(running && live.liveAt !== null ? new Date(live.liveAt) : row.liveAt),
    permitEndsAt: (running ? new Date(live.grant.exp * 1000) : row.permitEndsAt).toISOString(),
    holdEndsAt: isoOr(
      running ? (live.holdEndsAt === null ? null : new Date(live.holdEndsAt)) : row.holdEndsAt,
    ),
    endedAt: isoOr(closed ? new Date(closed.at) : row.endedAt),
    end: closed ? closed.end : row.end,
    endMessage: closed ? closed.message : row.endMessage,
    endedBy: closed ? closed.by : row.endedBy,
    closedAfterMs: closed ? closed.closedAfterMs : row.closedAfterMs,
    watchers: running
      ? [...live.watchers.values()]
      : state === 'closed'
        ? []
        : row.watchers.map((one) => one.name),
    closingNote: row.closingNote,
    holdStands: row.holdStands,
    recording: recordingOf(row, nowMs),
  }
}

/** The same from memory alone, while the database is down. */
export function viewOfLive(live: LiveSession, nowMs: number): View {
  const { grant } = live
  return viewOf(
    {
      ...live,
      grantId: grant.jti,
      grantJws: '',
      protocol: grant.protocol,
      account: grant.account,
      view: {
        asset: { ...grant.asset, site: grant.site, zone: live.zone },
        person: { id: grant.person.id, name: grant.person.name, company: grant.person.company },
        features: grant.features,
        purpose: grant.request.purpose,
      },
      ticketKey: grant.request.ticketKey,
      permitEndsAt: new Date(grant.exp * 1000),
      holdEndsAt: null,
      openedAt: new Date(live.openedAt),
      liveAt: null,
      endedAt: null,
      end: null,
      endMessage: null,
      endedBy: null,
      closedAfterMs: null,
      watchers: [],
      closingNote: null,
      stopReason: null,
      holdStands: false,
      credentialFetchedAt: null,
      manifestAt: null,
      manifestEnded: null,
    },
    live,
    nowMs,
  )
}

export function recordingOf(row: SessionRow, nowMs: number): View['recording'] {
  if (row.manifestEnded === 'clean') return 'complete'
  if (row.manifestEnded === 'recovered') return 'recovered'
  if (row.endedAt === null) return 'running'
  // Its gateway, whose events come in order, told of the end and never of a live session. What a broker only presumes of
  // a gateway that is gone proves nothing, unless it never got the session open; nor does a gateway's word, once it has
  // the credential (Completeness).
  if (
    row.liveAt === null &&
    row.credentialFetchedAt === null &&
    (row.end === 'open-failed' || row.endedBy !== 'broker')
  )
    return 'none'
  return nowMs - row.endedAt.getTime() > MANIFEST_DEADLINE_MS ? 'missing' : 'arriving'
}

function isoOr(date: Date | null): string | null {
  return date === null ? null : date.toISOString()
}

const COLUMNS: [string, (view: View) => string | number | null][] = [
  ['session', (view) => view.id],
  ['site', (view) => view.asset.site.name],
  ['asset', (view) => view.asset.name],
  ['criticality', (view) => view.asset.criticality],
  ['person', (view) => view.person.name],
  ['company', (view) => view.person.company],
  ['account', (view) => view.account],
  ['protocol', (view) => view.protocol],
  ['ticket', (view) => view.ticketKey],
  ['purpose', (view) => view.purpose],
  ['started', (view) => view.startedAt],
  ['ended', (view) => view.endedAt],
  ['end', (view) => view.end],
  ['ended by', (view) => view.endedBy],
  ['closed after ms', (view) => view.closedAfterMs],
  ['what was changed', (view) => view.closingNote],
  ['recording', (view) => view.recording],
]

export const CSV_HEAD = `${COLUMNS.map(([name]) => cell(name)).join(',')}\r\n`

export function csvLine(view: View): string {
  return `${COLUMNS.map(([, value]) => cell(value(view))).join(',')}\r\n`
}

/** RFC 4180; what a spreadsheet would run as a formula is made plain text first (threat 22). */
function cell(value: string | number | null): string {
  const text = value === null ? '' : String(value)
  const safe = /^[=+\-@＝＋－＠\t\r\n]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
