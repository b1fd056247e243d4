import type { AuditEvent } from '../audit/event.ts'
import type { Clock } from '../domain/clock.ts'
import type { Principal } from '../domain/principal.ts'
import { RateLimiter } from './rate-limit.ts'

export interface Denied {
  route: string
  /** The id in the path, when there is one. */
  object: string | null
  code: string
  status: number
  principal: Principal | null
  sourceAddress: string
  requestId: string
}

/**
 * Records refused attempts in the audit log, at a bounded rate: an attacker must not be able to fill the log. What
 * was left out is counted in the next entry, so the log says that there was more.
 */
export class Denials {
  readonly #record: (event: AuditEvent) => Promise<void>
  readonly #perCaller: RateLimiter
  readonly #all: RateLimiter
  #leftOut = 0
  #writing = 0

  constructor(record: (event: AuditEvent) => Promise<void>, clock: Clock) {
    this.#record = record
    this.#perCaller = new RateLimiter({ burst: 10, perSecond: 1 / 6 }, clock, 5_000)
    this.#all = new RateLimiter({ burst: 100, perSecond: 2 }, clock, 1)
  }

  note(denied: Denied): void {
    const caller = denied.principal?.personId ?? denied.sourceAddress
    if (this.#writing >= 20 || this.#perCaller.take(caller) > 0 || this.#all.take('all') > 0) {
      this.#leftOut += 1
      return
    }
    const leftOut = this.#leftOut
    this.#leftOut = 0
    this.#writing += 1
    this.#record(eventOf(denied, leftOut))
      .catch(() => {
        // The database is down: the count is kept and told later.
        this.#leftOut += leftOut + 1
      })
      .finally(() => {
        this.#writing -= 1
      })
  }
}

function eventOf(denied: Denied, leftOut: number): AuditEvent {
  const { principal } = denied
  return {
    action: 'http.denied',
    actor: principal
      ? { kind: 'person', id: principal.personId, name: principal.name, organisation: null }
      : { kind: 'anonymous', id: '-', name: null, organisation: null },
    source: denied.sourceAddress,
    // The path's id is the caller's text; it names, it doesn't vouch.
    object: denied.object ? { kind: 'route-object', id: denied.object } : null,
    result: 'denied',
    reason: denied.code,
    details: {
      route: denied.route,
      status: denied.status,
      requestId: denied.requestId,
      leftOut,
    },
  }
}
