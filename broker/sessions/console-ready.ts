import type { AuditLog } from '../audit/log.ts'
import type { Clock } from '../domain/clock.ts'
import { conflict } from '../domain/failure.ts'
import { by } from '../identity/actor.ts'
import type { Query, Tx } from '../store/sql.ts'

/** So long an operator's word stands when no session opens. */
export const READY_MS = 15 * 60_000

/** A vendor's question whether a console is free, an operator's word that it is, and what became of that word. */
export interface ReadyRow {
  id: string
  requestId: string
  requestVersion: number
  askedBy: string
  askedAt: Date
  givenBy: string | null
  givenAt: Date | null
  expiresAt: Date | null
  endedAt: Date | null
  endedBy: string | null
  endedBecause: 'used' | 'taken-back' | 'asked-again' | null
  sessionId: string | null
}

/** Object kind `console-ready`. */
export const canonicalReady = (row: ReadyRow) => ({
  v: 1,
  id: row.id,
  requestId: row.requestId,
  requestVersion: row.requestVersion,
  askedBy: row.askedBy,
  askedAt: row.askedAt.toISOString(),
  givenBy: row.givenBy,
  givenAt: row.givenAt?.toISOString() ?? null,
  expiresAt: row.expiresAt?.toISOString() ?? null,
  endedAt: row.endedAt?.toISOString() ?? null,
  endedBy: row.endedBy,
  endedBecause: row.endedBecause,
  sessionId: row.sessionId,
})

const columns = (query: Query) => query`
  id, request_id AS "requestId", request_version AS "requestVersion", asked_by AS "askedBy", asked_at AS "askedAt",
  given_by AS "givenBy", given_at AS "givenAt", expires_at AS "expiresAt", ended_at AS "endedAt",
  ended_by AS "endedBy", ended_because AS "endedBecause", session_id AS "sessionId"`

/** What stands for a request: a question, or a word that no session has used yet (it may have run out). */
export async function standingReady(query: Query, requestId: string, lock = false): Promise<ReadyRow | null> {
  const [row] = await query<ReadyRow[]>`
    SELECT ${columns(query)} FROM console_ready WHERE request_id = ${requestId} AND ended_at IS NULL
    ${lock ? query`FOR UPDATE` : query``}`
  return row ?? null
}

/** The same for several requests at once. */
export async function standingReadies(query: Query, requestIds: readonly string[]): Promise<ReadyRow[]> {
  if (requestIds.length === 0) return []
  return query<ReadyRow[]>`
    SELECT ${columns(query)} FROM console_ready
    WHERE request_id IN ${query(requestIds as string[])} AND ended_at IS NULL ORDER BY asked_at, id`
}

/** The word that a session used to open. */
export async function readyUsedBy(query: Query, sessionId: string): Promise<ReadyRow | null> {
  const [row] = await query<ReadyRow[]>`
    SELECT ${columns(query)} FROM console_ready WHERE session_id = ${sessionId}`
  return row ?? null
}

/**
 * Uses an operator's word up for a session, in the transaction that opens it: two openings at once cannot both have it,
 * and one that was taken back since the decision opens nothing. Throws Failure `operator-not-ready` (409).
 */
export async function spendReady(
  deps: { audit: Pick<AuditLog, 'record' | 'verifyObject'>; clock: Clock },
  tx: Tx,
  caller: Parameters<typeof by>[0],
  readyId: string,
  sessionId: string,
): Promise<void> {
  const now = deps.clock.wall()
  const [row] = await tx<ReadyRow[]>`
    SELECT ${columns(tx)} FROM console_ready WHERE id = ${readyId} FOR UPDATE`
  if (!row || row.endedAt !== null || row.expiresAt === null || row.expiresAt.getTime() <= now) {
    throw conflict(
      'operator-not-ready',
      'The operator’s word that the console is free does not stand any more.',
      'Ask again on the page of the request.',
    )
  }
  await deps.audit.verifyObject(tx, 'console-ready', row.id, canonicalReady(row))
  const after: ReadyRow = {
    ...row,
    endedAt: new Date(now),
    endedBy: caller.principal.personId,
    endedBecause: 'used',
    sessionId,
  }
  await tx`
    UPDATE console_ready SET ended_at = ${after.endedAt}, ended_by = ${after.endedBy},
      ended_because = ${after.endedBecause}, session_id = ${sessionId} WHERE id = ${row.id}`
  await deps.audit.record(tx, {
    ...by(caller),
    action: 'console.used',
    object: { kind: 'console-ready', id: row.id },
    before: canonicalReady(row),
    after: canonicalReady(after),
    correlation: { request: row.requestId, session: sessionId },
  })
}
