import type { TicketSnapshot } from '../../broker/domain/request-snapshot.ts'

/** What a system said about one change, and when that was true. */
export interface TicketReading {
  ticket: TicketSnapshot
  /** Epoch milliseconds: when the system said so (for a signed file: when it was signed). */
  readAt: number
}

/**
 * A customer's change system. The ticket stays there; this is a way to read it. One file per system implements this:
 * signed files first, ServiceNow and others behind the same port.
 */
export interface TicketSystem {
  /** Stable name, part of every snapshot: `file`, `servicenow` … */
  readonly name: string
  /**
   * What the system says now; null when it has no such ticket. Throws TicketSystemUnreachable when it doesn't
   * answer: then a signed snapshot serves for at most 24 h.
   */
  lookup(siteId: string, key: string): Promise<TicketReading | null>
}

export class TicketSystemUnreachable extends Error {
  readonly code = 'ticket-system-unreachable'
  constructor(system: string, cause: unknown) {
    super(`The ticket system "${system}" does not answer.`, { cause })
    this.name = 'TicketSystemUnreachable'
  }
}
