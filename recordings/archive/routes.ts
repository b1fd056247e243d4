import type { RouteKey } from '../../broker/contract/api/index.ts'
import type { AuditActor } from '../../broker/contract/audit-entry.ts'
import type { Context, Handlers } from '../../broker/contract/handler.ts'
import { Failure, notFound } from '../../broker/domain/failure.ts'
import { holds } from '../../broker/domain/principal.ts'
import type { ArchiveEvent, ArchivePorts, RecordedSession } from './ports.ts'
import type { Replay } from './replay.ts'
import { ACTIVITY_BUCKET_MS } from './scan.ts'
import type { EvidenceVerdict, Verifier } from './verifier.ts'

/** The timeline shows this many buckets at most, whatever the recording's length. */
const BUCKETS = 600

interface RecordingRow {
  id: string
  session: string
  state: 'arriving' | 'complete' | 'recovered'
  manifest_hash: string | null
  duration_ms: number | null
  started_at: Date | null
  first_seen_at: Date
}
interface SegmentRow {
  stream: 'screen' | 'input'
  number: number
  bytes: number
  t0_ms: number
  t1_ms: number
  activity: [number, number][]
}

type RecordingRoutes = Pick<
  Handlers,
  | 'GET /api/recordings/:id'
  | 'GET /api/recordings/:id/screen/:segment'
  | 'GET /api/recordings/:id/text'
  | 'POST /api/recordings/:id/verify'
  | 'POST /api/recordings/:id/package'
>

/** Reading evidence is itself evidence: every view, search, check and export below writes its audit entry first. */
export function recordingRoutes(ports: ArchivePorts, replay: Replay, verifier: Verifier): RecordingRoutes {
  const { sql } = ports.db

  /** Object-level check (threat 28): an auditor of the recording's site, and nobody else learns that it exists. */
  async function readable<K extends RouteKey>(
    context: Context<K>,
    id: string,
  ): Promise<{ row: RecordingRow; session: RecordedSession }> {
    const { principal } = context
    const session = await ports.sessionOfRecording(id)
    const [row] = await sql<RecordingRow[]>`
      SELECT id, session, state, manifest_hash, duration_ms, started_at, first_seen_at FROM recording WHERE id = ${id}`
    if (!row || !session || !principal || !holds(principal, session.site, 'auditor'))
      throw notFound('recording')
    return { row, session }
  }

  async function note<K extends RouteKey>(
    context: Context<K>,
    session: RecordedSession,
    action: string,
    details: ArchiveEvent['details'],
  ): Promise<void> {
    const { principal } = context
    if (!principal) throw notFound('recording')
    const actor: AuditActor = {
      kind: 'person',
      id: principal.personId,
      name: principal.name,
      organisation: null,
    }
    await ports.db.tx((tx) =>
      ports.audit.record(tx, {
        action,
        actor,
        source: context.sourceAddress,
        object: { kind: 'recording', id: session.recording },
        correlation: { session: session.session, recording: session.recording },
        details: details ?? {},
      }),
    )
  }

  async function segmentsOf(id: string): Promise<SegmentRow[]> {
    return sql<SegmentRow[]>`
      SELECT stream, number, bytes, t0_ms, t1_ms, activity FROM recording_segment
      WHERE recording = ${id} ORDER BY stream DESC, number`
  }

  return {
    async 'GET /api/recordings/:id'(context) {
      const { id } = context.params
      const { row, session } = await readable(context, id)
      await note(context, session, 'recording.view', {})
      const rows = await segmentsOf(id)
      const screen = rows.filter((segment) => segment.stream === 'screen')
      const duration = row.duration_ms ?? Math.max(0, ...rows.map((segment) => segment.t1_ms))
      const gaps = await sql<{ stream: 'screen' | 'input'; t0_ms: number; t1_ms: number; reason: string }[]>`
        SELECT stream, t0_ms, t1_ms, reason FROM recording_gap WHERE recording = ${id} ORDER BY t0_ms`
      const numbers = screen.map((segment) => segment.number)
      const first = numbers[0] === undefined ? null : await replay.open(id, numbers[0], row.manifest_hash)
      const isDesktop = first?.ok === true && first.media === 'rfb-v1'
      const size = first?.ok && !isDesktop ? castSize(first.content) : NO_SIZE
      const marked = await replay.markers(id, numbers, row.manifest_hash)
      const [check] = await sql<{ at: Date; verdict: EvidenceVerdict }[]>`
        SELECT at, verdict FROM recording_check WHERE recording = ${id} ORDER BY at DESC LIMIT 1`
      return {
        id,
        sessionId: row.session,
        media: isDesktop ? ('desktop' as const) : ('terminal' as const),
        state: row.state,
        durationMs: duration,
        startedAt: (row.started_at ?? session.startedAt ?? row.first_seen_at).toISOString(),
        ...size,
        segments: screen.map((segment) => ({
          number: segment.number,
          t0Ms: segment.t0_ms,
          t1Ms: segment.t1_ms,
          bytes: segment.bytes,
        })),
        activity: activityOf(rows, duration),
        markers: marked.ok ? marked.markers.map((marker) => ({ ...marker, ...kindOf(marker.text) })) : [],
        gaps: gaps.map((gap) => ({
          stream: gap.stream,
          t0Ms: gap.t0_ms,
          t1Ms: gap.t1_ms,
          reason: gap.reason,
        })),
        unanchoredTailMs: await verifier.unanchoredTailMs(id),
        lastCheck: check ? { at: check.at.toISOString(), verdict: check.verdict } : null,
      }
    },

    async 'GET /api/recordings/:id/screen/:segment'(context) {
      const { id, segment } = context.params
      const { row, session } = await readable(context, id)
      await note(context, session, 'recording.play', { segment })
      const opened = await replay.open(id, segment, row.manifest_hash)
      if (!opened.ok) throw cannotOpen(opened.code)
      return context.reply
        .header('content-type', CONTENT_TYPE[opened.media])
        .header('cache-control', 'private, no-store')
        .send(Buffer.from(opened.content.buffer, opened.content.byteOffset, opened.content.byteLength))
    },

    async 'GET /api/recordings/:id/text'(context) {
      const { id } = context.params
      const { search, afterMs, limit } = context.query
      const { row, session } = await readable(context, id)
      await note(context, session, 'recording.search', { search: search ?? '' })
      const segments = (await segmentsOf(id)).filter(
        (segment) => segment.stream === 'screen' && segment.t1_ms >= afterMs,
      )
      const found = await replay.text(
        id,
        segments.map((segment) => segment.number),
        { afterMs, limit, search: search ?? null, manifest: row.manifest_hash },
      )
      if (!found.ok) throw cannotOpen(found.code)
      return { lines: found.lines, next: found.next }
    },

    async 'POST /api/recordings/:id/verify'(context) {
      const { id } = context.params
      const { session } = await readable(context, id)
      const outcome = await verifier.verify(session)
      const at = new Date(ports.now())
      await note(context, session, 'recording.verify', { verdict: outcome.verdict })
      await sql`
        INSERT INTO recording_check (recording, at, verdict, checks)
        VALUES (${id}, ${at}, ${outcome.verdict}, ${sql.json(outcome.checks.map((check) => ({ ...check })))})`
      return { verdict: outcome.verdict, at: at.toISOString(), checks: outcome.checks }
    },

    async 'POST /api/recordings/:id/package'(context) {
      const { id } = context.params
      const { recipient, recipientName, purpose } = context.body
      const { row, session } = await readable(context, id)
      if (row.state === 'arriving') {
        throw new Failure(
          409,
          'recording-arriving',
          'The recording has not arrived completely, so it cannot be handed out as evidence yet.',
          'Wait until the session has ended and its gateway has delivered the rest.',
        )
      }
      const file = await verifier.packageFor(session, { recipient, name: recipientName, purpose })
      await note(context, session, 'recording.export', {
        package: file.sha256,
        recipient: recipientName,
        purpose,
      })
      return context.reply
        .header('content-type', 'application/zip')
        .header('content-disposition', `attachment; filename="sallyport-${id}.zip"`)
        .header('cache-control', 'private, no-store')
        .header('x-sallyport-package-sha256', file.sha256)
        .send(file.stream)
    },
  }
}

function cannotOpen(code: string): Failure {
  if (code === 'not-stored') return notFound('segment')
  if (code === 'replay-busy' || code === 'replay-lost') {
    return new Failure(503, code, 'The replay is busy.', 'Try again in a moment.')
  }
  return new Failure(
    422,
    'segment-does-not-verify',
    `This part of the recording does not verify (${code}), so it is not shown.`,
    'Run the verification of this recording and report its result to OT security.',
  )
}

const CONTENT_TYPE = {
  'asciicast-v2': 'application/x-asciicast',
  'rfb-v1': 'application/octet-stream',
} as const
/** Of a terminal whose recording cannot be opened; a desktop's pictures say their size themselves. */
const NO_SIZE = { cols: 80, rows: 24 }

function castSize(cast: Uint8Array): { cols: number; rows: number } {
  const end = cast.indexOf(0x0a)
  const header = JSON.parse(new TextDecoder().decode(cast.subarray(0, end))) as {
    width: number
    height: number
  }
  return { cols: header.width, rows: header.height }
}

/** Markers are written as "kind: text"; what has no kind is a note. */
function kindOf(text: string): { kind: string; text: string } {
  const match = /^([a-z-]{2,20}): (.*)$/s.exec(text)
  return match ? { kind: match[1] ?? 'note', text: match[2] ?? '' } : { kind: 'note', text }
}

function activityOf(rows: readonly SegmentRow[], durationMs: number) {
  const bucketMs = ACTIVITY_BUCKET_MS * Math.max(1, Math.ceil(durationMs / ACTIVITY_BUCKET_MS / BUCKETS))
  const count = Math.floor(durationMs / bucketMs) + 1
  const output = new Array<number>(count).fill(0)
  const input = new Array<number>(count).fill(0)
  for (const row of rows) {
    const into = row.stream === 'screen' ? output : input
    for (const [bucket, bytes] of row.activity) {
      const at = Math.min(count - 1, Math.floor((bucket * ACTIVITY_BUCKET_MS) / bucketMs))
      into[at] = (into[at] ?? 0) + bytes
    }
  }
  return { bucketMs, output, input }
}
