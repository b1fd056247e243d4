import type { TerminalDown } from '../../broker/contract/terminal.ts'
import type { Feature, SessionEnd, SessionState } from '../../broker/domain/words.ts'

/**
 * What the session page knows, as a pure reducer over what the socket says. Times are the page's own monotonic
 * milliseconds (`performance.now()`), so a changed clock on this computer does not change the countdown.
 */
export type Link =
  /** Asking for a ticket, or the socket is being opened. */
  | 'connecting'
  | 'open'
  /** Lost; coming back by itself. */
  | 'lost'
  /** Over for good on this page: ended, replaced by another window, or refused. */
  | 'over'

export interface SessionPage {
  link: Link
  /** Failed tries to come back since it was lost. */
  tries: number
  hello: Extract<TerminalDown, { type: 'hello' }> | null
  state: SessionState
  inputFrozen: boolean
  cause: string | null
  by: string | null
  /** When the next deadline is reached, monotonic; null without one. */
  deadline: number | null
  permitEndsAt: number | null
  warning: { minutes: number; endsAt: number } | null
  idleEndsAt: number | null
  watchers: string[]
  /** Round trip of the last ping, milliseconds. */
  latencyMs: number | null
  size: { cols: number; rows: number } | null
  end: SessionEnd | null
  message: string | null
  /** Why the page is over without an end of the session. */
  closedBecause: 'replaced' | 'revoked' | 'refused' | null
}

export type SessionEvent =
  | { type: 'connecting' }
  | { type: 'opened' }
  | { type: 'down'; message: TerminalDown; now: number }
  | { type: 'pong'; latencyMs: number }
  | { type: 'typed' }
  | { type: 'lost'; code: number }
  | { type: 'try-failed' }
  | { type: 'refused'; message: string }
  /** The API says that the session is closed (learnt while coming back). */
  | { type: 'ended'; end: SessionEnd | null; message: string | null }

/** Close codes of the contract (broker/contract/terminal.ts, CLOSE); the values are part of the wire format. */
const CODE = { ended: 4000, replaced: 4409, revoked: 4410 } as const

export const BEGINNING: SessionPage = {
  link: 'connecting',
  tries: 0,
  hello: null,
  state: 'opening',
  inputFrozen: false,
  cause: null,
  by: null,
  deadline: null,
  permitEndsAt: null,
  warning: null,
  idleEndsAt: null,
  watchers: [],
  latencyMs: null,
  size: null,
  end: null,
  message: null,
  closedBecause: null,
}

export function reduce(page: SessionPage, event: SessionEvent): SessionPage {
  switch (event.type) {
    case 'connecting':
      return page.link === 'over' || page.link === 'lost' ? page : { ...page, link: 'connecting' }
    case 'opened':
      return page.link === 'over' ? page : { ...page, link: 'open', tries: 0 }
    case 'pong':
      return { ...page, latencyMs: event.latencyMs }
    case 'typed':
      return page.idleEndsAt === null ? page : { ...page, idleEndsAt: null }
    case 'try-failed':
      return page.link === 'over' ? page : { ...page, link: 'lost', tries: page.tries + 1 }
    case 'refused':
      return { ...page, link: 'over', closedBecause: 'refused', message: event.message }
    case 'ended':
      return { ...page, link: 'over', state: 'closed', end: event.end, message: event.message }
    case 'lost':
      if (page.link === 'over') return page
      if (page.state === 'closed' || event.code === CODE.ended)
        return { ...page, link: 'over', state: 'closed' }
      if (event.code === CODE.replaced) return { ...page, link: 'over', closedBecause: 'replaced' }
      if (event.code === CODE.revoked) return { ...page, link: 'over', closedBecause: 'revoked' }
      return { ...page, link: 'lost', latencyMs: null }
    case 'down':
      return down(page, event.message, event.now)
  }
}

function down(page: SessionPage, message: TerminalDown, now: number): SessionPage {
  switch (message.type) {
    case 'hello':
      return { ...page, hello: message, link: 'open', tries: 0 }
    case 'screen':
    case 'resize':
      return { ...page, size: { cols: message.cols, rows: message.rows } }
    case 'state': {
      const extended = page.permitEndsAt !== null && message.permitEndsAt > page.permitEndsAt
      return {
        ...page,
        state: message.state,
        link: message.state === 'closed' ? 'over' : page.link,
        inputFrozen: message.inputFrozen,
        cause: message.cause,
        by: message.by,
        deadline: message.remainingMs === null ? null : now + message.remainingMs,
        permitEndsAt: message.permitEndsAt,
        // More time takes the warning away; so does the end.
        warning: extended || message.state === 'closed' ? null : page.warning,
        end: message.end ?? page.end,
        message: message.message ?? page.message,
      }
    }
    case 'warning':
      return { ...page, warning: { minutes: message.minutes, endsAt: message.endsAt } }
    case 'idle':
      return { ...page, idleEndsAt: now + message.remainingMs }
    case 'watchers':
      return { ...page, watchers: message.names }
    case 'pong':
      return page
  }
}

/** Whether keys may be sent: the gateway decides it too; this only keeps the page honest. */
export function mayType(page: SessionPage): boolean {
  return (
    page.link === 'open' &&
    !page.inputFrozen &&
    page.hello !== null &&
    !page.hello.viewOnly &&
    page.hello.use !== 'watch' &&
    (page.state === 'live' || page.state === 'held')
  )
}

export const mayUse = (page: SessionPage, feature: Feature): boolean =>
  page.hello?.features.includes(feature) ?? false
