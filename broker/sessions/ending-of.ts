import type { DenialReason } from '../domain/access-facts.ts'
import type { SessionEnd } from '../domain/words.ts'

export interface EndingOrder {
  /** stop: at once, every class. revoke: input frozen, browser closed, asset by class. end: all by class. */
  command: 'stop' | 'revoke' | 'end'
  end: SessionEnd
}

/**
 * What a denied renewal does to a running session. The gravest reason counts: a lock before a leaver, a leaver before
 * a withdrawn permission, and time that merely ran out last.
 */
export function endingOf(reasons: readonly DenialReason[]): EndingOrder {
  const orders = reasons.map(orderOf)
  const gravest = ORDER.find((order) => orders.includes(order))
  // No reason at all is no permission either.
  return gravest ?? WITHDRAWN
}

const LOCKED: EndingOrder = { command: 'stop', end: 'site-locked' }
const STOPPED: EndingOrder = { command: 'stop', end: 'operator-stopped' }
const REVOKED: EndingOrder = { command: 'revoke', end: 'identity-revoked' }
const WITHDRAWN: EndingOrder = { command: 'end', end: 'approval-withdrawn' }
const TICKET: EndingOrder = { command: 'end', end: 'ticket-closed' }
const OVER: EndingOrder = { command: 'end', end: 'window-closed' }
const ORDER = [LOCKED, STOPPED, REVOKED, WITHDRAWN, TICKET, OVER]

function orderOf(reason: DenialReason): EndingOrder {
  switch (reason.code) {
    case 'site-locked':
      return LOCKED
    case 'operator-stopped':
      return STOPPED
    case 'person-disabled':
    case 'role-missing':
    case 'account-ended':
    case 'vendor-missing':
    case 'vendor-disabled':
      return REVOKED
    case 'ticket-unknown':
    case 'ticket-not-trusted':
    case 'ticket-not-approved':
    case 'ticket-stale':
    case 'ticket-other-asset':
    case 'ticket-no-planned-time':
    case 'ticket-not-started':
    case 'window-outside-ticket':
      return TICKET
    case 'window-not-open':
    case 'window-over':
    case 'window-empty':
    case 'ticket-over':
    case 'training-missing':
    case 'training-expired':
    case 'vendor-contract-ended':
    case 'sponsor-ended':
    case 'blackout':
    case 'exception-expired':
      return OVER
    default:
      return WITHDRAWN
  }
}

/** The cause in short, for the vendor and for whoever watches; the full reasons stand in the audit entry. */
export function causeOf(end: SessionEnd): string {
  switch (end) {
    case 'site-locked':
      return 'The site is locked.'
    case 'operator-stopped':
      return 'An operator stopped the session.'
    case 'identity-revoked':
      return "The engineer's access was revoked."
    case 'ticket-closed':
      return 'The change ticket no longer permits this work.'
    case 'window-closed':
      return 'The approved time is over.'
    default:
      return 'The permission for this session was withdrawn.'
  }
}
