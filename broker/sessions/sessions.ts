import { BROKER } from '../audit/event.ts'
import { IntegrityError } from '../audit/integrity.ts'
import type { AccessFacts, Decision, DenialReason } from '../domain/access-facts.ts'
import { hashOf, sha256 } from '../domain/canonical.ts'
import { conflict, Failure } from '../domain/failure.ts'
import type { Grant, SessionTicket } from '../domain/grant.ts'
import { newId } from '../domain/ids.ts'
import type { ApprovedRequest, RuntimeFacts } from '../domain/ports.ts'
import { holds, type Principal } from '../domain/principal.ts'
import { isFresh, stepUpRequired } from '../http/access.ts'
import { by } from '../identity/actor.ts'
import type { Admission } from '../link/browser-upgrade.ts'
import { decideAccess } from '../policy/decide-access.ts'
import { type Tx, unavailable, uniqueViolation } from '../store/sql.ts'
import { spendReady } from './console-ready.ts'
import type { SessionsDeps, Target } from './deps.ts'
import { browserHoldSeconds, type LiveSession, LiveSessions } from './live-sessions.ts'
import {
  readSession,
  runningSerials,
  runningSessions,
  type SessionRow,
  type StoredView,
} from './session-rows.ts'
import { readGrant, readTicket, signGrant, signLease, signTicket } from './tokens.ts'

/** The gateway answers `open` as soon as its recorder is ready; it dials the asset only when the browser is there. */
const OPEN_MS = 10_000
export const RENEW_MS = 20_000

export interface Caller {
  principal: Principal
  sourceAddress: string
}

export interface Opening {
  sessionId: string
  socket: string
  ticket: string
}

/** Opening, attaching and watching; and the memory of what runs. */
export class Sessions {
  readonly deps: SessionsDeps
  readonly live = new LiveSessions()

  constructor(deps: SessionsDeps) {
    this.deps = deps
  }

  /** Takes over what ran when this broker started: the gateways say what of it still does. */
  async adopt(): Promise<void> {
    for (const row of await runningSessions(this.deps.db.sql)) await this.#known(row)
  }

  /**
   * What other brokers did: sessions that they opened are renewed here too (they may be gone tomorrow), grants that
   * they prolonged are the ones in force, and what they saw closed is closed.
   */
  async refresh(): Promise<void> {
    const { sql } = this.deps.db
    const running = new Map((await runningSerials(sql)).map(({ id, serial }) => [id, serial]))
    for (const session of this.live.running()) {
      const serial = running.get(session.id)
      running.delete(session.id)
      if (serial === session.grant.serial) continue
      const row = await readSession(sql, session.id)
      if (row?.state === 'closed') this.live.drop(session.id)
      else if (row) {
        const grant = await this.#grantOf(row)
        if (grant && grant.serial > session.grant.serial) session.grant = grant
      }
    }
    for (const id of running.keys()) {
      const row = this.live.get(id) ? null : await readSession(sql, id)
      if (row && row.state !== 'closed') await this.#known(row)
    }
  }

  /** A stored session as one that runs here; null when its row does not say what its grant says. */
  async #known(row: SessionRow): Promise<LiveSession | null> {
    const grant = await this.#grantOf(row)
    if (!grant) return null
    const { stop } = await this.deps.audit.orders(this.deps.db.sql, grant.person.id, grant.endpoint)
    const stopped = stop?.correlation.session === row.id ? (stop.actor.name ?? 'An operator') : null
    return this.#remember(row, grant, stopped)
  }

  /** The grant behind a row: signed by a broker, and for exactly what the row says. Otherwise an alarm, and null. */
  async #grantOf(row: SessionRow): Promise<Grant | null> {
    const { key, formerKeys = [], audit } = this.deps
    const grant = readGrant([key, ...formerKeys], row.grantJws)
    if (grant && isOf(grant, row)) return grant
    await audit.alarm(
      new IntegrityError(
        'row-not-vouched-for',
        `session ${row.id}`,
        `The row of session ${row.id} does not hold the grant that a broker signed for it. It does not count.`,
      ),
    )
    return null
  }

  #remember(row: SessionRow, grant: Grant, stopped: string | null): LiveSession {
    const known = this.live.get(row.id)
    if (known) return known
    const session = this.#session(row, grant, stopped)
    this.live.add(session)
    return session
  }

  #session(row: SessionRow, grant: Grant, stopped: string | null): LiveSession {
    const { endedAt, end } = row
    return {
      id: row.id,
      requestId: row.requestId,
      recordingId: row.recordingId,
      gatewayId: row.gatewayId,
      siteId: row.siteId,
      assetId: row.assetId,
      endpointId: row.endpointId,
      personId: row.personId,
      signInId: row.signInId,
      vendorId: row.vendorId,
      openedAt: row.openedAt.getTime(),
      zone: row.view.asset.zone,
      grant,
      state: row.state,
      inputFrozen: row.inputFrozen,
      cause: row.cause,
      by: row.by,
      liveAt: row.liveAt?.getTime() ?? null,
      holdEndsAt: row.holdEndsAt?.getTime() ?? null,
      watchers: new Map(row.watchers.map((one) => [one.id, one.name])),
      ordered: null,
      stopped,
      decideAt: this.deps.clock.monotonic(),
      deciding: false,
      lostAt: this.deps.link.online(row.gatewayId) ? null : this.deps.clock.monotonic(),
      closed: endedAt &&
        end && {
          end,
          message: row.endMessage ?? '',
          by: row.endedBy,
          closedAfterMs: row.closedAfterMs,
          at: endedAt.getTime(),
        },
    }
  }

  /** From memory, or from the row when another broker opened it. Null when there is none that runs. */
  async find(id: string): Promise<LiveSession | null> {
    const known = this.live.get(id)
    if (known) return known.closed ? null : known
    const row = await readSession(this.deps.db.sql, id)
    return row && row.state !== 'closed' ? await this.#known(row) : null
  }

  /** The same, and also one that is over, as its row has it. Null when there is none. */
  async findOver(id: string): Promise<LiveSession | null> {
    const known = this.live.get(id)
    if (known) return known
    const row = await readSession(this.deps.db.sql, id)
    if (row?.state !== 'closed') return row && (await this.#known(row))
    const grant = await this.#grantOf(row)
    return grant && this.#session(row, grant, null)
  }

  async runtime(
    gatewayId: string | null,
    endpointId: string | null,
    authenticatedAt: number | null,
  ): Promise<RuntimeFacts> {
    const { link, clocks, db } = this.deps
    const archive = await this.deps.storage()
    const health = gatewayId === null ? null : link.health(gatewayId)?.health
    const [busy] =
      endpointId === null
        ? []
        : await db.sql<{ id: string }[]>`
            SELECT id FROM session WHERE endpoint_id = ${endpointId} AND state <> 'closed' LIMIT 1`
    return {
      gatewayOnline: gatewayId !== null && link.online(gatewayId),
      endpointBusyWith: busy?.id ?? null,
      clock: clocks.view(gatewayId ?? undefined).state,
      storageBelowReserve:
        (health !== null && health !== undefined && health.freeBytes < health.reserveBytes) ||
        archive === null ||
        archive.freeBytes < archive.reserveBytes,
      restoreUnconfirmed: (await this.deps.restore.unconfirmed()) !== null,
      authenticatedAt,
    }
  }

  /**
   * Opens the session of an approved request. Throws Failure `access-denied` (403) with every reason, `endpoint-busy`
   * (409), `gateway-refused` or `gateway-silent` (502, 504).
   */
  async open(
    caller: Caller,
    requestId: string,
    place: { endpointId: string; gatewayId: string | null },
  ): Promise<Opening> {
    const { deps } = this
    const { principal } = caller
    if (this.live.full)
      throw new Failure(
        503,
        'too-many-sessions',
        'This broker runs as many sessions as it can.',
        'Try again later.',
      )
    const runtime = await this.runtime(place.gatewayId, place.endpointId, principal.authenticatedAt)
    const facts = await deps.access.facts({
      requestId,
      personId: principal.personId,
      purpose: 'open',
      sessionId: null,
      runtime,
    })
    const now = deps.clock.wall()
    const decision = decideAccess(facts, now)
    if (!decision.permit) throw await this.#denied(caller, requestId, facts, decision.reasons)
    const approved = await deps.access.approved(requestId)
    const target = await deps.target(approved.snapshot.endpoint)
    if (!target || target.gatewayId !== facts.gateway?.id)
      throw await this.#denied(caller, requestId, facts, [{ code: 'gateway-missing' }])
    // An administrator who edits the address just now must not move what was approved to another machine.
    if (hashOf(target.named) !== hashOf(approved.address))
      throw await this.#denied(caller, requestId, facts, [{ code: 'request-changed', fields: ['address'] }])
    const grant = this.#grant(facts, decision, approved, target, now)
    if (grant.exp <= grant.iat)
      throw await this.#denied(caller, requestId, facts, [{ code: 'window-over', closedAt: decision.until }])

    const jws = await signGrant(deps.key, grant)
    const row = await this.#insert(caller, grant, jws, facts, approved, target, now)
    const live = this.#remember(row, grant, null)
    live.decideAt = deps.clock.monotonic() + RENEW_MS
    await this.#tellGateway(live, jws)
    // What was lost between the decision and here told nobody yet: this session was not among the running ones.
    live.decideAt = Number.NEGATIVE_INFINITY
    deps.audit.checkpoint().catch((error) => this.#quiet(error))
    deps.hints.publish('sessions')
    deps.hints.publish('requests')
    return this.#opening(live, caller.principal, 'open')
  }

  /** Whether this ticket opens this session's socket to this person: the ticket is read, the object checked. */
  async admit(principal: Principal, session: string, jws: string): Promise<Admission> {
    const { key, clock } = this.deps
    const ticket = await readTicket(key, jws, clock.wall())
    if (!ticket || ticket.session !== session || ticket.person !== principal.personId)
      return { status: 403, code: 'ticket-refused' }
    const live = await this.find(session)
    const may =
      ticket.use === 'watch'
        ? live && holds(principal, live.siteId, 'operator', 'approver')
        : live?.personId === principal.personId
    if (!live || !may) return { status: 404, code: 'not-found' }
    return ticket.gateway === live.gatewayId
      ? { gateway: live.gatewayId }
      : { status: 403, code: 'ticket-refused' }
  }

  /**
   * Back to a running session. The sign-in that opened it was strong then; any other must be so now, or a cookie stolen
   * earlier would take the session over (threat 1).
   */
  async attach(live: LiveSession, principal: Principal): Promise<Opening> {
    if (live.signInId !== principal.signInId && !isFresh(principal, this.deps.clock)) throw stepUpRequired()
    return this.#opening(live, principal, 'attach')
  }

  async watch(live: LiveSession, caller: Caller): Promise<Opening> {
    await this.deps.audit.record(this.deps.db.sql, {
      action: 'session.watch',
      ...by(caller),
      object: { kind: 'session', id: live.id },
      correlation: correlationOf(live),
    })
    return this.#opening(live, caller.principal, 'watch')
  }

  /** Closes a session that its gateway never had, or that is gone with it. */
  async close(
    live: LiveSession,
    end: 'open-failed' | 'gateway-stopped' | 'lease-lost',
    message: string,
  ): Promise<void> {
    const { deps } = this
    const now = deps.clock.wall()
    live.closed = { end, message, by: 'broker', closedAfterMs: null, at: now }
    live.state = 'closed'
    await deps.db.tx(async (tx) => {
      const closed = await tx`
        UPDATE session SET state = 'closed', ended_at = ${new Date(now)}, end_code = ${end}, end_message = ${message},
          ended_by = 'broker', input_frozen = true, watchers = '[]', hold_ends_at = NULL
        WHERE id = ${live.id} AND state <> 'closed' RETURNING id`
      if (closed.length === 0) return
      await deps.audit.record(tx, {
        action: 'session.end',
        actor: BROKER,
        object: { kind: 'session', id: live.id },
        result: 'failed',
        reason: message,
        correlation: correlationOf(live),
        details: { end, presumed: true },
      })
    })
    deps.sockets.close((socket) => socket.session === live.id)
    deps.hints.publish('sessions')
  }

  async #opening(live: LiveSession, principal: Principal, use: SessionTicket['use']): Promise<Opening> {
    const ticket = await signTicket(
      this.deps.key,
      {
        session: live.id,
        gateway: live.gatewayId,
        person: principal.personId,
        personName: principal.name,
        use,
      },
      this.deps.clock.wall(),
    )
    return { sessionId: live.id, socket: `/ws/sessions/${live.id}`, ticket }
  }

  #grant(
    facts: AccessFacts,
    decision: Decision & { permit: true },
    approved: ApprovedRequest,
    target: Target,
    now: number,
  ): Grant {
    const { snapshot } = approved
    const { obligations } = decision
    return {
      v: 1,
      jti: newId(now),
      serial: 1,
      iat: Math.floor(now / 1000),
      exp: Math.floor(decision.until / 1000),
      deployment: this.deps.deployment,
      session: newId(now),
      recording: newId(now),
      gateway: target.gatewayId,
      site: { id: facts.site.id, name: facts.site.name, timeZone: facts.site.timeZone },
      asset: {
        id: facts.asset.id,
        name: facts.asset.name,
        criticality: facts.asset.criticality,
        hash: snapshot.asset.hash,
      },
      endpoint: facts.endpoint.id,
      protocol: facts.endpoint.protocol,
      address: target.address,
      identities: facts.endpoint.identities.map(({ algorithm, fingerprint }) => ({ algorithm, fingerprint })),
      ...(facts.endpoint.vnc === null ? {} : { vnc: facts.endpoint.vnc }),
      ...(facts.endpoint.rdp === null ? {} : { rdp: facts.endpoint.rdp }),
      account: snapshot.account,
      // Both have been cut down by the approvals; what only one of them allows is not allowed.
      features: obligations.features.filter((feature) => approved.features.includes(feature)),
      viewOnly: obligations.viewOnly || approved.viewOnly,
      person: {
        id: facts.person.id,
        pseudonym: this.deps.pseudonym(facts.person.id),
        name: facts.person.name,
        company: facts.vendor?.name ?? '',
      },
      request: {
        id: snapshot.request.id,
        version: snapshot.request.version,
        ticketKey: snapshot.ticket.key,
        purpose: snapshot.purpose,
      },
      snapshotHash: approved.snapshotHash,
      approvals: approved.approvals,
      policyHash: hashOf(facts.policy),
      ending: {
        ...obligations.ending,
        inputDuringGrace: obligations.ending.inputDuringGrace && approved.inputDuringGrace,
      },
      idleSeconds: obligations.idleSeconds,
      browserHoldSeconds: browserHoldSeconds(facts.asset.criticality),
      recordingKeys: this.deps.recordingKeys,
    }
  }

  async #insert(
    caller: Caller,
    grant: Grant,
    jws: string,
    facts: AccessFacts,
    approved: ApprovedRequest,
    target: Target,
    now: number,
  ): Promise<SessionRow> {
    const { db, audit } = this.deps
    const view: StoredView = {
      asset: {
        id: grant.asset.id,
        name: grant.asset.name,
        criticality: grant.asset.criticality,
        site: grant.site,
        zone: target.zone,
      },
      person: { id: grant.person.id, name: grant.person.name, company: grant.person.company },
      features: grant.features,
      purpose: grant.request.purpose,
    }
    const searchable = [
      view.asset.name,
      view.asset.site.name,
      view.person.name,
      view.person.company,
      grant.account,
      grant.request.ticketKey,
      grant.request.purpose,
    ]
      .join('\n')
      .toLowerCase()
    try {
      return await db.tx(async (tx) => {
        await tx`
          INSERT INTO session (id, request_id, request_version, recording_id, grant_id, grant_serial, grant_jws, facts,
            gateway_id, site_id, asset_id, endpoint_id, person_id, vendor_id, protocol, account, view, searchable,
            ticket_key, state, permit_ends_at, opened_at, sign_in_id)
          VALUES (${grant.session}, ${grant.request.id}, ${grant.request.version}, ${grant.recording}, ${grant.jti},
            ${grant.serial}, ${jws}, ${json(tx, facts)}, ${grant.gateway}, ${grant.site.id}, ${grant.asset.id},
            ${grant.endpoint}, ${grant.person.id}, ${caller.principal.vendorId}, ${grant.protocol}, ${grant.account},
            ${json(tx, view)}, ${searchable}, ${grant.request.ticketKey}, 'opening', ${new Date(grant.exp * 1000)},
            ${new Date(now)}, ${caller.principal.signInId})`
        if (facts.asset.operatorsUseConsole && facts.ready)
          await spendReady(this.deps, tx, caller, facts.ready.id, grant.session)
        await tx`INSERT INTO session_grant (session_id, serial, jws) VALUES (${grant.session}, ${grant.serial}, ${jws})`
        await audit.record(tx, {
          action: 'session.start',
          ...by(caller),
          object: { kind: 'session', id: grant.session },
          correlation: correlationOfGrant(grant),
          details: {
            grant: sha256(jws).toString('hex'),
            serial: grant.serial,
            until: new Date(grant.exp * 1000).toISOString(),
            facts: hashOf(facts),
            snapshot: approved.snapshotHash,
            approvals: approved.approvals,
            asset: grant.asset.name,
            account: grant.account,
            gateway: grant.gateway,
          },
        })
        const row = await readSession(tx, grant.session)
        if (!row) throw new Error('the session row is not there')
        return row
      })
    } catch (error) {
      if (uniqueViolation(error) === 'one_live_session_per_endpoint')
        throw conflict(
          'endpoint-busy',
          'Somebody else is in a session on this endpoint.',
          'Wait until it is over; the page shows when the endpoint is free.',
        )
      throw error
    }
  }

  async #tellGateway(live: LiveSession, grantJws: string): Promise<void> {
    const { link, key, clock } = this.deps
    const lease = await signLease(key, live.grant, clock.wall())
    if (live.stopped !== null) {
      await this.close(live, 'open-failed', 'An operator stopped the session before it opened.')
      throw stoppedMeanwhile()
    }
    const answer = await link.control(live.gatewayId)?.ask({ type: 'open', grant: grantJws, lease }, OPEN_MS)
    if (answer?.ok) {
      if (live.stopped === null) return
      // The gateway did not know the session yet when the stop came: it is ordered again at once.
      live.decideAt = Number.NEGATIVE_INFINITY
      throw stoppedMeanwhile()
    }
    const code = answer ? (answer.code ?? 'refused') : 'no-answer'
    // It may have opened all the same, after the time-out: nothing may be left running.
    if (!answer) {
      void link.control(live.gatewayId)?.ask(
        {
          type: 'command',
          session: live.id,
          command: 'stop',
          end: 'open-failed',
          by: 'broker',
          cause: 'The gateway answered too late.',
        },
        OPEN_MS,
      )
    }
    await this.close(live, 'open-failed', `The gateway did not open the session (${code}).`)
    throw new Failure(
      answer ? 502 : 504,
      answer ? 'gateway-refused' : 'gateway-silent',
      answer ? `The gateway refused the session (${code}).` : 'The gateway did not answer in time.',
      'Try again; if it stays, tell the site’s operators.',
    )
  }

  async #denied(
    caller: Caller,
    requestId: string,
    facts: AccessFacts,
    reasons: DenialReason[],
  ): Promise<Failure> {
    await this.deps.audit.record(this.deps.db.sql, {
      action: 'session.denied',
      ...by(caller),
      object: { kind: 'request', id: requestId },
      result: 'denied',
      reason: reasons.map((reason) => reason.code).join(', '),
      correlation: { request: requestId, ticket: facts.ticket?.key ?? null },
      details: { reasons: reasons.map((reason) => reason.code), facts: hashOf(facts) },
    })
    return new Failure(
      403,
      'access-denied',
      'This session may not open now.',
      'See what is missing, below; each line says who can give it.',
      reasons,
    )
  }

  #quiet(error: unknown): void {
    if (!unavailable(error) && !(error instanceof IntegrityError)) this.deps.failed(error)
  }
}

function stoppedMeanwhile(): Failure {
  return conflict('operator-stopped', 'An operator stopped the session.', 'Call the control room.')
}

export function correlationOf(live: LiveSession) {
  return correlationOfGrant(live.grant)
}

function correlationOfGrant(grant: Grant) {
  return {
    request: grant.request.id,
    grant: grant.jti,
    session: grant.session,
    recording: grant.recording,
    ticket: grant.request.ticketKey,
  }
}

/** Whether a row names what its grant names: the row is what everybody else reads. */
export function isOf(grant: Grant, row: SessionRow): boolean {
  return (
    grant.session === row.id &&
    grant.jti === row.grantId &&
    grant.recording === row.recordingId &&
    grant.request.id === row.requestId &&
    grant.gateway === row.gatewayId &&
    grant.site.id === row.siteId &&
    grant.asset.id === row.assetId &&
    grant.endpoint === row.endpointId &&
    grant.account === row.account &&
    grant.person.id === row.personId
  )
}

/** The payload of a JWS that this broker signed and stored; what a gateway acts on it verifies itself. */
export function payloadOf(jws: string): Grant {
  return JSON.parse(Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString('utf8')) as Grant
}

/** Plain data as a jsonb parameter. */
export function json(tx: Tx, value: object) {
  return tx.json(JSON.parse(JSON.stringify(value)))
}
