import type { AuditActor } from '../../broker/contract/audit-entry.ts'
import type { TicketFacts } from '../../broker/domain/access-facts.ts'
import { jcs } from '../../broker/domain/canonical.ts'
import { type TicketSnapshot, ticketHash } from '../../broker/domain/request-snapshot.ts'
import type { Query } from '../../broker/store/sql.ts'
import { type ApprovalsDeps, announce } from '../deps.ts'
import type { TicketReading } from './ticket-system.ts'

/** A stored ticket, checked: the snapshot, and the facts about it that a decision needs. */
export interface KnownTicket {
  ticket: TicketSnapshot
  facts: TicketFacts
  fetchedAt: Date
  /** The registered key behind it; null for a system that was asked. */
  keyId: string | null
}

interface TicketRow {
  site_id: string
  system: string
  key: string
  hash: string
  content: string
  fetched_at: Date
  signed: string
  file_id: string | null
  key_enabled: boolean | null
  key_id: string | null
}

type BookDeps = Pick<ApprovalsDeps, 'audit' | 'ticketSigner'>

/**
 * Keeps what a ticket system said. A reading that is older than the stored one changes nothing, so replaying an old
 * file or a late answer never revives a closed ticket. Announces the requests under a ticket whose content changed.
 */
export async function keepTicket(
  deps: BookDeps,
  tx: Query,
  siteId: string,
  reading: TicketReading,
  from: { fileId: string | null; actor: AuditActor },
): Promise<void> {
  // One order, so that the stored text is the text whose hash is signed.
  const ticket = { ...reading.ticket, items: [...new Set(reading.ticket.items)].sort() }
  const hash = ticketHash(ticket)
  const fetchedAt = new Date(reading.readAt)
  const [stored] = await tx<TicketRow[]>`
    SELECT *, NULL AS key_enabled, NULL AS key_id FROM change_ticket
    WHERE site_id = ${siteId} AND system = ${ticket.system} AND key = ${ticket.key} FOR UPDATE`
  if (stored && stored.fetched_at.getTime() > reading.readAt) return
  const content = new TextDecoder().decode(jcs(ticket))
  const signed = await deps.ticketSigner.sign({
    v: 1,
    site: siteId,
    hash,
    fetchedAt: fetchedAt.toISOString(),
    file: from.fileId,
    ticket: content,
  })
  const plannedEnd = ticket.plannedEnd === null ? null : new Date(ticket.plannedEnd)
  await tx`
    INSERT INTO change_ticket (site_id, system, key, hash, content, fetched_at, signed, file_id, state, planned_end)
    VALUES (${siteId}, ${ticket.system}, ${ticket.key}, ${hash}, ${content}, ${fetchedAt}, ${signed}, ${from.fileId},
      ${ticket.state}, ${plannedEnd})
    ON CONFLICT (site_id, system, key) DO UPDATE SET hash = EXCLUDED.hash, content = EXCLUDED.content,
      fetched_at = EXCLUDED.fetched_at, signed = EXCLUDED.signed, file_id = EXCLUDED.file_id,
      state = EXCLUDED.state, planned_end = EXCLUDED.planned_end`
  if (stored?.hash === hash) return
  await tx`
    INSERT INTO change_ticket_version (site_id, system, key, seen_at, hash, content, signed)
    VALUES (${siteId}, ${ticket.system}, ${ticket.key}, ${fetchedAt}, ${hash}, ${content}, ${signed})
    ON CONFLICT DO NOTHING`
  await deps.audit.record(tx, {
    action: 'change-ticket.read',
    actor: from.actor,
    object: { kind: 'change-ticket', id: ticketName(siteId, ticket.system, ticket.key) },
    before: stored ? ticketState(siteId, ticket.system, ticket.key, stored.hash) : null,
    after: ticketState(siteId, ticket.system, ticket.key, hash),
    correlation: { ticket: ticket.key },
    details: { state: ticket.state, plannedStart: ticket.plannedStart, plannedEnd: ticket.plannedEnd },
  })
  const requests = await tx<{ id: string }[]>`
    SELECT id FROM access_request
    WHERE site_id = ${siteId} AND ticket_system = ${ticket.system} AND ticket_key = ${ticket.key}
      AND state IN ('waiting', 'approved')`
  await announce(
    tx,
    requests.map((request) => request.id),
  )
}

/** The stored ticket; `facts.trusted` only when our signature over it verifies and its file's key still counts. */
export async function knownTicket(
  deps: BookDeps,
  query: Query,
  siteId: string,
  system: string,
  key: string,
): Promise<KnownTicket | null> {
  const [row] = await query<TicketRow[]>`
    SELECT t.*, k.enabled AS key_enabled, k.id AS key_id FROM change_ticket t
    LEFT JOIN ticket_file f ON f.id = t.file_id LEFT JOIN ticket_key k ON k.id = f.key_id
    WHERE t.site_id = ${siteId} AND t.system = ${system} AND t.key = ${key}`
  return row ? check(deps, row) : null
}

/** Tickets of a site that name one of `items` and whose planned time is not over. */
export async function openTickets(
  deps: BookDeps,
  query: Query,
  siteId: string,
  item: string,
  now: number,
): Promise<KnownTicket[]> {
  const rows = await query<TicketRow[]>`
    SELECT t.*, k.enabled AS key_enabled, k.id AS key_id FROM change_ticket t
    LEFT JOIN ticket_file f ON f.id = t.file_id LEFT JOIN ticket_key k ON k.id = f.key_id
    WHERE t.site_id = ${siteId} AND t.planned_end > ${new Date(now)} AND t.state IN ('draft', 'waiting', 'approved')
    ORDER BY t.planned_end LIMIT 500`
  const known = await Promise.all(rows.map((row) => check(deps, row)))
  return known.filter(({ ticket }) =>
    ticket.items.some((name) => name.trim().toLowerCase() === item.trim().toLowerCase()),
  )
}

async function check(deps: BookDeps, row: TicketRow): Promise<KnownTicket> {
  const ticket = JSON.parse(row.content) as TicketSnapshot
  const payload = await deps.ticketSigner.verify(row.signed)
  const ours =
    payload?.v === 1 &&
    payload.site === row.site_id &&
    payload.hash === row.hash &&
    payload.ticket === row.content &&
    // Without its file the row would rest on no key, and none could be put out of use.
    payload.file === row.file_id &&
    payload.fetchedAt === row.fetched_at.toISOString() &&
    ticket.system === row.system &&
    ticket.key === row.key &&
    ticketHash(ticket) === row.hash
  return {
    ticket,
    fetchedAt: row.fetched_at,
    keyId: row.key_id,
    facts: {
      system: row.system,
      key: row.key,
      state: ticket.state,
      plannedStart: ticket.plannedStart === null ? null : Date.parse(ticket.plannedStart),
      plannedEnd: ticket.plannedEnd === null ? null : Date.parse(ticket.plannedEnd),
      configurationItems: ticket.items,
      trusted: ours && row.key_enabled !== false,
      fetchedAt: row.fetched_at.getTime(),
      hash: row.hash,
    },
  }
}

export function ticketName(siteId: string, system: string, key: string): string {
  // A key is the customer's text of up to 80 characters; the log's object id holds 200.
  return `${siteId}/${system}/${key}`
}

export function ticketState(siteId: string, system: string, key: string, hash: string) {
  return { site: siteId, system, key, hash }
}
