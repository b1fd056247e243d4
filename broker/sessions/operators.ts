import { conflict, Failure, notFound } from '../domain/failure.ts'
import { holds, type Principal } from '../domain/principal.ts'
import type { SessionEnd } from '../domain/words.ts'
import { by } from '../identity/actor.ts'
import { unavailable } from '../store/sql.ts'
import type { LiveSession } from './live-sessions.ts'
import { type Caller, correlationOf, type Sessions } from './sessions.ts'

/** A stop has taken effect within this, or the operator is told that the link is lost. */
const STOP_MS = 5_000

/**
 * Hold, release and stop. The order goes out first and from memory; the audit entry
 * goes to the log's journal on disk when the database does not answer, so that none of it waits for one that is down.
 */
export class Operators {
  readonly #sessions: Sessions

  constructor(sessions: Sessions) {
    this.#sessions = sessions
  }

  async hold(caller: Caller, id: string, cause: string): Promise<void> {
    const session = await this.#mine(caller.principal, id)
    await this.#command(session, caller, 'hold', 'operator-stopped', cause)
    await this.#write(session, caller, 'session.hold', cause)
  }

  async release(caller: Caller, id: string): Promise<void> {
    const session = await this.#mine(caller.principal, id)
    await this.#command(session, caller, 'release', 'operator-stopped', '')
    await this.#write(session, caller, 'session.release', null)
  }

  /** Milliseconds from the gateway's getting the order to the asset's socket being closed. */
  async stop(caller: Caller, id: string): Promise<number> {
    const session = await this.#mine(caller.principal, id)
    // No lease from here on: even if the order is lost, the session is.
    session.stopped = true
    const ordered = this.#command(
      session,
      caller,
      endsByItself(session) ? 'end' : 'stop',
      'operator-stopped',
      '',
    )
    const written = this.#write(session, caller, 'session.stop', null)
    let took: number
    try {
      took = await ordered
    } finally {
      await written
    }
    return Math.max(took, session.closed?.closedAfterMs ?? 0)
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

  /** From memory alone while the database is down; the same answer for "unknown" and "not yours". */
  async #mine(principal: Principal, id: string): Promise<LiveSession> {
    let session = this.#sessions.live.get(id) ?? null
    if (!session) {
      try {
        session = await this.#sessions.find(id)
      } catch (error) {
        if (!unavailable(error)) throw error
      }
    }
    if (!session || !mayOperate(principal, session.siteId)) throw notFound('session')
    if (session.closed) throw conflict('session-over', 'The session is over already.', 'Nothing more to do.')
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

  async #write(session: LiveSession, caller: Caller, action: string, reason: string | null): Promise<void> {
    await this.#sessions.deps.audit.recordAlways({
      action,
      ...by(caller),
      object: { kind: 'session', id: session.id },
      reason,
      correlation: correlationOf(session),
    })
  }
}

export function mayOperate(principal: Principal, siteId: string): boolean {
  return holds(principal, siteId, 'operator', 'approver')
}

/** Held open at its end, waiting for an operator's yes: it keeps the reason for which it ends. */
function endsByItself(session: LiveSession): boolean {
  return session.state === 'held' && session.holdEndsAt !== null && session.ordered !== null
}
