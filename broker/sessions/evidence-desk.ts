import type { AuditLog } from '../audit/log.ts'
import { type ApprovalRecord, approvalRecord } from '../contract/approval-record.ts'
import { jcs } from '../domain/canonical.ts'
import type { Stream } from '../domain/words.ts'
import type { Database } from '../store/sql.ts'
import { payloadOf } from './sessions.ts'

/**
 * What stands behind a session, for the evidence package: grants, approvals and snapshots as the very bytes that were
 * hashed, log entries, anchors. Recordings get it from `main.ts`; its shapes are theirs.
 */
export function evidenceDesk(db: Database, audit: AuditLog) {
  return {
    async dossier(session: string) {
      const [row] = await db.sql<{ facts: { policy: unknown }; ticket: string; asset: string }[]>`
        SELECT s.facts, v.ticket_snapshot AS ticket, v.asset_snapshot AS asset
        FROM session s JOIN access_request_version v ON v.request_id = s.request_id AND v.version = s.request_version
        WHERE s.id = ${session}`
      if (!row) return null
      const grants = await db.sql<{ serial: number; jws: string }[]>`
        SELECT serial, jws FROM session_grant WHERE session_id = ${session} ORDER BY serial`
      const named = [...new Set(grants.flatMap(({ jws }) => payloadOf(jws).approvals))]
      const approvals = await db.sql<{ record: string }[]>`
        SELECT record FROM approval WHERE document_hash = ANY(${named}) ORDER BY at`
      return {
        grants: grants.map(({ serial, jws }) => ({ serial, jws })),
        approvals: approvals.map(({ record }): ApprovalRecord => approvalRecord.parse(JSON.parse(record))),
        ticket: new TextEncoder().encode(row.ticket),
        policy: jcs(row.facts.policy),
        asset: new TextEncoder().encode(row.asset),
      }
    },

    async entries(session: string, recording: string, alsoIndexes: readonly number[]) {
      await audit.checkpoint()
      return db.sql<{ index: number; bytes: Buffer }[]>`
        SELECT l.idx AS index, e.bytes FROM audit.leaf l JOIN audit.entry e ON e.id = l.entry
        WHERE e.session = ${session} OR e.recording = ${recording}
          OR e.request = (SELECT request_id::text FROM session WHERE id = ${session})
          OR l.idx = ANY(${[...alsoIndexes]}::bigint[])
        ORDER BY l.idx`
    },

    async anchors(recording: string) {
      const rows = await db.sql<
        {
          entry: number
          stream: Stream
          segment: number
          seq: number
          c: Buffer
          index: number
          size: number
          path: string[]
        }[]
      >`
        SELECT l.idx AS entry, a.stream, a.segment, a.seq, a.c, a.leaf_index AS index, a.size, a.path
        FROM anchor_head a JOIN audit.leaf l ON l.entry = a.entry
        WHERE a.recording_id = ${recording} ORDER BY l.idx, a.stream, a.segment, a.seq`
      return rows.map((row) => ({
        ...row,
        c: row.c.toString('hex'),
        path: row.path,
      }))
    },

    async checkpoint() {
      const { size, note } = await audit.checkpoint()
      return { size, note }
    },

    async earlier(size: number, limit: number) {
      const rows = await db.sql<{ size: number; note: string }[]>`
        SELECT size, note FROM audit.checkpoint
        WHERE epoch = (SELECT max(epoch) FROM audit.checkpoint) AND size > 0 AND size < ${size}
        ORDER BY size DESC LIMIT ${limit}`
      const lines: { note: string; path: string[] }[] = []
      for (const row of rows.toReversed()) {
        const { path } = await audit.consistency(row.size, size)
        lines.push({ note: row.note, path: path.map((node) => node.toString('hex')) })
      }
      return lines
    },

    async latestCheckpoint() {
      const [row] = await db.sql<{ size: number; at: Date }[]>`
        SELECT size, signed_at AS at FROM audit.checkpoint ORDER BY epoch DESC, size DESC LIMIT 1`
      return row ? { size: row.size, at: row.at } : null
    },

    async inclusion(index: number, size: number) {
      return (await audit.inclusion(index, size)).path.map((node) => node.toString('hex'))
    },
  }
}

/** The session behind a recording; null when there is none. */
export async function sessionOfRecording(db: Database, recording: string) {
  const [row] = await db.sql<
    {
      session: string
      recording: string
      gateway: string
      site: string
      asset: string
      startedAt: Date | null
      endedAt: Date | null
      startEntry: string | null
    }[]
  >`
    SELECT s.id AS session, s.recording_id AS recording, s.gateway_id AS gateway, s.site_id AS site,
      s.asset_id AS asset, s.opened_at AS "startedAt", s.ended_at AS "endedAt",
      (SELECT e.id FROM audit.entry e WHERE e.session = s.id AND e.action = 'session.start'
        ORDER BY e.staged LIMIT 1) AS "startEntry"
    FROM session s WHERE s.recording_id = ${recording}`
  return row ?? null
}

/** A gateway's public signing key by its thumbprint; null when unknown, or the gateway was revoked. */
export async function gatewaySignKey(db: Database, gateway: string, kid: string): Promise<string | null> {
  const [row] = await db.sql<{ x: string }[]>`
    SELECT k.sign_key ->> 'x' AS x FROM gateway_key k JOIN gateway g ON g.id = k.gateway_id
    WHERE k.gateway_id = ${gateway} AND k.kid = ${kid} AND g.revoked_at IS NULL`
  return row?.x ?? null
}
