import type { Opening } from './session-socket.ts'

/** A ticket just given, on its way from the button to the session page. In memory only: it opens a socket once. */
const fresh = new Map<string, Opening>()

export const keepOpening = (opening: Opening): void => void fresh.set(opening.sessionId, opening)

export function takeOpening(sessionId: string): Opening | null {
  const found = fresh.get(sessionId) ?? null
  fresh.delete(sessionId)
  return found
}
