import { conflict, Failure, notFound } from '../domain/failure.ts'
import { holds, type Principal } from '../domain/principal.ts'
import type { SessionEnd } from '../domain/words.ts'
import { by } from '../identity/actor.ts'
import { unavailable } from '../store/sql.ts'
import type { LiveSession } from './live-sessions.ts'
import type { Renewals } from './renewals.ts'
import { type Caller, correlationOf, type Sessions } from './sessions.ts'

/** A stop has taken effect within this, or the operator is told that the link is lost. */
const STOP_MS = 5_000
/** An order about a session that was over already still counts against what the vendor does next, for so long. */
const LATE_MS = 60_000
const STANDS_ALL_THE_SAME = new Set(['session-over', 'no-such-session', 'gateway-silent'])

/**
 * Hold, release and stop. The order goes out first and from memory; the audit entry
 * goes to the log's journal on disk when the database does not answer, so that none of it waits for one that is down.
 */
export class Operators {
  readonly #sessions: Sessions
  readonly #renewals: Renewals

  constructor(sessions: Sessions, renewals: Renewals) {
    this.#sessions = sessions
    this.#renewals = renewals
  }

  async hold(caller: Caller, id: string, cause: string): Promise<void> {
    const session = await this.#mine(caller.principal, id, true)
    try {
      if (session.closed) throw over()
      await this.#command(session, caller, 'hold', 'operator-stopped', cause)
    } catch (error) {
      // Whoever leaves as the hold comes does not get around it; nor is it known whether a lost order took effect.
      if (error instanceof Failure && STANDS_ALL_THE_SAME.has(error.code) && !longOver(session, this.#now()))
        await this.#write(session, caller, 'session.hold', cause)
      throw error
    }
    await this.#write(session, caller, 'session.hold', cause)
  }

  async release(caller: Caller, id: string): Promise<void> {
    const session = await this.#mine(caller.principal, id, true)
    if (session.closed) {
      // It outlives its session, or leaving would be the way out of it.
      const { db, audit } = this.#sessions.deps
      const { hold } = await audit.orders(db.sql, session.grant.person.id, session.grant.endpoint)
      if (hold?.correlation.session !== session.id) throw over()
    } else await this.#command(session, caller, 'release', 'operator-stopped', '')
    await this.#write(session, caller, 'session.release', null)
  }

  /** Milliseconds from the gateway's getting the order to the asset's socket being closed. */
  async stop(caller: Caller, id: string): Promise<number> {
    const session = await this.#mine(caller.principal, id, true)
    if (session.closed) {
      if (longOver(session, this.#now())) throw over()
      // Whoever leaves as the stop comes does not get around it: it counts for what they open next, and has opened.
      await this.#write(session, caller, 'session.stop', null, { confirms: this.#confirms(session) })
      this.#renewals.soon(
        (other) => other.personId === session.personId && other.endpointId === session.endpointId,
      )
      throw over()
    }
    // No lease from here on: even if the order is lost, the session is. It is sent again while the session is there.
    session.stopped = caller.principal.name
    session.decideAt = this.#sessions.deps.clock.monotonic() + STOP_MS
    const ordered = this.#command(
      session,
      caller,
      endsByItself(session) ? 'end' : 'stop',
      'operator-stopped',
      '',
    )
    const written = this.#write(session, caller, 'session.stop', null, { confirms: this.#confirms(session) })
    let took: number
    try {
      took = await ordered
    } finally {
      await written
    }
    return Math.max(took, this.#sessions.live.get(id)?.closed?.closedAfterMs ?? 0)
  }

  async reason(caller: Caller, id: string, reason: string): Promise<void> {
    const { db, audit } = this.#sessions.deps
    await db.tx(async (tx) => {
      const [row] = await tx<{ siteId: string; stopReason: string | null }[]>`
        SELECT site_id AS "siteId", stop_reason AS "stopReason" FROM session WHERE id = ${id} FOR UPDATE`
      if (!row || !mayOperate(caller.principal, row.siteId)) throw notFound('session')
      if (row.stopReason !== null)
        throw conflict(
          'reason-given',
          'The reason for this stop has been given.',
          'It stands in the audit log.',
        )
      await tx`UPDATE session SET stop_reason = ${reason} WHERE id = ${id}`
      await audit.record(tx, {
        action: 'session.stop-reason',
        ...by(caller),
        object: { kind: 'session', id },
        reason,
        correlation: { session: id },
      })
    })
  }

  /**
   * From memory alone while the database is down; the same answer for "unknown" and "not yours". `over`: also one that
   * is over, for an order that counts all the same.
   */
  async #mine(principal: Principal, id: string, alsoOver = false): Promise<LiveSession> {
    let session = this.#sessions.live.get(id) ?? null
    if (!session) {
      try {
        session = await (alsoOver ? this.#sessions.findOver(id) : this.#sessions.find(id))
      } catch (error) {
        if (!unavailable(error)) throw error
      }
    }
    if (!session || !mayOperate(principal, session.siteId)) throw notFound('session')
    if (session.closed && !alsoOver) throw over()
    return session
  }

  async #command(
    session: LiveSession,
    caller: Caller,
    command: 'hold' | 'release' | 'stop' | 'end',
    end: SessionEnd,
    cause: string,
  ): Promise<number> {
    const { link } = this.#sessions.deps
    const answer = await link
      .control(session.gatewayId)
      ?.ask({ type: 'command', session: session.id, command, end, by: caller.principal.name, cause }, STOP_MS)
    if (!answer)
      throw new Failure(
        504,
        'gateway-silent',
        'The gateway is out of reach. Without renewal the session ends by itself within a minute.',
        'If it must end now, cut the connection at the site: the gateway or the asset’s network port.',
      )
    if (!answer.ok)
      throw conflict(
        answer.code ?? 'refused',
        `The gateway did not do it (${answer.code}).`,
        'Load the page again.',
      )
    return answer.tookMs ?? 0
  }

  #now(): number {
    return this.#sessions.deps.clock.wall()
  }

  /** A yes to the end of the approved time is no word against what is approved for another day. */
  #confirms(session: LiveSession): SessionEnd | null {
    return this.#now() >= session.grant.exp * 1000 ? 'window-closed' : null
  }

  /** Person and endpoint are what AuditLog.orders finds it by. */
  async #write(
    session: LiveSession,
    caller: Caller,
    action: string,
    reason: string | null,
    details: Record<string, string | null> = {},
  ): Promise<void> {
    await this.#sessions.deps.audit.recordAlways({
      action,
      ...by(caller),
      object: { kind: 'session', id: session.id },
      reason,
      correlation: correlationOf(session),
      details: { ...details, person: session.grant.person.id, endpoint: session.grant.endpoint },
    })
  }
}

export function mayOperate(principal: Principal, siteId: string): boolean {
  return holds(principal, siteId, 'operator', 'approver')
}

function longOver(session: LiveSession, now: number): boolean {
  return session.closed !== null && now - session.closed.at > LATE_MS
}

function over(): Failure {
  return conflict('session-over', 'The session is over already.', 'Nothing more to do.')
}

/** Held open at its end, waiting for an operator's yes: it keeps the reason for which it ends. */
function endsByItself(session: LiveSession): boolean {
  return session.state === 'held' && session.holdEndsAt !== null && session.ordered !== null
}
