import type { Grant } from '../domain/grant.ts'
import type { SessionEnd, SessionState } from '../domain/words.ts'

/**
 * A session that is not closed, as this broker keeps it in memory: enough to show it, to renew its lease and to stop
 * it while the database is down.
 */
export interface LiveSession {
  readonly id: string
  readonly requestId: string
  readonly recordingId: string
  readonly gatewayId: string
  readonly siteId: string
  readonly assetId: string
  readonly endpointId: string
  readonly personId: string
  /** The sign-in that opened it; null when that was not kept yet. */
  readonly signInId: string | null
  readonly vendorId: string | null
  readonly openedAt: number
  readonly zone: string
  /** The newest grant; renewals may replace it by one with a higher serial. */
  grant: Grant
  state: SessionState
  inputFrozen: boolean
  cause: string | null
  by: string | null
  liveAt: number | null
  holdEndsAt: number | null
  watchers: Map<string, string>
  /** The ending that the broker has ordered last, so that it is ordered once; null while permitted. */
  ordered: SessionEnd | null
  /** The operator who stopped it: no lease any more, and the stop is ordered until it is closed. */
  stopped: string | null
  /** Monotonic time of the next decision. */
  decideAt: number
  deciding: boolean
  /** Monotonic time since which the gateway is out of reach; null while it is connected. */
  lostAt: number | null
  closed: ClosedSession | null
}

export interface ClosedSession {
  end: SessionEnd
  message: string
  by: string | null
  closedAfterMs: number | null
  at: number
}

/** For how long a closed session stays in memory: until its event is committed, and for late readers. */
const KEEP_CLOSED_MS = 60_000
const LIVE_LIMIT = 5_000

export class LiveSessions {
  readonly #sessions = new Map<string, LiveSession>()

  get full(): boolean {
    return this.#sessions.size >= LIVE_LIMIT
  }

  add(session: LiveSession): void {
    this.#sessions.set(session.id, session)
  }

  get(id: string): LiveSession | undefined {
    return this.#sessions.get(id)
  }

  drop(id: string): void {
    this.#sessions.delete(id)
  }

  /** Those that still run. */
  *running(): Generator<LiveSession> {
    for (const session of this.#sessions.values()) if (!session.closed) yield session
  }

  of(which: (session: LiveSession) => boolean): LiveSession[] {
    return [...this.running()].filter(which)
  }

  forgetClosed(nowMs: number): void {
    for (const [id, { closed }] of this.#sessions)
      if (closed && nowMs - closed.at > KEEP_CLOSED_MS) this.#sessions.delete(id)
  }
}

/** C1 and C2 keep the screen longer for the same person: somebody may have to finish what they began. */
export function browserHoldSeconds(criticality: Grant['asset']['criticality']): number {
  return criticality === 'C1' || criticality === 'C2' ? 600 : 120
}
