import { Readable } from 'node:stream'
import type { AuditActor } from '../../broker/contract/audit-entry.ts'
import { JWS_TYPES } from '../../broker/domain/grant.ts'
import type { EvidenceSink } from '../../broker/domain/ports.ts'
import { decodeJws, jwsHash, verifyJws } from '../format/jws.ts'
import { type Manifest, manifest as manifestSchema } from '../format/manifest.ts'
import {
  type EvidenceStore,
  evidenceKey,
  manifestKey,
  receiptKey,
  segmentKey,
  wrapKey,
} from './evidence-store.ts'
import type { ArchivePorts, Query, RecordedSession } from './ports.ts'
import type { Answered, Replay } from './replay.ts'
import type { SegmentScan } from './scan.ts'

/**
 * Where a gateway's evidence arrives. "Stored" and the receipt are said only of what was read back and matched: a
 * gateway deletes its copy on the strength of them.
 */
export function evidenceSink(store: EvidenceStore, replay: Replay, ports: ArchivePorts): EvidenceSink {
  /** The session whose gateway may write this recording; null for anybody else's. */
  async function ownSession(recording: string, gateway: string): Promise<RecordedSession | null> {
    const session = await ports.sessionOfRecording(recording)
    return session && session.gateway === gateway ? session : null
  }

  async function noteRecording(query: Query, session: RecordedSession): Promise<void> {
    await query`
      INSERT INTO recording (id, session, gateway, state, first_seen_at)
      VALUES (${session.recording}, ${session.session}, ${session.gateway}, 'arriving', ${new Date(ports.now())})
      ON CONFLICT (id) DO NOTHING`
  }

  return {
    async put({ gatewayId, path, sha256, length, body }) {
      const key = evidenceKey(path)
      const parts = key ? /^([^/]+)\/(?:(screen|input)\/(\d+)\.spr|keys\/.+)$/.exec(key) : null
      const session = parts?.[1] ? await ownSession(parts[1], gatewayId) : null
      if (!key || !parts || !session) return 'conflict'
      // The broker's own database may lie on this disk; the gateway keeps its copy.
      if (!(await store.space()).ok) return 'full'
      await noteRecording(ports.db.sql, session)
      // A recording is whole with its manifest: nothing is added to it later, also not by its own gateway (threat 9).
      const finished = async () => (await store.size(manifestKey(session.recording))) !== null
      if ((await finished()) && (await store.size(key)) === null) return 'conflict'
      const result = await store.put(key, sha256, length, body)
      const [, recording, stream, number] = parts
      if (result !== 'stored' && result !== 'same') return result
      if (!recording || (stream !== 'screen' && stream !== 'input') || !number) return result
      // What came in beside the manifest stays in the store, and is no part of what is shown.
      if (await finished()) return result
      // Sent again: its first time may have ended between the bytes and the row.
      if (result === 'same' && (await isListed(recording, stream, Number(number)))) return result
      const scanned = await replay.scan(recording, stream, Number(number))
      if (notLookedAt(scanned)) return 'busy'
      // A segment that does not verify is kept all the same: it is evidence of what arrived. The manifest check says so.
      if (scanned.ok) await listSegment(recording, stream, Number(number), length, scanned.scan)
      return result
    },

    async finish({ gatewayId, recording, jws }) {
      const session = await ownSession(recording, gatewayId)
      if (!session) return { refused: 'recording-unknown' }
      const decoded = decodeJws(jws, JWS_TYPES.manifest, manifestSchema)
      if (!decoded.ok) return { refused: decoded.code }
      const key = await ports.gatewaySignKey(gatewayId, decoded.value.kid)
      if (key === null) return { refused: 'manifest-key-unknown' }
      const verified = await verifyJws(jws, JWS_TYPES.manifest, manifestSchema, key)
      if (!verified.ok) return { refused: verified.code }
      const manifest = verified.value.payload
      if (
        manifest.deployment !== ports.deployment ||
        manifest.site !== session.site ||
        manifest.gateway !== gatewayId ||
        manifest.recording !== recording ||
        manifest.session !== session.session
      ) {
        return { refused: 'manifest-foreign' }
      }
      const missing = await missingParts(manifest)
      if (missing === null) return null
      if (missing.length > 0) return { missing }

      const bytes = Buffer.from(jws, 'ascii')
      const stored = await store.put(
        manifestKey(recording),
        jwsHash(jws),
        bytes.length,
        Readable.from([bytes]),
      )
      if (stored === 'conflict' || stored === 'mismatch') return { refused: 'manifest-conflict' }
      if ((await store.size(receiptKey(recording))) !== null)
        return { receipt: await readText(receiptKey(recording)) }

      const entry = await recordManifest(session, manifest, jws)
      const receipt = await ports.sign(
        {
          v: 1,
          deployment: ports.deployment,
          recording,
          session: session.session,
          manifest: jwsHash(jws),
          first_index: entry.firstIndex,
          last_index: entry.lastIndex,
          signed_at_ms: Math.floor(ports.now()),
        },
        JWS_TYPES.receipt,
      )
      const receiptBytes = Buffer.from(receipt, 'ascii')
      await store.put(
        receiptKey(recording),
        jwsHash(receipt),
        receiptBytes.length,
        Readable.from([receiptBytes]),
      )
      // Whichever of two requests came first wrote it; both answer with what is stored.
      return { receipt: await readText(receiptKey(recording)) }
    },
  }

  async function isListed(recording: string, stream: string, number: number): Promise<boolean> {
    const rows = await ports.db.sql`
      SELECT 1 FROM recording_segment
      WHERE recording = ${recording} AND stream = ${stream} AND number = ${number}`
    return rows.length > 0
  }

  /** Replay, search and the timeline know of a segment by its row alone. */
  async function listSegment(
    recording: string,
    stream: string,
    number: number,
    bytes: number,
    scan: SegmentScan,
  ): Promise<void> {
    await ports.db.sql`
      INSERT INTO recording_segment (recording, stream, number, bytes, sha256, t0_ms, t1_ms, chunks, activity)
      VALUES (${recording}, ${stream}, ${number}, ${bytes}, ${scan.sha256}, ${scan.t0Ms}, ${scan.t1Ms},
              ${scan.chunks}, ${ports.db.sql.json(scan.activity)})
      ON CONFLICT (recording, stream, number) DO NOTHING`
  }

  /**
   * Segments and wraps that have not arrived, or that are not what the manifest says. Null when that could not be told
   * now. What matches is listed from here on at the latest: no stretch of a whole recording is left out of the replay.
   */
  async function missingParts(manifest: Manifest): Promise<string[] | null> {
    const missing: string[] = []
    for (const segment of manifest.segments) {
      const name = `${segment.stream}/${segment.number}`
      if ((await store.size(wrapKey(manifest.recording, segment.stream, segment.number))) === null) {
        missing.push(`keys/${segment.stream}-${segment.number}.jwe`)
      }
      const size = await store.size(segmentKey(manifest.recording, segment.stream, segment.number))
      const scanned =
        size === null ? null : await replay.scan(manifest.recording, segment.stream, segment.number)
      if (scanned && notLookedAt(scanned)) return null
      const matches =
        scanned?.ok === true &&
        size === segment.bytes + segment.torn_bytes &&
        scanned.scan.goodBytes === segment.bytes &&
        scanned.scan.sha256 === segment.sha256 &&
        scanned.scan.hh === segment.hh &&
        scanned.scan.lastC === segment.last_c &&
        scanned.scan.chunks === segment.chunks &&
        scanned.scan.final === segment.final
      if (!matches) missing.push(`${name}.spr`)
      else await listSegment(manifest.recording, segment.stream, segment.number, size, scanned.scan)
    }
    return missing
  }

  async function readText(key: Parameters<EvidenceStore['read']>[0]): Promise<string> {
    let text = ''
    for await (const chunk of store.read(key)) text += String(chunk)
    return text
  }

  async function recordManifest(
    session: RecordedSession,
    manifest: Manifest,
    jws: string,
  ): Promise<{ firstIndex: number; lastIndex: number }> {
    const gateway: AuditActor = { kind: 'gateway', id: session.gateway, name: null, organisation: null }
    const hash = jwsHash(jws)
    const { entry } = await ports.db.tx(async (tx) => {
      await noteRecording(tx, session)
      const [known] = await tx<{ state: string; manifest_entry: string | null }[]>`
        SELECT state, manifest_entry FROM recording WHERE id = ${session.recording} FOR UPDATE`
      if (known?.manifest_entry) return { entry: known.manifest_entry }
      const { id } = await ports.audit.record(tx, {
        action: 'recording.manifest',
        actor: gateway,
        object: { kind: 'recording', id: session.recording },
        correlation: { session: session.session, recording: session.recording },
        details: {
          manifest: hash,
          ended: manifest.ended,
          segments: manifest.segments.length,
          gaps: manifest.gaps.length + manifest.discarded.length,
        },
      })
      const duration = await tx<{ last: number | null }[]>`
        SELECT max(t1_ms) AS last FROM recording_segment WHERE recording = ${session.recording}`
      await tx`
        UPDATE recording SET state = ${manifest.ended === 'clean' ? 'complete' : 'recovered'}, manifest_hash = ${hash},
          manifest_entry = ${id}, finished_at = ${new Date(ports.now())}, duration_ms = ${duration[0]?.last ?? 0},
          started_at = ${session.startedAt}, end_reason = ${manifest.session_end},
          torn_bytes = ${manifest.segments.reduce((sum, segment) => sum + segment.torn_bytes, 0)}
        WHERE id = ${session.recording}`
      for (const gap of manifest.gaps) {
        await tx`
          INSERT INTO recording_gap (recording, stream, t0_ms, t1_ms, reason)
          VALUES (${session.recording}, ${gap.stream}, ${gap.t0_ms}, ${gap.t1_ms}, ${gap.reason})
          ON CONFLICT DO NOTHING`
      }
      // Of these nothing is there but the number: what is missing begins where the stream before it ends.
      for (const { stream, number } of manifest.discarded) {
        await tx`
          INSERT INTO recording_gap (recording, stream, t0_ms, t1_ms, reason)
          SELECT ${session.recording}, ${stream}, coalesce(max(t1_ms), 0), coalesce(max(t1_ms), 0),
            ${`nothing of segment ${number} was written`}
          FROM recording_segment
          WHERE recording = ${session.recording} AND stream = ${stream} AND number < ${number}
          ON CONFLICT DO NOTHING`
      }
      return { entry: id }
    })
    const lastIndex = await ports.audit.indexOf(entry)
    const firstIndex = session.startEntry ? await ports.audit.indexOf(session.startEntry) : null
    if (lastIndex === null || firstIndex === null)
      throw new Error('an audit entry that was committed has no place in the log')
    await ports.db.sql`
      UPDATE recording SET first_index = ${firstIndex}, last_index = ${lastIndex} WHERE id = ${session.recording}`
    return { firstIndex, lastIndex }
  }
}

/** Refused for load, or lost with its thread: nothing is known of the bytes. */
function notLookedAt(answer: Answered<unknown>): boolean {
  return !answer.ok && (answer.code === 'replay-busy' || answer.code === 'replay-lost')
}
