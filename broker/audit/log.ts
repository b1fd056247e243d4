import type { AuditEntry } from '../contract/audit-entry.ts'
import { logOrigin } from '../contract/checkpoint.ts'
import type { Clock, Timer } from '../domain/clock.ts'
import { newId } from '../domain/ids.ts'
import type { Secret } from '../domain/secret.ts'
import { type Database, type Query, type Subscription, unavailable } from '../store/sql.ts'
import { openAlarm } from './alarms.ts'
import { type CheckpointFile, openCheckpointFile } from './checkpoint-file.ts'
import { type LogSigner, type SignedTreeHead, signCheckpoint } from './checkpoints.ts'
import { type AuditEvent, BROKER, type EntryContext } from './event.ts'
import { IntegrityError } from './integrity.ts'
import { type AuditJournal, type JournaledEvent, openJournal, stageOnce, tooLate } from './journal.ts'
import { type Orders, ordersOn } from './orders.ts'
import { type ConsistencyProof, consistencyProof, type InclusionProof, inclusionProof } from './proofs.ts'
import {
  type AuditFilter,
  type AuditPage,
  entriesAsCsv,
  entriesInOrder,
  type FoundEntry,
  findEntries,
} from './query.ts'
import { logSize, sequenceBatch } from './sequencer.ts'
import { stage } from './stage.ts'
import { verifyAgainst, verifyEntries } from './verify-log.ts'
import { type ObjectState, type SeenEntries, vouch } from './vouch.ts'

export interface AuditLogOptions {
  db: Database
  clock: Clock
  /** Deployment id: part of the log's origin. */
  deployment: string
  /** Restores begin a new epoch. */
  epoch?: number
  /** Name of this broker process, and the id of its present run (UUID). */
  node: string
  boot: string
  macKey: Secret<Buffer>
  logKey: LogSigner
  /** checkpoints.log, outside the database. */
  checkpointFile: string
  /** audit-journal.ndjson: entries made while the database is down. */
  journalFile: string
  clockState: () => AuditEntry['clock']
  policy: () => string | null
  /** How many of the newest entries a start reads again (tests of what is older). */
  checkedAtStart?: number
  /** Told of every integrity alarm, also when the database could not take it. */
  onAlarm?: (error: IntegrityError) => void
  /** Told when a round of the sequencer fails for another reason (the database is down). */
  onError?: (error: unknown) => void
}

export interface AuditLog {
  /** Stages an entry in the caller's transaction. Not in the log before that transaction commits. */
  record(tx: Query, event: AuditEvent): Promise<{ id: string; entry: AuditEntry }>
  /**
   * Throws IntegrityError, and raises the alarm, unless the log vouches for the row. `current` null = no row. `query`:
   * see `vouch`; the row must have been read in it.
   */
  verifyObject(query: Query, kind: string, id: string, current: unknown): Promise<void>
  /** The same for many objects in one query. */
  verifyObjects(query: Query, objects: readonly ObjectState[]): Promise<void>
  /** What operators ordered for this person on this endpoint. Throws IntegrityError as `verifyObject` does. */
  orders(query: Query, person: string, endpoint: string): Promise<Orders>
  /** Sequences what is staged and signs a checkpoint over it: at session start and end, and before an export. */
  checkpoint(): Promise<SignedTreeHead>
  /** Index of a committed entry, sequencing it first when it is still staged; null when there is no such entry. */
  indexOf(id: string): Promise<number | null>
  size(): Promise<number>
  /** Exact bytes of the entries [from, to), at most 1,000. */
  read(from: number, to: number): Promise<{ index: number; bytes: Buffer }[]>
  latestCheckpoint(): Promise<SignedTreeHead | null>
  inclusion(index: number, size: number): Promise<InclusionProof>
  consistency(oldSize: number, newSize: number): Promise<ConsistencyProof>
  /**
   * For what works while the database is down (an operator's stop, a site lock): writes the entry, or, when the
   * database does not answer in time, to the journal on disk, from which it is delivered later.
   */
  recordAlways(event: JournaledEvent): Promise<'recorded' | 'journaled'>
  find(filter: AuditFilter, page: { cursor?: string | null | undefined; limit: number }): Promise<AuditPage>
  /** All sequenced entries that match, oldest first. */
  inOrder(filter: AuditFilter): AsyncGenerator<FoundEntry>
  csv(filter: AuditFilter): AsyncGenerator<string>
  /** Opens the alarm and writes `integrity.alarm`; every integrity finding of the product goes through here. */
  alarm(error: IntegrityError): Promise<void>
  /** How far the running check of the whole log has come. */
  health(): LogHealth
  /** One round: takes what is staged, signs when a checkpoint is due. The loop calls it; tests may too. */
  round(): Promise<void>
  close(): Promise<void>
}

export interface LogHealth {
  /** The last checkpoint this process knows. */
  checkpoint: { size: number; ageMs: number } | null
  /** Entries read and hashed again since the start, in the present pass over the log. */
  checkedEntries: number
  /** Whether the log was read from its first to its last entry since the start. */
  checkedWhole: boolean
  /** What was found wrong: from then on nothing is vouched for and nothing is signed. */
  broken: IntegrityError | null
  /** Entries in the journal, waiting for the database. */
  journaled: number
}

/** The first pass after a start goes fast; then one batch every half minute. */
const SCRUB_FIRST_MS = 250
const SCRUB_LATER_MS = 30_000
const SCRUB_BATCH = 1_000
const POLL_MS = 500
const CHECKPOINT_EVERY_MS = 60_000
const CHECKPOINT_EVERY_ENTRIES = 1_000
const BATCH = 1_000
/** An operator's stop waits no longer than this for its entry. */
const RECORD_DEADLINE_MS = 1_000

/**
 * Opens the log: checks the database against the last checkpoint in the file (a cut or rewritten log is refused
 * with an IntegrityError and an open alarm), then starts the sequencer. Several brokers may do so on one database;
 * an advisory lock lets one of them sequence at a time.
 */
export async function openAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  const file = await openCheckpointFile(options.checkpointFile)
  const journal = await openJournal(options.journalFile, options.macKey)
  const log = new Log(options, file, journal)
  try {
    await log.start()
  } catch (error) {
    await log.close()
    throw error
  }
  return log
}

class Log implements AuditLog {
  readonly #options: AuditLogOptions
  readonly #origin: string
  readonly #epoch: number
  readonly #file: CheckpointFile
  readonly #journal: AuditJournal
  readonly #seen: SeenEntries = new Map()
  /** The last tree head known for certain: signed by us, or read from the file. The log only ever grows from it. */
  #head: SignedTreeHead | null = null
  #headAt: number
  #halted: IntegrityError | null = null
  #closed = false
  #timer: Timer | null = null
  #subscription: Subscription | null = null
  #running: Promise<void> | null = null
  #again = false
  #signing: Promise<unknown> = Promise.resolve()
  #scrubbed = 0
  #scrubbedWhole = false
  #scrubTimer: Timer | null = null
  #scrubbing: Promise<void> | null = null

  constructor(options: AuditLogOptions, file: CheckpointFile, journal: AuditJournal) {
    this.#journal = journal
    this.#options = options
    this.#epoch = options.epoch ?? 0
    this.#origin = logOrigin(options.deployment, this.#epoch)
    this.#file = file
    this.#headAt = options.clock.monotonic()
  }

  async start(): Promise<void> {
    const { db, logKey, macKey } = this.#options
    const noted = this.#file.last(this.#origin)
    try {
      this.#head = await verifyAgainst(db, {
        origin: this.#origin,
        epoch: this.#epoch,
        fileNote: noted,
        logKey,
        macKey,
        tail: this.#options.checkedAtStart,
      })
    } catch (error) {
      if (error instanceof IntegrityError) await this.alarm(error)
      throw error
    }
    if (this.#head && this.#head.note !== noted) await this.#file.append(this.#head.note)
    this.#subscription = await db.listen(
      'audit_staged',
      () => this.#wake(),
      () => this.#wake(),
    )
    this.#arm()
    this.#armScrub()
  }

  health(): LogHealth {
    return {
      checkpoint: this.#head
        ? { size: this.#head.size, ageMs: Math.round(this.#options.clock.monotonic() - this.#headAt) }
        : null,
      checkedEntries: this.#scrubbed,
      checkedWhole: this.#scrubbedWhole,
      broken: this.#halted,
      journaled: this.#journal.waiting(),
    }
  }

  async record(tx: Query, event: AuditEvent): Promise<{ id: string; entry: AuditEntry }> {
    const entry = await stage(tx, this.#options.macKey, event, this.#context())
    return { id: entry.id, entry }
  }

  async verifyObject(query: Query, kind: string, id: string, current: unknown): Promise<void> {
    await this.verifyObjects(query, [{ kind, id, current }])
  }

  async verifyObjects(query: Query, objects: readonly ObjectState[]): Promise<void> {
    // A log that is known to be tampered with vouches for nothing.
    if (this.#halted) throw this.#halted
    try {
      await vouch(query, this.#options.macKey, objects, this.#seen, this.#options.db.sql)
    } catch (error) {
      if (error instanceof IntegrityError) await this.alarm(error)
      throw error
    }
  }

  async orders(query: Query, person: string, endpoint: string): Promise<Orders> {
    if (this.#halted) throw this.#halted
    try {
      return await ordersOn(query, this.#options.macKey, person, endpoint)
    } catch (error) {
      if (error instanceof IntegrityError) await this.alarm(error)
      throw error
    }
  }

  async checkpoint(): Promise<SignedTreeHead> {
    await this.#drain()
    return this.#sign()
  }

  async indexOf(id: string): Promise<number | null> {
    const find = async () => {
      const [row] = await this.#options.db.sql<{ idx: number | null }[]>`
        SELECT l.idx FROM audit.entry e LEFT JOIN audit.leaf l ON l.entry = e.id WHERE e.id = ${id}`
      return row
    }
    const row = await find()
    if (!row || row.idx !== null) return row?.idx ?? null
    await this.#drain()
    return (await find())?.idx ?? null
  }

  size(): Promise<number> {
    return logSize(this.#options.db.sql)
  }

  async read(from: number, to: number): Promise<{ index: number; bytes: Buffer }[]> {
    return this.#options.db.sql<{ index: number; bytes: Buffer }[]>`
      SELECT l.idx AS index, e.bytes FROM audit.leaf l JOIN audit.entry e ON e.id = l.entry
      WHERE l.idx >= ${from} AND l.idx < ${Math.min(to, from + 1000)} ORDER BY l.idx`
  }

  async latestCheckpoint(): Promise<SignedTreeHead | null> {
    const [row] = await this.#options.db.sql<{ size: number; root: Buffer; note: string }[]>`
      SELECT size, root, note FROM audit.checkpoint WHERE epoch = ${this.#epoch} ORDER BY size DESC LIMIT 1`
    return row ? { size: row.size, root: row.root, note: row.note } : null
  }

  inclusion(index: number, size: number): Promise<InclusionProof> {
    return inclusionProof(this.#options.db.sql, index, size)
  }

  consistency(oldSize: number, newSize: number): Promise<ConsistencyProof> {
    return consistencyProof(this.#options.db.sql, oldSize, newSize)
  }

  async recordAlways(event: JournaledEvent): Promise<'recorded' | 'journaled'> {
    const context = { ...this.#context(), id: newId(this.#options.clock.wall()) }
    const write = () => this.#options.db.tx((tx) => stageOnce(tx, this.#options.macKey, event, context))
    try {
      await Promise.race([write(), tooLate(RECORD_DEADLINE_MS)])
      return 'recorded'
    } catch (error) {
      if (!unavailable(error)) throw error
      // Should the late transaction commit after all, the fixed id keeps the delivery from writing it twice.
      await this.#journal.write(event, context)
      return 'journaled'
    }
  }

  find(filter: AuditFilter, page: { cursor?: string | null | undefined; limit: number }): Promise<AuditPage> {
    return findEntries(this.#options.db.sql, this.#options.macKey, filter, page)
  }

  inOrder(filter: AuditFilter): AsyncGenerator<FoundEntry> {
    return entriesInOrder(this.#options.db.sql, this.#options.macKey, filter)
  }

  csv(filter: AuditFilter): AsyncGenerator<string> {
    return entriesAsCsv(this.#options.db.sql, this.#options.macKey, filter)
  }

  async alarm(error: IntegrityError): Promise<void> {
    this.#options.onAlarm?.(error)
    try {
      await this.#options.db.tx(async (tx) => {
        const opened = await openAlarm(tx, error.code, error.subject, error.message)
        // The same finding again and again is one alarm and one entry, not a flood.
        if (opened === null) return
        await this.record(tx, {
          action: 'integrity.alarm',
          actor: BROKER,
          object: { kind: 'alarm', id: opened },
          result: 'denied',
          reason: error.message,
          details: { code: error.code, subject: error.subject },
        })
      })
    } catch (cause) {
      // The finding itself must reach the caller, whatever happens to its alarm.
      this.#options.onError?.(cause)
    }
  }

  async round(): Promise<void> {
    if (this.#halted) throw this.#halted
    await this.#deliver()
    await this.#drain()
    const size = await this.size()
    const fresh = size - (this.#head?.size ?? 0)
    const elapsed = this.#options.clock.monotonic() - this.#headAt
    if (fresh >= CHECKPOINT_EVERY_ENTRIES || (fresh > 0 && elapsed >= CHECKPOINT_EVERY_MS)) await this.#sign()
    else if (fresh === 0)
      this.#headAt = Math.max(this.#headAt, this.#options.clock.monotonic() - CHECKPOINT_EVERY_MS)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    this.#scrubTimer?.cancel()
    await this.#scrubbing
    await this.#subscription?.close().catch(() => undefined)
    await this.#running?.catch(() => undefined)
    await this.#journal.close()
    await this.#file.close()
  }

  #context(): EntryContext {
    const { clock, clockState, node, boot, policy } = this.#options
    return { now: clock.wall(), clock: clockState(), node, boot, policy: policy() }
  }

  /** Journaled entries keep the time of what happened, and say how late they came. */
  async #deliver(): Promise<void> {
    if (this.#journal.waiting() === 0) return
    await this.#journal.deliver(async ({ event, context }) => {
      const delayMs = Math.max(0, Math.round(this.#options.clock.wall() - context.now))
      const late = { ...event, details: { ...event.details, delivered: 'journal', delayMs } }
      await this.#options.db.tx((tx) => stageOnce(tx, this.#options.macKey, late, context))
    })
    for (const line of this.#journal.takeForged()) {
      await this.alarm(
        new IntegrityError(
          'entry-not-ours',
          `journal line ${line}`,
          'A line of the audit journal was not written by a broker.',
        ),
      )
    }
  }

  async #drain(): Promise<void> {
    if (this.#halted) throw this.#halted
    for (;;) {
      const { taken, refused } = await sequenceBatch(this.#options.db, this.#options.macKey, BATCH)
      for (const entry of refused) {
        await this.alarm(
          new IntegrityError(
            'entry-not-ours',
            `entry ${entry}`,
            `Audit entry ${entry} was not written by a broker.`,
          ),
        )
      }
      if (taken + refused.length < BATCH) return
    }
  }

  /** One after the other, so that an older head never replaces a newer one. */
  #sign(): Promise<SignedTreeHead> {
    const next = this.#signing.catch(() => undefined).then(() => this.#signNow())
    this.#signing = next
    return next
  }

  async #signNow(): Promise<SignedTreeHead> {
    if (this.#halted) throw this.#halted
    const { db, logKey } = this.#options
    try {
      const head = await signCheckpoint(db, {
        origin: this.#origin,
        epoch: this.#epoch,
        logKey,
        previous: this.#head,
      })
      if (head.note !== this.#head?.note) await this.#file.append(head.note)
      this.#head = head
      this.#headAt = this.#options.clock.monotonic()
      return head
    } catch (error) {
      if (error instanceof IntegrityError) await this.#halt(error)
      throw error
    }
  }

  /** Never sign a second history: whoever investigates needs the first one intact. */
  async #halt(error: IntegrityError): Promise<void> {
    this.#halted = error
    await this.alarm(error)
  }

  /**
   * Reads the whole log over and over, a batch at a time. `vouch` asks only for an object's latest entry, and an
   * entry deleted far back (to bring an older row back into force) shows nowhere else.
   */
  async #scrub(): Promise<void> {
    const { db, macKey } = this.#options
    const size = await this.size()
    const to = Math.min(size, this.#scrubbed + SCRUB_BATCH)
    try {
      await verifyEntries(db.sql, macKey, this.#scrubbed, to)
    } catch (error) {
      if (error instanceof IntegrityError) await this.#halt(error)
      throw error
    }
    this.#scrubbed = to
    if (to < size) return
    this.#scrubbedWhole = true
    this.#scrubbed = 0
  }

  #armScrub(): void {
    if (this.#closed || this.#halted) return
    const pause = this.#scrubbedWhole ? SCRUB_LATER_MS : SCRUB_FIRST_MS
    this.#scrubTimer = this.#options.clock.after(pause, () => {
      this.#scrubbing = this.#scrub()
        .catch((error) => this.#options.onError?.(error))
        .finally(() => this.#armScrub())
    })
  }

  #arm(): void {
    if (this.#closed) return
    this.#timer?.cancel()
    this.#timer = this.#options.clock.after(POLL_MS, () => this.#wake())
  }

  /** At most one round at a time; a wake-up during a round makes one more. */
  #wake(): void {
    if (this.#closed) return
    if (this.#running) {
      this.#again = true
      return
    }
    this.#again = false
    this.#running = this.round()
      .catch((error) => this.#options.onError?.(error))
      .finally(() => {
        this.#running = null
        if (this.#again) this.#wake()
        else this.#arm()
      })
  }
}

export type { AuditEvent, AuditFilter, AuditPage, FoundEntry, ObjectState, SignedTreeHead }
