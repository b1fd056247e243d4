import { createHmac, timingSafeEqual } from 'node:crypto'
import { type AuditEntry, auditEntry } from '../contract/audit-entry.ts'
import type { Secret } from '../domain/secret.ts'
import type { Query } from '../store/sql.ts'
import { type AuditEvent, buildEntry, type EntryContext } from './event.ts'

/** A staged row as the database gives it back. */
export interface StagedRow {
  staged: number
  bytes: Uint8Array
  mac: Uint8Array
}

const DOMAIN = 'sallyport/audit-stage/v1\0'

/**
 * HMAC-SHA256 over the staging number and the entry's bytes. The key is outside the database, so its administrator
 * can neither write an entry nor move an old one to the end, where it would vouch for an old row.
 */
export function entryMac(key: Secret<Buffer>, staged: number, bytes: Uint8Array): Buffer {
  const number = Buffer.alloc(8)
  number.writeBigUInt64BE(BigInt(staged))
  return createHmac('sha256', key.reveal()).update(DOMAIN).update(number).update(bytes).digest()
}

export function macHolds(key: Secret<Buffer>, row: StagedRow): boolean {
  const expected = entryMac(key, row.staged, row.bytes)
  return row.mac.length === expected.length && timingSafeEqual(row.mac, expected)
}

/** Writes the entry into the caller's transaction, so that change and entry stand or fall together. */
export async function stage(
  query: Query,
  key: Secret<Buffer>,
  event: AuditEvent,
  context: EntryContext,
): Promise<AuditEntry> {
  const { entry, bytes } = buildEntry(event, context)
  const [row] = await query<{ staged: number }[]>`SELECT nextval('audit.entry_staged') AS staged`
  if (!row) throw new Error('nextval gave no row')
  await query`INSERT INTO audit.entry (staged, bytes, mac)
    VALUES (${row.staged}, ${Buffer.from(bytes)}, ${entryMac(key, row.staged, bytes)})`
  return entry
}

/** The entry in its bytes. Throws on bytes that are no entry: the MAC has been checked before. */
export function readEntry(bytes: Uint8Array): AuditEntry {
  return auditEntry.parse(JSON.parse(Buffer.from(bytes).toString('utf8')))
}
