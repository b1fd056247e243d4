import { Readable } from 'node:stream'
import type { RouteKey } from '../contract/api/index.ts'
import type { Context, Handlers } from '../contract/handler.ts'
import { Failure, notFound } from '../domain/failure.ts'
import { type Principal, sitesOf } from '../domain/principal.ts'
import type { Secret } from '../domain/secret.ts'
import { by } from '../identity/actor.ts'
import type { AuditorTrust } from '../keys/auditor-trust.ts'
import type { Database } from '../store/sql.ts'
import type { AuditLog } from './log.ts'
import { type AuditFilter, entriesAsCsv, type FoundEntry, findEntries } from './query.ts'

type AuditRoutes = Pick<
  Handlers,
  | 'GET /api/trust'
  | 'GET /api/audit'
  | 'GET /api/audit.csv'
  | 'GET /api/audit/checkpoint'
  | 'GET /api/audit/entries/:index/proof'
  | 'GET /api/audit/consistency'
>

export interface AuditRouteDeps {
  db: Database
  audit: AuditLog
  macKey: Secret<Buffer>
  /** keys.json as of now: it grows with every gateway. */
  trust(): Promise<AuditorTrust>
}

/**
 * The audit log for auditors. The log is one for the whole deployment: who audits every site reads all of it; who
 * audits some sites reads what belongs to their requests and sessions. Proofs and checkpoints hold hashes only.
 */
export function auditRoutes(deps: AuditRouteDeps): AuditRoutes {
  const { db, audit, macKey } = deps

  async function scope(principal: Principal): Promise<{ sites?: readonly string[] }> {
    const mine = sitesOf(principal, 'auditor')
    if (mine === 'all') return {}
    const [row] = await db.sql<{ others: boolean }[]>`
      SELECT EXISTS (SELECT FROM site WHERE id <> ALL (${mine})) AS others`
    return row?.others === false ? {} : { sites: mine }
  }

  async function note<K extends RouteKey>(
    context: Context<K> & { principal: Principal },
    action: string,
    filter: Record<string, unknown>,
  ): Promise<void> {
    await db.tx((tx) =>
      audit.record(tx, { action, ...by(context), details: { filter: JSON.stringify(filter) } }),
    )
  }

  return {
    async 'GET /api/trust'({ reply }) {
      return reply
        .header('content-type', 'application/json')
        .header('content-disposition', 'attachment; filename="keys.json"')
        .send(`${JSON.stringify(await deps.trust(), null, 2)}\n`)
    },

    async 'GET /api/audit'(context) {
      const { cursor, limit, ...filter } = context.query
      if (cursor !== undefined && !/^[0-9]{1,15}$/.test(cursor)) throw badCursor()
      // One entry for a look, not one for each page of it.
      if (cursor === undefined) await note(context, 'audit.view', filter)
      const found = await findEntries(
        db.sql,
        macKey,
        { ...filter, ...(await scope(context.principal)) },
        { cursor, limit },
      )
      return { items: found.entries.map(viewOf), next: found.next }
    },

    async 'GET /api/audit.csv'(context) {
      const filter: AuditFilter = { ...context.query, ...(await scope(context.principal)) }
      await note(context, 'audit.export', context.query)
      return context.reply
        .header('content-type', 'text/csv; charset=utf-8')
        .header('content-disposition', 'attachment; filename="sallyport-audit.csv"')
        .header('cache-control', 'private, no-store')
        .send(Readable.from(entriesAsCsv(db.sql, macKey, filter)))
    },

    async 'GET /api/audit/checkpoint'({ reply }) {
      const head = await audit.latestCheckpoint()
      if (!head) throw notFound('checkpoint')
      return reply.header('content-type', 'text/plain; charset=utf-8').send(head.note)
    },

    async 'GET /api/audit/entries/:index/proof'(context) {
      const { index } = context.params
      const head = await audit.latestCheckpoint()
      const [entry] = head && index < head.size ? await audit.read(index, index + 1) : []
      if (!head || !entry) throw notFound('entry under the newest checkpoint')
      const allowed = await scope(context.principal)
      if (allowed.sites !== undefined && !(await isOfSites(index, allowed.sites))) throw notFound('entry')
      const proof = await audit.inclusion(index, head.size)
      const [found] = await leafOf(index)
      if (!found) throw notFound('entry')
      return {
        index,
        size: head.size,
        leaf: found.hash.toString('hex'),
        path: proof.path.map((node) => node.toString('hex')),
        entry: entry.bytes.toString('base64'),
      }
    },

    async 'GET /api/audit/consistency'({ query }) {
      const size = await audit.size()
      if (query.from > query.to || query.to > size) {
        throw new Failure(
          400,
          'no-such-size',
          `The log has ${size} entries; sizes go up to that.`,
          'Give from <= to <= size.',
        )
      }
      const proof = await audit.consistency(query.from, query.to)
      return { from: query.from, to: query.to, path: proof.path.map((node) => node.toString('hex')) }
    },
  }

  async function leafOf(index: number) {
    return db.sql<{ hash: Buffer }[]>`SELECT hash FROM audit.node WHERE level = 0 AND idx = ${index}`
  }

  async function isOfSites(index: number, sites: readonly string[]): Promise<boolean> {
    const [row] = await db.sql<{ found: boolean }[]>`
      SELECT EXISTS (
        SELECT FROM audit.leaf l JOIN audit.entry e ON e.id = l.entry
        WHERE l.idx = ${index} AND (
          e.session IN (SELECT id FROM session WHERE site_id = ANY (${[...sites]}))
          OR e.request IN (SELECT id::text FROM access_request WHERE site_id = ANY (${[...sites]})))
      ) AS found`
    return row?.found === true
  }
}

function viewOf({ index, entry, leaf }: FoundEntry) {
  return {
    index,
    id: entry.id,
    time: entry.time,
    type: entry.type,
    action: entry.action,
    result: entry.result,
    actor: entry.actor.name ?? `${entry.actor.kind} ${entry.actor.id}`,
    object: entry.object ? `${entry.object.kind} ${entry.object.id}` : '',
    reason: entry.reason,
    sourceAddress: entry.source,
    session: entry.correlation.session,
    request: entry.correlation.request,
    details: entry.details,
    leaf: leaf.toString('hex'),
  }
}

function badCursor(): Failure {
  return new Failure(400, 'bad-cursor', 'This is no place in the list.', 'Start from the first page.')
}
