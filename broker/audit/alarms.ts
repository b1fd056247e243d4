import { newId } from '../domain/ids.ts'
import type { Query } from '../store/sql.ts'

export interface Alarm {
  id: string
  kind: string
  subject: string
  message: string
  openedAt: Date
  acknowledgedAt: Date | null
  acknowledgedBy: string | null
  closedAt: Date | null
  closedBy: string | null
  closingNote: string | null
}

/** Opens an alarm; null when one of this kind is open for this subject already. */
export async function openAlarm(
  query: Query,
  kind: string,
  subject: string,
  message: string,
): Promise<string | null> {
  const [row] = await query<{ id: string }[]>`
    INSERT INTO alarm (id, kind, subject, message) VALUES (${newId()}, ${kind}, ${subject}, ${message})
    ON CONFLICT (kind, subject) WHERE closed_at IS NULL DO NOTHING RETURNING id`
  return row?.id ?? null
}

/** False when it is not open, or has been acknowledged before. */
export async function acknowledgeAlarm(query: Query, id: string, by: string): Promise<boolean> {
  const rows = await query`UPDATE alarm SET acknowledged_at = now(), acknowledged_by = ${by}
    WHERE id = ${id} AND acknowledged_at IS NULL AND closed_at IS NULL RETURNING id`
  return rows.length > 0
}

/** False when it is not open. */
export async function closeAlarm(query: Query, id: string, by: string, note: string): Promise<boolean> {
  const rows = await query`UPDATE alarm SET closed_at = now(), closed_by = ${by}, closing_note = ${note}
    WHERE id = ${id} AND closed_at IS NULL RETURNING id`
  return rows.length > 0
}

/** Closes the open alarm of a kind for a subject, when the cause has gone. */
export async function clearAlarm(
  query: Query,
  kind: string,
  subject: string,
  note: string,
): Promise<boolean> {
  const rows = await query`UPDATE alarm SET closed_at = now(), closed_by = 'broker', closing_note = ${note}
    WHERE kind = ${kind} AND subject = ${subject} AND closed_at IS NULL RETURNING id`
  return rows.length > 0
}

/** Open ones first, newest first. */
export async function listAlarms(query: Query, limit = 200): Promise<Alarm[]> {
  return query<Alarm[]>`
    SELECT id, kind, subject, message, opened_at AS "openedAt", acknowledged_at AS "acknowledgedAt",
      acknowledged_by AS "acknowledgedBy", closed_at AS "closedAt", closed_by AS "closedBy",
      closing_note AS "closingNote"
    FROM alarm ORDER BY closed_at IS NOT NULL, opened_at DESC LIMIT ${limit}`
}
