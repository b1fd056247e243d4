import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { type FileHandle, open, readdir, readFile, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { GatewayEvent } from '../../broker/contract/link.ts'
import { sha256 } from '../../broker/domain/canonical.ts'
import { privateFolder, writePrivate } from '../identity/private-files.ts'

/** Events that wait for a broker. Beyond it no new session opens; those that run end and are still written down. */
const FULL_AT = 50_000
/** A journal file is closed at this size, and deleted when a broker has committed all of it. */
const FILE_BYTES = 4 * 1024 * 1024
/** Lines kept for a disk that takes none. */
const UNWRITTEN_LIMIT = 10_000

const line = z.strictObject({
  seq: z.number().int().nonnegative(),
  /** SHA-256 of the line before, hex: a line taken out is seen. */
  prev: z.string().regex(/^[0-9a-f]{64}$/),
  /** The run that wrote it; lines of older versions have none. */
  boot: z.uuid().optional(),
  event: GatewayEvent,
  sig: z.string(),
})

const DOMAIN = 'sallyport/journal/v1\0'
const FIRST = '0'.repeat(64)

export interface Entry {
  seq: number
  /** The run of the gateway that wrote it; null when the line does not say. */
  boot: string | null
  event: GatewayEvent
}

export interface JournalKey {
  kty: 'OKP'
  crv: 'Ed25519'
  x: string
  d: string
  kid: string
}

/**
 * What this gateway has to tell, kept until a broker has committed it: append-only lines, each signed and chained to
 * the one before, synced before they count. A broker or database that is away loses nothing; a line that somebody
 * altered is left out loudly.
 */
export class Journal {
  readonly #dir: string
  readonly #key: KeyObject
  readonly #boot: string
  readonly #onEntry: (entry: Entry) => void
  /** In order of seq. */
  readonly #waiting = new Map<number, Entry>()
  #file: FileHandle | null = null
  #files: { path: string; last: number }[] = []
  #size = 0
  #next = 0
  #prev = FIRST
  #queue: { text: string; entry: Entry; done: () => void }[] = []
  /** What the disk did not take: it goes before the next batch, so that no line is missing between two others. */
  #unwritten: string[] = []
  #writing: Promise<void> | null = null
  #noting: Promise<void> | null = null
  #failed = false
  /** Lines that did not verify, and places where lines are missing, when the journal was read; told to the operator of the gateway. */
  readonly damaged: number

  private constructor(
    dir: string,
    key: KeyObject,
    boot: string,
    onEntry: (entry: Entry) => void,
    state: Loaded,
  ) {
    this.#dir = dir
    this.#key = key
    this.#boot = boot
    this.#onEntry = onEntry
    this.#files = state.files
    this.#next = state.next
    this.#prev = state.prev
    this.damaged = state.damaged
    for (const entry of state.entries) this.#waiting.set(entry.seq, entry)
  }

  /** Reads what earlier runs left; `boot` is this one. `onEntry` hears every event once it is on disk. */
  static async open(
    dir: string,
    key: JournalKey,
    boot: string,
    onEntry: (entry: Entry) => void,
  ): Promise<Journal> {
    await privateFolder(dir)
    const privateKey = createPrivateKey({ key: { ...key }, format: 'jwk' })
    return new Journal(dir, privateKey, boot, onEntry, await load(dir, createPublicKey(privateKey)))
  }

  get full(): boolean {
    return this.#failed || this.#waiting.size + this.#queue.length >= FULL_AT
  }

  /** Could not be written: events are still sent, but the disk no longer keeps them. */
  get failed(): boolean {
    return this.#failed
  }

  /** What no broker has committed yet, oldest first. */
  waiting(): Entry[] {
    return [...this.#waiting.values()].sort((a, b) => a.seq - b.seq)
  }

  /** Resolves when the event is on disk (or the disk has failed, which `failed` says). */
  async append(said: GatewayEvent): Promise<void> {
    // As the contract has it, so that what is signed is what is read again and what a broker takes: one that no broker
    // takes would stand before all later ones.
    const event = GatewayEvent.parse(said)
    const entry = { seq: this.#next, boot: this.#boot, event }
    this.#next += 1
    const unsigned = { seq: entry.seq, prev: this.#prev, boot: this.#boot, event }
    const sig = sign(null, Buffer.from(DOMAIN + JSON.stringify(unsigned)), this.#key).toString('base64url')
    const text = JSON.stringify({ ...unsigned, sig })
    this.#prev = sha256(text).toString('hex')
    await new Promise<void>((done) => {
      this.#queue.push({ text, entry, done })
      this.#writing ??= this.#write()
    })
  }

  /** A broker has committed it. Files of which that is true to the last line are deleted. */
  acknowledge(seq: number): void {
    if (!this.#waiting.delete(seq)) return
    const [oldest] = this.#waiting.keys()
    const keepFrom = oldest ?? this.#next
    for (const file of this.#files.filter((one) => one.last < keepFrom)) {
      this.#files = this.#files.filter((one) => one !== file)
      void unlink(file.path).catch(() => {})
    }
    if (this.#waiting.size === 0 && !this.#noting) void this.#noteAcknowledged()
  }

  async close(): Promise<void> {
    await this.#writing
    await this.#noting
    await this.#noteAcknowledged()
    await this.#file?.close()
    this.#file = null
  }

  /** So that a restart doesn't send what was committed; sending it again would do no harm either. */
  async #noteAcknowledged(): Promise<void> {
    const [oldest] = this.#waiting.keys()
    const state = JSON.stringify({ next: this.#next, acknowledgedBelow: oldest ?? this.#next })
    this.#noting = writePrivate(join(this.#dir, 'state.json'), state).catch(() => {})
    await this.#noting
    this.#noting = null
  }

  /** Many lines, one sync. */
  async #write(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue
      this.#queue = []
      try {
        const file = await this.#current()
        const text = [...this.#unwritten, ...batch.map((one) => one.text)].map((one) => `${one}\n`).join('')
        await file.appendFile(text)
        await file.datasync()
        this.#size += Buffer.byteLength(text)
        const last = batch.at(-1)?.entry.seq ?? 0
        if (this.#size >= FILE_BYTES) await this.#rotate(last)
        this.#failed = false
        this.#unwritten = []
      } catch {
        // They go to a broker all the same, and to the disk with the next one that it takes.
        this.#failed = true
        this.#unwritten = [...this.#unwritten, ...batch.map((one) => one.text)].slice(-UNWRITTEN_LIMIT)
        await this.#file?.close().catch(() => {})
        this.#file = null
      }
      for (const { entry, done } of batch) {
        this.#waiting.set(entry.seq, entry)
        this.#onEntry(entry)
        done()
      }
    }
    // In the same turn as the look at the queue: an event that comes after it starts a new round.
    this.#writing = null
  }

  async #current(): Promise<FileHandle> {
    // A new file at every start: a torn last line of a crash stays alone in its own.
    this.#file ??= await open(
      join(this.#dir, `${String(this.#next).padStart(12, '0')}.${Date.now()}.open`),
      'ax',
      0o600,
    )
    return this.#file
  }

  async #rotate(last: number): Promise<void> {
    const dir = this.#dir
    await this.#file?.close()
    this.#file = null
    this.#size = 0
    for (const name of (await readdir(dir)).filter((one) => one.endsWith('.open'))) {
      const path = join(dir, name.replace(/\.open$/, '.ndjson'))
      await rename(join(dir, name), path)
      this.#files.push({ path, last })
    }
  }
}

interface Loaded {
  files: { path: string; last: number }[]
  entries: Entry[]
  next: number
  prev: string
  damaged: number
}

async function load(dir: string, key: KeyObject): Promise<Loaded> {
  const loaded: Loaded = { files: [], entries: [], next: 0, prev: FIRST, damaged: 0 }
  let acknowledgedBelow = 0
  /** The hash that the next line must name; null where the line before is not there to tell. */
  let before: string | null = null
  let newest = -1
  try {
    const state = z
      .looseObject({ next: z.number().int(), acknowledgedBelow: z.number().int() })
      .parse(JSON.parse(await readFile(join(dir, 'state.json'), 'utf8')))
    loaded.next = state.next
    acknowledgedBelow = state.acknowledgedBelow
  } catch {
    // None yet.
  }
  for (const name of (await readdir(dir)).filter((one) => /\.(ndjson|open)$/.test(one)).sort()) {
    const path = join(dir, name)
    const lines = (await readFile(path, 'utf8')).split('\n')
    let last = -1
    for (const [index, text] of lines.entries()) {
      if (text === '') continue
      const entry = read(text, key)
      if (entry) {
        last = Math.max(last, entry.seq)
        // Written again after a disk that took it and failed to say so.
        if (entry.seq <= newest) continue
        newest = entry.seq
        if (before !== null && entry.prev !== before) loaded.damaged += 1
        before = sha256(text).toString('hex')
        loaded.prev = before
        if (entry.seq >= acknowledgedBelow)
          loaded.entries.push({ seq: entry.seq, boot: entry.boot, event: entry.event })
      } else if (index < lines.length - 1) {
        loaded.damaged += 1
        before = null
      }
    }
    loaded.next = Math.max(loaded.next, last + 1)
    if (last < acknowledgedBelow) await unlink(path).catch(() => {})
    else loaded.files.push({ path, last })
  }
  return loaded
}

function read(text: string, key: KeyObject): (Entry & { prev: string }) | null {
  try {
    const raw = JSON.parse(text)
    const { seq, prev, boot = null, event, sig } = line.parse(raw)
    // Over what is there, not over what the schema makes of it.
    const body = JSON.stringify({ seq: raw.seq, prev: raw.prev, boot: raw.boot, event: raw.event })
    return verify(null, Buffer.from(DOMAIN + body), key, Buffer.from(sig, 'base64url'))
      ? { seq, prev, boot, event }
      : null
  } catch {
    return null
  }
}
