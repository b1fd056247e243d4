import { BROKER } from '../audit/event.ts'
import { IntegrityError } from '../audit/integrity.ts'
import type { AccessFacts, DenialReason, Permit } from '../domain/access-facts.ts'
import { hashOf, sha256 } from '../domain/canonical.ts'
import type { Timer } from '../domain/clock.ts'
import type { Grant } from '../domain/grant.ts'
import { decideAccess } from '../policy/decide-access.ts'
import { unavailable } from '../store/sql.ts'
import { causeOf, endingOf } from './ending-of.ts'
import type { LiveSession } from './live-sessions.ts'
import { correlationOf, json, RENEW_MS, type Sessions } from './sessions.ts'
import { signGrant, signLease } from './tokens.ts'

const TICK_MS = 1_000
/** Decisions at the same time; each is a handful of queries. */
const AT_ONCE = 6
/** How often this broker looks at what other brokers did. */
const REFRESH_MS = 5_000
/** A command waits for so long for the gateway's word that it has taken effect. */
const COMMAND_MS = 5_000
/** After a gateway is gone: lease, longest safe ending, and some air. */
const GONE_AFTER_MS = 60_000 + 30 * 60_000 + 60_000

/**
 * Decides every running session afresh, each at least every 20 s and at once when something changed, and renews its
 * lease or orders its end. No renewal means an end within a minute, whatever else fails.
 */
export class Renewals {
  readonly #sessions: Sessions
  #timer: Timer | null = null
  #stopped = false
  #running = 0
  #refreshAt = 0
  #steady = { wall: Number.NEGATIVE_INFINITY, monotonic: 0 }

  constructor(sessions: Sessions) {
    this.#sessions = sessions
  }

  start(): void {
    this.#sessions.deps.access.onChange((requestIds) => {
      const changed = new Set(requestIds)
      this.soon((session) => changed.has(session.requestId))
    })
    this.#arm()
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  /** Decides these sessions in the next moment rather than in their turn. */
  soon(which: (session: LiveSession) => boolean): void {
    for (const session of this.#sessions.live.of(which)) session.decideAt = Number.NEGATIVE_INFINITY
    this.tick()
  }

  /** One round: takes what is due, the longest waiting first. */
  tick(): void {
    const { live, deps } = this.#sessions
    const now = deps.clock.monotonic()
    const due = live
      .of((session) => !session.deciding && session.lostAt === null && session.decideAt <= now)
      .sort((a, b) => a.decideAt - b.decideAt)
    for (const session of due) {
      if (this.#running >= AT_ONCE) break
      this.#running += 1
      session.deciding = true
      session.decideAt = now + RENEW_MS
      this.decide(session)
        .catch((error) => {
          if (!unavailable(error)) deps.failed(error)
        })
        .finally(() => {
          session.deciding = false
          this.#running -= 1
        })
    }
    this.#steadyNow()
    live.forgetClosed(deps.clock.wall())
    this.#sweep(now)
    if (now >= this.#refreshAt) {
      this.#refreshAt = now + REFRESH_MS
      this.#sessions.refresh().catch((error) => {
        if (!unavailable(error)) deps.failed(error)
      })
    }
  }

  /** One decision from stored facts, and what follows from it. */
  async decide(session: LiveSession): Promise<void> {
    const { deps } = this.#sessions
    // Still there: the order was lost, with its answer or before.
    if (session.stopped !== null) {
      await this.order(session, 'stop', 'operator-stopped', '', session.stopped)
      return
    }
    let facts: AccessFacts
    try {
      facts = await deps.access.facts({
        requestId: session.requestId,
        personId: session.personId,
        purpose: 'renew',
        sessionId: session.id,
        runtime: await this.#sessions.runtime(session.gatewayId, null, null),
      })
    } catch (error) {
      // While the database is down the session goes on from memory, to the end of what was granted and no further.
      if (unavailable(error)) return await this.#lease(session, null)
      if (error instanceof IntegrityError)
        return await this.#end(session, [{ code: 'row-not-vouched', object: error.subject, id: error.code }])
      throw error
    }
    if (session.closed || session.stopped !== null) return
    const decision = decideAccess(facts, this.#steadyNow())
    if (decision.permit) await this.#renew(session, decision, facts)
    else await this.#end(session, decision.reasons)
  }

  async #renew(session: LiveSession, permit: Permit, facts: AccessFacts): Promise<void> {
    session.ordered = null
    const exp = Math.floor(permit.until / 1000)
    if (exp === session.grant.exp) return await this.#lease(session, null)
    const { deps } = this.#sessions
    const now = this.#steadyNow()
    const grant: Grant = {
      ...session.grant,
      serial: session.grant.serial + 1,
      iat: Math.floor(now / 1000),
      exp,
      // The facts hold every assertion verified afresh; an extension's approvals are among those that carry the permit.
      approvals: [...new Set([...session.grant.approvals, ...permit.obligations.approvals])],
    }
    if (grant.exp <= grant.iat) return
    const jws = await signGrant(deps.key, grant)
    await deps.db.tx(async (tx) => {
      const changed = await tx`
        UPDATE session SET grant_jws = ${jws}, grant_serial = ${grant.serial}, facts = ${json(tx, facts)},
          permit_ends_at = ${new Date(exp * 1000)}
        WHERE id = ${session.id} AND state <> 'closed' AND grant_serial < ${grant.serial} RETURNING id`
      if (changed.length === 0) return
      await tx`INSERT INTO session_grant (session_id, serial, jws) VALUES (${session.id}, ${grant.serial}, ${jws})`
      await deps.audit.record(tx, {
        action: 'session.extend',
        actor: BROKER,
        object: { kind: 'session', id: session.id },
        correlation: correlationOf(session),
        reason: permit.endsBecause,
        details: {
          grant: sha256(jws).toString('hex'),
          serial: grant.serial,
          until: new Date(exp * 1000).toISOString(),
          before: new Date(session.grant.exp * 1000).toISOString(),
          facts: hashOf(facts),
        },
      })
    })
    session.grant = grant
    await this.#lease(session, jws)
    deps.hints.publish('sessions')
  }

  /**
   * The wall clock, never running backwards: a clock that is set back ends no running session (its window would seem not
   * to have opened, its lease to have run out) and gives none more time either.
   */
  #steadyNow(): number {
    const { clock } = this.#sessions.deps
    const monotonic = clock.monotonic()
    const wall = Math.max(clock.wall(), this.#steady.wall + (monotonic - this.#steady.monotonic))
    this.#steady = { wall, monotonic }
    return wall
  }

  async #lease(session: LiveSession, grantJws: string | null): Promise<void> {
    const { deps } = this.#sessions
    const now = this.#steadyNow()
    if (session.closed || session.stopped !== null || now >= session.grant.exp * 1000) return
    const lease = await signLease(deps.key, session.grant, now)
    deps.link.control(session.gatewayId)?.send({ type: 'lease', session: session.id, lease, grant: grantJws })
  }

  async #end(session: LiveSession, reasons: DenialReason[]): Promise<void> {
    const { deps } = this.#sessions
    const order = endingOf(reasons)
    // Ordered already; the gateway holds it open by its class and the lease runs out meanwhile.
    if (session.ordered === order.end) return
    session.ordered = order.end
    await this.order(session, order.command, order.end, causeOf(order.end))
    await deps.audit.recordAlways({
      action: 'session.end-ordered',
      actor: BROKER,
      object: { kind: 'session', id: session.id },
      reason: causeOf(order.end),
      correlation: correlationOf(session),
      details: { end: order.end, command: order.command, reasons: reasons.map((reason) => reason.code) },
    })
  }

  /** Sends the order; a revoked person's browser sockets are closed here too, whatever the gateway does. */
  async order(
    session: LiveSession,
    command: 'stop' | 'revoke' | 'end',
    end: LiveSession['ordered'] & string,
    cause: string,
    by = 'policy',
  ): Promise<void> {
    const { deps } = this.#sessions
    const done = deps.link
      .control(session.gatewayId)
      ?.ask({ type: 'command', session: session.id, command, end, by, cause }, COMMAND_MS)
    if (command === 'revoke')
      deps.sockets.close((socket) => socket.session === session.id && socket.person === session.personId)
    const answer = await done
    // Out of reach or failed: asked again in the next round, and without a lease it ends by itself.
    if (!answer?.ok && !session.closed) session.ordered = null
  }

  /** Sessions whose gateway has been gone for longer than any of its rules could keep them. */
  #sweep(now: number): void {
    for (const session of this.#sessions.live.running()) {
      if (session.lostAt === null || now - session.lostAt < GONE_AFTER_MS) continue
      this.#sessions
        .close(
          session,
          'lease-lost',
          'The gateway has been out of reach for longer than the session could go on.',
        )
        .catch((error) => {
          if (!unavailable(error)) this.#sessions.deps.failed(error)
        })
    }
  }

  #arm(): void {
    if (this.#stopped) return
    this.#timer = this.#sessions.deps.clock.after(TICK_MS, () => {
      this.tick()
      this.#arm()
    })
  }
}
