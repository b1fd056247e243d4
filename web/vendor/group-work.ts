import type { Request } from '../shared/session-status.tsx'
import { ms } from '../shared/time.ts'

export interface Work {
  /** A session runs, or its window is open and everything holds. */
  now: Request[]
  /** Approved, ahead. */
  next: Request[]
  waiting: Request[]
  past: Request[]
}

/** Sorts a vendor's requests into what to do now and what to wait for. Windows are half open. */
export function groupWork(requests: readonly Request[], now: number): Work {
  const work: Work = { now: [], next: [], waiting: [], past: [] }
  for (const request of requests) {
    const running = request.session !== null && request.session.state !== 'closed'
    const over = ms(request.window.closesAt) <= now
    if (running) work.now.push(request)
    else if (over || ['declined', 'withdrawn', 'ended'].includes(request.state)) work.past.push(request)
    else if (request.state === 'waiting') work.waiting.push(request)
    else if (request.decision.permitted && ms(request.window.opensAt) <= now) work.now.push(request)
    else work.next.push(request)
  }
  const soonest = (a: Request, b: Request) => ms(a.window.opensAt) - ms(b.window.opensAt)
  work.now.sort(soonest)
  work.next.sort(soonest)
  work.waiting.sort(soonest)
  work.past.sort((a, b) => soonest(b, a))
  return work
}
