import { newId } from '../domain/ids.ts'
import { GATEWAY_PROBLEMS } from '../domain/words.ts'
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
  /** Null: the whole deployment's. */
  siteId: string | null
}

/** Whose alarms somebody sees: those of some sites, and perhaps the deployment's. */
export interface AlarmScope {
  sites: 'all' | readonly string[]
  wide: boolean
}

/**
 * Opens an alarm; null when one of this kind is open for this subject already. A subject that is a thing of one site
 * (`session <id>`, `gateway <id>` and so on) makes it that site's alarm.
 */
export async function openAlarm(
  query: Query,
  kind: string,
  subject: string,
  message: string,
): Promise<string | null> {
  const [row] = await query<{ id: string }[]>`
    INSERT INTO alarm (id, kind, subject, message, site_id)
    VALUES (${newId()}, ${kind}, ${subject}, ${message}, ${await siteOf(query, subject)})
    ON CONFLICT (kind, subject) WHERE closed_at IS NULL DO NOTHING RETURNING id`
  return row?.id ?? null
}

/** As `openAlarm`; one that is open already says this now. */
export async function restateAlarm(
  query: Query,
  kind: string,
  subject: string,
  message: string,
): Promise<void> {
  if ((await openAlarm(query, kind, subject, message)) === null)
    await query`UPDATE alarm SET message = ${message}
      WHERE kind = ${kind} AND subject = ${subject} AND closed_at IS NULL`
}

async function siteOf(query: Query, subject: string): Promise<string | null> {
  const [, kind, id = ''] = /^([a-z-]+) ([0-9a-f-]{36})$/.exec(subject) ?? []
  const rows = async () => {
    switch (kind) {
      case 'site':
        return query<{ site: string }[]>`SELECT id AS site FROM site WHERE id = ${id}`
      case 'session':
      case 'gateway':
      case 'asset':
      case 'zone':
      case 'conduit':
        return query<{ site: string }[]>`SELECT site_id AS site FROM ${query(kind)} WHERE id = ${id}`
      case 'access-request':
        return query<{ site: string }[]>`SELECT site_id AS site FROM access_request WHERE id = ${id}`
      case 'endpoint':
        return query<{ site: string }[]>`
          SELECT a.site_id AS site FROM endpoint e JOIN asset a ON a.id = e.asset_id WHERE e.id = ${id}`
      default:
        return []
    }
  }
  return (await rows())[0]?.site ?? null
}

/** The open alarm's site (null: the deployment's); undefined when no such alarm is open. */
export async function siteOfAlarm(query: Query, id: string): Promise<string | null | undefined> {
  const [row] = await query<{ siteId: string | null }[]>`
    SELECT site_id AS "siteId" FROM alarm WHERE id = ${id} AND closed_at IS NULL`
  return row?.siteId
}

/**
 * False when it is not open, or has been acknowledged before. What a gateway tells of itself is an event, with no state
 * that could end by itself: acknowledged it is closed, and told anew when it comes again.
 */
export async function acknowledgeAlarm(
  query: Query,
  id: string,
  by: string,
  reason: string,
): Promise<boolean> {
  const rows = await query<{ kind: string }[]>`
    UPDATE alarm SET acknowledged_at = now(), acknowledged_by = ${by}
    WHERE id = ${id} AND acknowledged_at IS NULL AND closed_at IS NULL RETURNING kind`
  if (GATEWAY_PROBLEMS.some((kind) => kind === rows[0]?.kind)) await closeAlarm(query, id, by, reason)
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
export async function listAlarms(
  query: Query,
  limit = 200,
  { sites, wide }: AlarmScope = { sites: 'all', wide: true },
): Promise<Alarm[]> {
  return query<Alarm[]>`
    SELECT id, kind, subject, message, opened_at AS "openedAt", acknowledged_at AS "acknowledgedAt",
      acknowledged_by AS "acknowledgedBy", closed_at AS "closedAt", closed_by AS "closedBy",
      closing_note AS "closingNote", site_id AS "siteId"
    FROM alarm
    WHERE (${wide} AND site_id IS NULL)
      OR ${sites === 'all' ? query`site_id IS NOT NULL` : query`site_id = ANY (${[...sites]}::uuid[])`}
    ORDER BY closed_at IS NOT NULL, opened_at DESC LIMIT ${limit}`
}
