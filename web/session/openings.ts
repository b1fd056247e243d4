import { call } from '../shared/api.ts'
import type { Opening } from './session-socket.ts'
import type { SessionEvent } from './session-state.ts'

/** A ticket just given, on its way from the button to the session page. In memory only: it opens a socket once. */
const fresh = new Map<string, Opening>()

export const keepOpening = (opening: Opening): void => void fresh.set(opening.sessionId, opening)

function takeOpening(sessionId: string): Opening | null {
  const found = fresh.get(sessionId) ?? null
  fresh.delete(sessionId)
  return found
}

/** Asks for the ticket of each connection of a page; null when the session is over, which `tell` is told. */
export const ticketsOf =
  (sessionId: string, watch: boolean, tell: (event: SessionEvent) => void) =>
  async (): Promise<Opening | null> => {
    const params = { id: sessionId }
    if (watch) return call('POST /api/sessions/:id/watch', { params, body: {} })
    const fresh = takeOpening(sessionId)
    if (fresh) return fresh
    const session = await call('GET /api/sessions/:id', { params })
    if (session.state === 'closed') {
      tell({ type: 'ended', end: session.end, message: session.endMessage })
      return null
    }
    return call('POST /api/sessions/:id/attach', { params, body: {} })
  }
