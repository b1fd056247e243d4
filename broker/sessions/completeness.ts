import { openAlarm } from '../audit/alarms.ts'
import { BROKER } from '../audit/event.ts'
import type { Timer } from '../domain/clock.ts'
import { unavailable } from '../store/sql.ts'
import type { SessionsDeps } from './deps.ts'
import { MANIFEST_DEADLINE_MS } from './view.ts'

const EVERY_MS = 60_000
/** So long before its end somebody is told that a gateway has to enrol again. */
const ENROL_AGAIN_MS = 30 * 86_400_000

/**
 * Every session that started has exactly one manifest, or an open alarm. A session whose gateway never opened it made
 * no recording and needs none. It also looks at the gateways' certificates, whose end nobody would notice in time.
 */
export class Completeness {
  readonly #deps: SessionsDeps
  #timer: Timer | null = null
  #stopped = false

  constructor(deps: SessionsDeps) {
    this.#deps = deps
  }

  start(): void {
    if (this.#stopped) return
    this.#timer = this.#deps.clock.after(EVERY_MS, () => {
      this.check()
        .catch((error) => {
          if (!unavailable(error)) this.#deps.failed(error)
        })
        .finally(() => this.start())
    })
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  /**
   * One look; answers how many alarms it opened. That a session reached its asset is not for its gateway alone to say
   * (threat 9): the broker knows whether it handed the credential out.
   */
  async check(): Promise<number> {
    const { db, audit, clock, hints } = this.#deps
    const before = new Date(clock.wall() - MANIFEST_DEADLINE_MS)
    const opened = await db.tx(async (tx) => {
      const rows = await tx<{ id: string; recordingId: string; asset: string }[]>`
        SELECT id, recording_id AS "recordingId", view #>> '{asset,name}' AS asset FROM session
        WHERE state = 'closed' AND manifest_at IS NULL AND ended_at < ${before}
          AND NOT (live_at IS NULL AND credential_fetched_at IS NULL AND (end_code = 'open-failed' OR ended_by IS DISTINCT FROM 'broker'))
          AND NOT EXISTS (
            SELECT FROM alarm WHERE kind = 'manifest-missing' AND subject = 'session ' || session.id
              AND closed_at IS NULL)
        ORDER BY ended_at LIMIT 200`
      for (const row of rows) {
        const alarm = await openAlarm(
          tx,
          'manifest-missing',
          `session ${row.id}`,
          `The recording of a session on ${row.asset} has not arrived. Its gateway still has it, or it is lost.`,
        )
        await audit.record(tx, {
          action: 'recording.missing',
          actor: BROKER,
          object: { kind: 'session', id: row.id },
          result: 'failed',
          correlation: { session: row.id, recording: row.recordingId },
          details: { alarm },
        })
      }
      return rows.length
    })
    const ending = await this.#certificates()
    if (opened + ending > 0) hints.publish('alarms')
    return opened
  }

  async #certificates(): Promise<number> {
    const { db, audit, clock } = this.#deps
    return await db.tx(async (tx) => {
      const rows = await tx<{ id: string; name: string; endsAt: Date }[]>`
        SELECT id, name, certificate_ends_at AS "endsAt" FROM gateway
        WHERE revoked_at IS NULL AND certificate_ends_at < ${new Date(clock.wall() + ENROL_AGAIN_MS)}`
      let opened = 0
      for (const { id, name, endsAt } of rows) {
        const alarm = await openAlarm(
          tx,
          'gateway-certificate-ends',
          `gateway ${id}`,
          `The certificate of ${name} ends on ${endsAt.toISOString().slice(0, 10)}. Enrol it again before.`,
        )
        if (alarm === null) continue
        opened += 1
        await audit.record(tx, {
          action: 'gateway.certificate-ends',
          actor: BROKER,
          object: { kind: 'gateway', id },
          details: { alarm, endsAt: endsAt.toISOString() },
        })
      }
      return opened
    })
  }
}
