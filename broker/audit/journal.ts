import { createHmac, timingSafeEqual } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import type { Secret } from '../domain/secret.ts'
import { late } from '../store/deadline.ts'
import type { Query } from '../store/sql.ts'
import type { AuditEvent, EntryContext } from './event.ts'
import { stage } from './stage.ts'

/** What is made while the database is down changes no row, so it vouches for none. */
export type JournaledEvent = Omit<AuditEvent, 'before' | 'after'>

export interface JournalEntry {
  event: JournaledEvent
  context: EntryContext & { id: string }
}

/** A bounded, synced file of entries that wait for the database. */
export interface AuditJournal {
  /** Durable when it returns. Throws JournalFull. */
  write(event: JournaledEvent, context: EntryContext & { id: string }): Promise<void>
  waiting(): number
  /** Hands every entry over, in order, and empties the file. What cannot be handed over stays. */
  deliver(take: (entry: JournalEntry) => Promise<void>): Promise<void>
  /** Numbers of lines without a valid MAC, once. They are not delivered. */
  takeForged(): number[]
  close(): Promise<void>
}

export class JournalFull extends Error {
  readonly code = 'audit-journal-full'
  constructor() {
    super('The database has been down for so long that the audit journal is full. Restore the database.')
  }
}

const LIMIT_LINES = 10_000
const LIMIT_BYTES = 8 * 1024 * 1024
const DOMAIN = 'sallyport/audit-journal/v1\0'

export async function openJournal(file: string, key: Secret<Buffer>): Promise<AuditJournal> {
  const handle = await open(file, 'a+', 0o600)
  const text = (await handle.readFile()).toString('utf8')
  // What follows the last newline was torn by a power cut and never acknowledged.
  const kept = text.slice(0, text.lastIndexOf('\n') + 1)
  if (kept !== text) await handle.truncate(Buffer.byteLength(kept))
  const forged: number[] = []
  const entries = kept
    .split('\n')
    .slice(0, -1)
    .flatMap((line, index) => {
      const entry = readLine(line, key)
      if (!entry) forged.push(index + 1)
      return entry ? [entry] : []
    })
  return new Journal(handle, key, entries, forged, Buffer.byteLength(kept))
}

class Journal implements AuditJournal {
  readonly #handle: FileHandle
  readonly #key: Secret<Buffer>
  #entries: JournalEntry[]
  #forged: number[]
  #bytes: number
  /** One file operation after the other. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(
    handle: FileHandle,
    key: Secret<Buffer>,
    entries: JournalEntry[],
    forged: number[],
    bytes: number,
  ) {
    this.#handle = handle
    this.#key = key
    this.#entries = entries
    this.#forged = forged
    this.#bytes = bytes
  }

  waiting(): number {
    return this.#entries.length + this.#forged.length
  }

  write(event: JournaledEvent, context: EntryContext & { id: string }): Promise<void> {
    return this.#inTurn(async () => {
      const line = Buffer.from(writeLine({ event, context }, this.#key))
      if (this.#entries.length >= LIMIT_LINES || this.#bytes + line.length > LIMIT_BYTES)
        throw new JournalFull()
      await this.#handle.appendFile(line)
      await this.#handle.datasync()
      this.#bytes += line.length
      this.#entries.push({ event, context })
    })
  }

  async deliver(take: (entry: JournalEntry) => Promise<void>): Promise<void> {
    const batch = [...this.#entries]
    // Not in turn: a hanging database must not keep an operator's stop from being written.
    for (const entry of batch) await take(entry)
    await this.#inTurn(async () => {
      // Something came in meanwhile: the whole file is delivered again, which takes each entry once.
      if (this.#entries.length > batch.length) return
      await this.#handle.truncate(0)
      await this.#handle.datasync()
      this.#entries = []
      this.#bytes = 0
    })
  }

  takeForged(): number[] {
    const lines = this.#forged
    this.#forged = []
    return lines
  }

  async close(): Promise<void> {
    await this.#last.catch(() => undefined)
    await this.#handle.close()
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.catch(() => undefined).then(work)
    this.#last = result
    result.catch(() => undefined)
    return result
  }
}

/** Stages an entry unless its id is in the log already: a delivery that was cut off is repeated. */
export async function stageOnce(
  query: Query,
  key: Secret<Buffer>,
  event: JournaledEvent,
  context: EntryContext & { id: string },
): Promise<void> {
  const [known] = await query`SELECT 1 FROM audit.entry WHERE id = ${context.id}`
  if (!known) await stage(query, key, event, context)
}

/** Rejects after `ms` with an error that counts as "database unavailable". */
export function tooLate(ms: number): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(late(ms)), ms).unref()
  })
}

function mac(key: Secret<Buffer>, text: string): Buffer {
  return createHmac('sha256', key.reveal()).update(DOMAIN).update(text).digest()
}

function writeLine(entry: JournalEntry, key: Secret<Buffer>): string {
  const text = JSON.stringify(entry)
  return `${mac(key, text).toString('hex')} ${text}\n`
}

function readLine(line: string, key: Secret<Buffer>): JournalEntry | null {
  const text = line.slice(65)
  const given = Buffer.from(line.slice(0, 64), 'hex')
  const expected = mac(key, text)
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null
  return JSON.parse(text) as JournalEntry
}
