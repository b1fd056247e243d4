import { clearAlarm, openAlarm } from '../audit/alarms.ts'
import { type AuditEvent, BROKER } from '../audit/event.ts'
import type { GatewayEvent } from '../contract/link.ts'
import type { CredentialAsk, Hello } from '../link/control.ts'
import type { GatewayRow } from '../link/gateway-rows.ts'
import { type CredentialAnswer, gatewayActor, type LinkHooks } from '../link/link.ts'
import { CREDENTIAL_SECONDS, sealCredential } from '../link/seal-credential.ts'
import { type Tx, unavailable } from '../store/sql.ts'

import { openProblem } from './gateway-problems.ts'
import type { LiveSession } from './live-sessions.ts'
import type { Renewals } from './renewals.ts'
import { readSession, type SessionRow } from './session-rows.ts'
import { isOf, payloadOf, type Sessions } from './sessions.ts'
import { readGrant } from './tokens.ts'

/** A gateway that has restarted gets so long to report how its sessions ended, before that is presumed. */
const REPORT_MS = 60_000
/** The asset is dialled only when the browser is there, so its credential is asked for within this of the opening. */
const CREDENTIAL_WINDOW_MS = 120_000
/** A younger session may still be on its way to the gateway. */
const OPENING_MS = 15_000
const BYTES_LIMIT = Number.MAX_SAFE_INTEGER

/**
 * Completeness goes by a session's end. A gateway that was taken over must not put it into the future, nor say that
 * the broker presumed it: its recording would never be missed (threat 9).
 */
const notLater = (event: { at: number }, now: Date) => new Date(Math.min(event.at, now.getTime()))
const endedBy = (event: { by: string | null }) => (event.by === BROKER.id ? 'gateway' : event.by)

/** What the sessions room does with what gateways say. */
export class GatewayEvents implements LinkHooks {
  readonly #sessions: Sessions
  readonly #renewals: Renewals

  constructor(sessions: Sessions, renewals: Renewals) {
    this.#sessions = sessions
    this.#renewals = renewals
  }

  hello(gateway: GatewayRow, hello: Hello): void {
    this.#reconcile(gateway, hello).catch((error) => this.#quiet(error))
    this.#sessions.deps.hints.publish('sessions')
  }

  lost(gateway: GatewayRow): void {
    const { live, deps } = this.#sessions
    for (const session of live.of((one) => one.gatewayId === gateway.id)) {
      session.lostAt = deps.clock.monotonic()
      session.ordered = null
    }
    deps.hints.publish('sessions')
  }

  seen(gateway: GatewayRow, event: GatewayEvent): void {
    const { live, deps } = this.#sessions
    if (event.kind === 'warning') deps.hints.publish('extensions')
    const session = 'session' in event && event.session !== null ? live.get(event.session) : undefined
    if (!session || session.gatewayId !== gateway.id || session.closed) return
    switch (event.kind) {
      case 'session-state':
        session.state = event.state
        session.inputFrozen = event.inputFrozen
        session.cause = event.cause
        session.by = event.by
        session.holdEndsAt =
          event.state === 'held' && event.remainingMs !== null ? deps.clock.wall() + event.remainingMs : null
        break
      case 'session-live':
        session.liveAt = Math.min(event.at, deps.clock.wall())
        break
      case 'session-closed':
        session.state = 'closed'
        session.inputFrozen = true
        session.closed = {
          end: event.end,
          message: event.message,
          by: endedBy(event),
          closedAfterMs: event.closedAfterMs,
          at: deps.clock.wall(),
        }
        break
      case 'watcher':
        if (event.joined) session.watchers.set(event.person, event.name)
        else session.watchers.delete(event.person)
        break
      default:
        return
    }
    deps.hints.publish('sessions')
  }

  async commit(tx: Tx, gateway: GatewayRow, event: GatewayEvent): Promise<void> {
    const { deps } = this.#sessions
    const now = new Date(deps.clock.wall())
    const id = 'session' in event ? event.session : null
    const row = id === null ? null : await readSession(tx, id, true)
    if (id !== null && row?.gatewayId !== gateway.id) {
      // A gateway speaks for its own sessions only (threat 9).
      await deps.audit.record(tx, {
        action: 'gateway.out-of-place',
        actor: gatewayActor(gateway),
        object: { kind: 'session', id },
        result: 'denied',
        details: { kind: event.kind },
      })
      return
    }
    if (row) await this.#change(tx, row, event, now)
    else if (event.kind === 'storage') await this.#storage(tx, gateway, event)
    if (event.kind === 'gateway-problem') await openProblem(tx, gateway, event)
    await deps.audit.record(tx, this.#entry(gateway, row, event))
    if (event.kind === 'session-closed') {
      deps.audit.checkpoint().catch((error) => this.#quiet(error))
      deps.hints.publish('requests')
    }
    deps.hints.publish(event.kind === 'storage' || event.kind === 'gateway-problem' ? 'alarms' : 'sessions')
  }

  /** One sealed credential for one grant, to the one gateway it was written for, while that session opens. */
  async credential(gateway: GatewayRow, ask: CredentialAsk): Promise<CredentialAnswer> {
    const { deps } = this.#sessions
    const now = deps.clock.wall()
    const { sealKey } = gateway
    if (!sealKey) return { refused: 'no-seal-key' }
    return await deps.db.tx(async (tx) => {
      const row = await readSession(tx, ask.session, true)
      // The row chooses whose password leaves the vault: only as the signed grant says.
      const grant = row ? readGrant([deps.key, ...(deps.formerKeys ?? [])], row.grantJws) : null
      const refuse = async (code: string): Promise<CredentialAnswer> => {
        await deps.audit.record(tx, {
          action: 'credential.refused',
          actor: gatewayActor(gateway),
          object: { kind: 'session', id: ask.session },
          result: 'denied',
          reason: code,
          ...(row ? { correlation: { session: row.id, grant: row.grantId } } : {}),
        })
        return { refused: code }
      }
      if (!row || !grant || row.gatewayId !== gateway.id || row.grantId !== ask.grant)
        return refuse('not-yours')
      if (!isOf(grant, row)) return refuse('row-not-vouched')
      if (row.state === 'closed' || now >= grant.exp * 1000) return refuse('over')
      if (now - row.openedAt.getTime() > CREDENTIAL_WINDOW_MS) return refuse('too-late')
      const taken = await tx`
        UPDATE session SET credential_fetched_at = ${new Date(now)}
        WHERE id = ${row.id} AND credential_fetched_at IS NULL RETURNING id`
      if (taken.length === 0) return refuse('fetched-already')
      const opened = await deps.credential(tx, row.endpointId, row.account)
      if (!opened) return refuse('no-credential')
      const about = {
        grant: row.grantId,
        gateway: gateway.id,
        session: row.id,
        exp: Math.floor(now / 1000) + CREDENTIAL_SECONDS,
        account: row.account,
      }
      const jwe = await sealCredential(
        opened.kind === 'password'
          ? { kind: 'password', ...about, password: opened.password.reveal() }
          : {
              kind: 'private-key',
              ...about,
              privateKey: opened.privateKey.reveal(),
              passphrase: opened.passphrase?.reveal() ?? null,
            },
        sealKey,
      )
      await deps.audit.record(tx, {
        action: 'credential.handed-out',
        actor: gatewayActor(gateway),
        object: { kind: 'endpoint', id: row.endpointId },
        correlation: { session: row.id, grant: row.grantId, request: row.requestId },
        details: { account: row.account, kind: opened.kind, sealedTo: sealKey.kid },
      })
      return { jwe }
    }, 'repeatable read')
  }

  async ownsRecording(gateway: string, recording: string): Promise<boolean> {
    const rows = await this.#sessions.deps.db.sql`
      SELECT 1 FROM session WHERE recording_id = ${recording} AND gateway_id = ${gateway}`
    return rows.length > 0
  }

  async manifestArrived(gateway: string, recording: string, jws: string): Promise<void> {
    const { deps } = this.#sessions
    // The sink has verified it; only one word of it is wanted here.
    const { ended } = payloadOf(jws) as unknown as { ended?: unknown }
    await deps.db.tx(async (tx) => {
      const [row] = await tx<{ id: string }[]>`
        UPDATE session SET manifest_at = ${new Date(deps.clock.wall())},
          manifest_ended = ${ended === 'recovered' ? 'recovered' : 'clean'}
        WHERE recording_id = ${recording} AND gateway_id = ${gateway} RETURNING id`
      if (row) await clearAlarm(tx, 'manifest-missing', `session ${row.id}`, 'The manifest has arrived.')
    })
    deps.hints.publish('sessions')
  }

  /** After a (re)connection: sessions that run there are ours again, those that do not are over. */
  async #reconcile(gateway: GatewayRow, hello: Hello): Promise<void> {
    const sessions = this.#sessions
    const { deps } = sessions
    const there = new Map(hello.sessions.map((one) => [one.session, one]))
    for (const one of hello.sessions) {
      let session: LiveSession | null
      try {
        session = await sessions.find(one.session)
      } catch (error) {
        // The database is down and this broker never knew it: without a lease it ends by itself.
        if (unavailable(error)) continue
        throw error
      }
      if (!session || session.gatewayId !== gateway.id || session.grant.jti !== one.grant) {
        // Nothing runs that the broker does not know.
        deps.link.control(gateway.id)?.ask(
          {
            type: 'command',
            session: one.session,
            command: 'stop',
            end: 'lease-lost',
            by: 'broker',
            cause: 'The broker does not know this session.',
          },
          10_000,
        )
        continue
      }
      session.lostAt = null
      if (!session.closed) session.state = one.state
      session.ordered = null
    }
    this.#renewals.soon((session) => session.gatewayId === gateway.id && there.has(session.id))
    const missing = sessions.live.of(
      (session) =>
        session.gatewayId === gateway.id &&
        !there.has(session.id) &&
        // One that is being opened just now may not have reached the gateway yet.
        (session.state !== 'opening' || deps.clock.wall() - session.openedAt > OPENING_MS),
    )
    for (const session of missing) session.lostAt ??= deps.clock.monotonic()
    deps.clock.after(REPORT_MS, () => {
      for (const session of missing) {
        if (session.closed || session.lostAt === null) continue
        sessions
          .close(session, 'gateway-stopped', 'The gateway was restarted while the session ran.')
          .catch((error) => this.#quiet(error))
      }
    })
  }

  async #change(tx: Tx, row: SessionRow, event: GatewayEvent, now: Date): Promise<void> {
    switch (event.kind) {
      case 'session-state': {
        const holdEnds =
          event.state === 'held' && event.remainingMs !== null
            ? new Date(now.getTime() + event.remainingMs)
            : null
        await tx`
          UPDATE session SET state = ${event.state}, input_frozen = ${event.inputFrozen}, cause = ${event.cause},
            by = ${event.by}, hold_ends_at = ${holdEnds}
          WHERE id = ${row.id} AND state <> 'closed' AND ${event.state} <> 'closed'`
        break
      }
      case 'session-live':
        await tx`UPDATE session SET live_at = ${notLater(event, now)} WHERE id = ${row.id} AND live_at IS NULL`
        break
      case 'session-closed':
        // What the gateway says of the end takes the place of what had to be presumed while it was away.
        await tx`
          UPDATE session SET state = 'closed', input_frozen = true, ended_at = ${notLater(event, now)},
            end_code = ${event.end}, end_message = ${event.message}, ended_by = ${endedBy(event)},
            closed_after_ms = ${event.closedAfterMs === null ? null : Math.round(event.closedAfterMs)},
            bytes_out = ${Math.min(event.bytesOut, BYTES_LIMIT)}, bytes_in = ${Math.min(event.bytesIn, BYTES_LIMIT)},
            watchers = '[]', hold_ends_at = NULL
          WHERE id = ${row.id} AND (state <> 'closed' OR ended_by = 'broker')`
        break
      case 'watcher': {
        const others = row.watchers.filter((one) => one.id !== event.person)
        const watchers = event.joined ? [...others, { id: event.person, name: event.name }] : others
        await tx`UPDATE session SET watchers = ${tx.json(watchers.slice(-50))} WHERE id = ${row.id}`
        break
      }
      case 'identity-changed': {
        const [algorithm = 'unknown', fingerprint = event.seen] = event.seen.includes(' ')
          ? event.seen.split(' ', 2)
          : ['unknown', event.seen]
        await tx`
          UPDATE endpoint SET seen_algorithm = ${algorithm}, seen_fingerprint = ${fingerprint}, seen_at = ${now}
          WHERE id = ${row.endpointId}`
        await openAlarm(
          tx,
          'target-identity-changed',
          `endpoint ${row.endpointId}`,
          `${row.view.asset.name} showed another host key than the accepted one. No password was sent.`,
        )
        break
      }
      case 'recording-gap':
        await openAlarm(
          tx,
          'recording-gap',
          `session ${row.id}`,
          `A stretch of the recording is missing: ${event.reason}`.slice(0, 500),
        )
        break
      default:
    }
  }

  async #storage(tx: Tx, gateway: GatewayRow, event: GatewayEvent & { kind: 'storage' }): Promise<void> {
    const subject = `gateway ${gateway.id}`
    if (event.below)
      await openAlarm(
        tx,
        'storage-below-reserve',
        subject,
        `${gateway.name} has less space than its reserve.`,
      )
    else await clearAlarm(tx, 'storage-below-reserve', subject, 'There is space again.')
  }

  #entry(gateway: GatewayRow, row: SessionRow | null, event: GatewayEvent): AuditEvent {
    const base = {
      actor: gatewayActor(gateway),
      object: row ? { kind: 'session', id: row.id } : { kind: 'gateway', id: gateway.id },
      ...(row
        ? {
            correlation: {
              request: row.requestId,
              grant: row.grantId,
              session: row.id,
              recording: row.recordingId,
              ticket: row.ticketKey,
            },
          }
        : {}),
    }
    const at = Math.trunc(event.at)
    switch (event.kind) {
      case 'session-state':
        return {
          ...base,
          action: 'session.state',
          reason: event.cause,
          details: { state: event.state, inputFrozen: event.inputFrozen, by: event.by, at },
        }
      case 'session-live':
        return {
          ...base,
          action: 'session.live',
          details: {
            identity: event.identity?.fingerprint ?? null,
            identityAlgorithm: event.identity?.algorithm ?? null,
            algorithms: Object.entries(event.algorithms)
              .slice(0, 20)
              .map(([name, value]) => `${name}=${value}`.slice(0, 200)),
            at,
          },
        }
      case 'session-closed':
        return {
          ...base,
          action: 'session.end',
          reason: event.message,
          details: {
            end: event.end,
            by: event.by,
            closedAfterMs: event.closedAfterMs === null ? null : Math.round(event.closedAfterMs),
            bytesOut: Math.trunc(event.bytesOut),
            bytesIn: Math.trunc(event.bytesIn),
            at,
          },
        }
      case 'identity-changed':
        return {
          ...base,
          action: 'session.identity-changed',
          result: 'denied',
          details: { expected: event.expected.slice(0, 20), seen: event.seen, at },
        }
      case 'refused-by-gateway':
        return { ...base, action: 'gateway.refused', result: 'denied', reason: event.code, details: { at } }
      case 'channel-refused':
        return {
          ...base,
          action: 'session.channel-refused',
          result: 'denied',
          reason: event.channel,
          details: { channel: event.channel, at },
        }
      case 'watcher':
        return {
          ...base,
          action: event.joined ? 'session.watched' : 'session.watch-ended',
          details: { person: event.person, name: event.name, at },
        }
      case 'warning':
        return { ...base, action: 'session.warning', details: { minutes: Math.round(event.minutes), at } }
      case 'recording-gap':
        return {
          ...base,
          action: 'recording.gap',
          result: 'failed',
          reason: event.reason,
          details: { stream: event.stream, at },
        }
      case 'storage':
        return {
          ...base,
          action: 'gateway.storage',
          result: event.below ? 'failed' : 'ok',
          details: {
            freeBytes: Math.trunc(event.freeBytes),
            reserveBytes: Math.trunc(event.reserveBytes),
            at,
          },
        }
      case 'gateway-problem':
        return {
          ...base,
          action: 'gateway.problem',
          result: 'failed',
          reason: event.detail,
          details: { code: event.code, at },
        }
      case 'anchor':
        // The link logs anchors itself, with their proofs.
        return { ...base, action: 'gateway.out-of-place', result: 'denied', details: { kind: event.kind } }
    }
  }

  #quiet(error: unknown): void {
    if (!unavailable(error)) this.#sessions.deps.failed(error)
  }
}
