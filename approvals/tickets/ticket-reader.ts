import type { ApprovalsDeps } from '../deps.ts'
import { keepTicket, knownTicket } from './ticket-book.ts'
import type { TicketSystem } from './ticket-system.ts'

export interface TicketReader {
  /** Asks the ticket's system now and keeps the answer. Throws TicketSystemUnreachable. */
  refresh(siteId: string, system: string, key: string): Promise<void>
  /** Asks for every ticket that something runs or waits on, so that a closed change is known within 60 s. */
  round(): Promise<void>
}

/** Reads tickets from the systems of the site and keeps what they say. */
export function ticketReader(deps: ApprovalsDeps, systems: readonly TicketSystem[]): TicketReader {
  const refresh = async (siteId: string, system: string, key: string) => {
    const adapter = systems.find((each) => each.name === system)
    const reading = await adapter?.lookup(siteId, key)
    if (!reading) return
    const known = await knownTicket(deps, deps.db.sql, siteId, system, key)
    // The file adapter answers from what is kept: nothing new to keep.
    if (known && known.facts.fetchedAt >= reading.readAt) return
    await deps.db.tx((tx) =>
      keepTicket(deps, tx, siteId, reading, {
        fileId: null,
        actor: { kind: 'system', id: `ticket-${system}`, name: null, organisation: null },
      }),
    )
  }
  return {
    refresh,
    async round() {
      const due = await deps.db.sql<{ site_id: string; ticket_system: string; ticket_key: string }[]>`
        SELECT DISTINCT site_id, ticket_system, ticket_key FROM access_request
        WHERE state IN ('waiting', 'approved') AND closes_at > ${new Date(deps.clock.wall())} LIMIT 500`
      for (const { site_id, ticket_system, ticket_key } of due)
        await refresh(site_id, ticket_system, ticket_key)
    },
  }
}
