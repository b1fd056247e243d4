import type { JWK } from 'jose'
import type { AuditActor } from '../../broker/contract/audit-entry.ts'
import { newId } from '../../broker/domain/ids.ts'
import type { ApprovalsDeps } from '../deps.ts'
import { keepTicket, knownTicket } from './ticket-book.ts'
import { FILE_SYSTEM, keyIdOf, readTicketFile, TicketFileError } from './ticket-file.ts'
import type { TicketSystem } from './ticket-system.ts'

type FileDeps = Pick<ApprovalsDeps, 'db' | 'audit' | 'clock' | 'ticketSigner'>

interface KeyRow {
  id: string
  site_id: string
  name: string
  kid: string
  jwk: string
  enabled: boolean
}

/** What the audit log vouches for in a registered key. */
export function ticketKeyState(key: KeyRow) {
  return { id: key.id, siteId: key.site_id, name: key.name, kid: key.kid, jwk: key.jwk, enabled: key.enabled }
}

/**
 * Takes in a signed ticket file: everything of it or nothing. It counts when a key that an administrator registered
 * for the site signed it, and when it is not older than the last file by that key. Throws TicketFileError.
 * Returns the keys of its tickets.
 */
export async function receiveTicketFile(
  deps: FileDeps,
  jws: string,
  /** Null: dropped in the folder; the key says which site it speaks for. */
  from: { siteId: string | null; personId: string | null; actor: AuditActor; source: string | null },
): Promise<{ siteId: string; keys: string[] }> {
  const kid = keyIdOf(jws)
  return deps.db.tx(async (tx) => {
    const [key] = await tx<KeyRow[]>`SELECT * FROM ticket_key WHERE kid = ${kid} FOR UPDATE`
    if (!key?.enabled || (from.siteId !== null && key.site_id !== from.siteId))
      throw new TicketFileError(
        'key-not-registered',
        'The file is signed by a key that no administrator registered for this site.',
      )
    await deps.audit.verifyObjects(tx, [{ kind: 'ticket-key', id: key.id, current: ticketKeyState(key) }])
    const now = deps.clock.wall()
    const file = await readTicketFile(jws, JSON.parse(key.jwk) as JWK, now)
    const [newest] = await tx<{ issued_at: Date }[]>`
      SELECT issued_at FROM ticket_file WHERE key_id = ${key.id} ORDER BY issued_at DESC LIMIT 1`
    if (newest && newest.issued_at.getTime() > file.issuedAt)
      throw new TicketFileError(
        'older-than-known',
        `A newer file by this key is known already (signed ${newest.issued_at.toISOString()}). Sign the present state.`,
      )
    const [known] = await tx<{ id: string }[]>`SELECT id FROM ticket_file WHERE sha256 = ${file.sha256}`
    const id = known?.id ?? newId(now)
    if (!known) {
      await tx`
        INSERT INTO ticket_file (id, site_id, key_id, jws, sha256, issued_at, received_at, received_by)
        VALUES (${id}, ${key.site_id}, ${key.id}, ${jws.trim()}, ${file.sha256}, ${new Date(file.issuedAt)},
          ${new Date(now)}, ${from.personId})`
      await deps.audit.record(tx, {
        action: 'ticket-file.received',
        actor: from.actor,
        source: from.source,
        object: { kind: 'ticket-file', id },
        details: {
          sha256: file.sha256,
          kid,
          tickets: file.tickets.length,
          issuedAt: new Date(file.issuedAt).toISOString(),
        },
      })
    }
    // The newest file again changes nothing, but renews our signatures after a change of the broker's key.
    for (const ticket of file.tickets)
      await keepTicket(
        deps,
        tx,
        key.site_id,
        { ticket, readAt: Math.min(file.issuedAt, now) },
        { fileId: id, actor: from.actor },
      )
    return { siteId: key.site_id, keys: file.tickets.map((ticket) => ticket.key) }
  })
}

/** The files as a ticket system: what the newest of them said about a key. */
export function signedFileSystem(deps: FileDeps): TicketSystem {
  return {
    name: FILE_SYSTEM,
    async lookup(siteId, key) {
      const known = await knownTicket(deps, deps.db.sql, siteId, FILE_SYSTEM, key)
      return known?.facts.trusted ? { ticket: known.ticket, readAt: known.facts.fetchedAt } : null
    },
  }
}
