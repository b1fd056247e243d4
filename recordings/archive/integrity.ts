import type { Handlers } from '../../broker/contract/handler.ts'
import { sitesOf } from '../../broker/domain/principal.ts'
import type { EvidenceDesk } from './dossier.ts'
import type { ArchivePorts } from './ports.ts'

/** A closed session has its manifest within this time, or it is listed as missing. */
const MANIFEST_WITHIN_MS = 5 * 60_000
const LISTED = 100

/** The integrity page: completeness of recordings, gaps, checkpoint, witness, open alarms. Counts are of 90 days. */
export function integrityRoutes(
  ports: ArchivePorts,
  desk: EvidenceDesk,
): Pick<Handlers, 'GET /api/integrity'> {
  const { sql } = ports.db
  return {
    async 'GET /api/integrity'({ principal }) {
      const mine = sitesOf(principal, 'auditor')
      const sites = mine === 'all' ? sql`TRUE` : sql`s.site_id = ANY (${mine})`
      const since = new Date(ports.now() - 90 * 86_400_000)
      const states = await sql<{ state: string | null; sessions: number }[]>`
        SELECT r.state, count(*)::int AS sessions FROM session s LEFT JOIN recording r ON r.id = s.recording_id
        WHERE s.opened_at >= ${since} AND ${sites} GROUP BY r.state`
      const count = (state: string) => states.find((row) => row.state === state)?.sessions ?? 0
      const missing = await sql<{ id: string; ended_at: Date | null }[]>`
        SELECT s.id, s.ended_at FROM session s
        WHERE s.state = 'closed' AND s.manifest_at IS NULL AND s.live_at IS NOT NULL
          AND s.ended_at < ${new Date(ports.now() - MANIFEST_WITHIN_MS)} AND ${sites}
        ORDER BY s.ended_at DESC LIMIT ${LISTED}`
      const gaps = await sql<{ recording: string; stream: 'screen' | 'input'; reason: string }[]>`
        SELECT g.recording, g.stream, g.reason FROM recording_gap g JOIN session s ON s.recording_id = g.recording
        WHERE s.opened_at >= ${since} AND ${sites} ORDER BY s.opened_at DESC LIMIT ${LISTED}`
      const [check] = await sql<{ at: Date | null }[]>`
        SELECT max(c.at) AS at FROM recording_check c JOIN session s ON s.recording_id = c.recording WHERE ${sites}`
      const alarms = await sql<{ id: string; kind: string; message: string; opened_at: Date }[]>`
        SELECT id, kind, message, opened_at FROM alarm
        WHERE closed_at IS NULL AND (site_id IS NULL OR ${mine === 'all' ? sql`TRUE` : sql`site_id = ANY (${mine})`})
        ORDER BY opened_at DESC LIMIT ${LISTED}`
      const head = await desk.latestCheckpoint()
      return {
        sessions: states.reduce((sum, row) => sum + row.sessions, 0),
        complete: count('complete'),
        recovered: count('recovered'),
        arriving: count('arriving'),
        missing: missing.map((row) => ({ sessionId: row.id, endedAt: row.ended_at?.toISOString() ?? null })),
        gaps: gaps.map((gap) => ({ recordingId: gap.recording, stream: gap.stream, reason: gap.reason })),
        checkpoint: { size: head?.size ?? 0, at: head?.at?.toISOString() ?? null },
        witness: {
          state: 'absent' as const,
          detail:
            'Nobody outside this installation cosigns the log. Until then a database administrator who also held the log key could rewrite it.',
        },
        lastSelfCheckAt: check?.at?.toISOString() ?? null,
        alarms: alarms.map((alarm) => ({
          id: alarm.id,
          kind: alarm.kind,
          message: alarm.message,
          since: alarm.opened_at.toISOString(),
        })),
      }
    },
  }
}
