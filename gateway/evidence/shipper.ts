import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { JWS_TYPES } from '../../broker/domain/grant.ts'
import { isId } from '../../broker/domain/ids.ts'
import { STREAMS } from '../../broker/domain/words.ts'
import { decodeJws, jwsHash, verifyJws } from '../../recordings/format/jws.ts'
import { receipt as receiptSchema } from '../../recordings/format/manifest.ts'
import { keysFolder, manifestFile, recordingFolder, segmentNumber } from '../../recordings/spool/layout.ts'
import type { BrokerKeys } from '../identity/identity.ts'
import { privateFolder, writePrivate } from '../identity/private-files.ts'
import type { UploadAnswer } from './upload.ts'

const FIRST_RETRY_MS = 1000
const LONGEST_RETRY_MS = 60_000
const AT_ONCE = 2
/** Refusals and lost connections are a matter of time; one that goes on for so many attempts is told. */
const TELL_AFTER = 8

export interface ShipperDeps {
  spool: string
  receipts: string
  /** A broker to send to now; null when none is reachable. */
  broker(): string | null
  brokerKeys(): BrokerKeys
  uploader: {
    file(broker: string, path: string, from: string): Promise<UploadAnswer>
    text(broker: string, path: string, text: string): Promise<UploadAnswer>
  }
  /** Something that a person must look at: evidence that does not get to the broker. Once for each cause. */
  problem(recording: string, what: string): void
}

/**
 * Brings recordings to the broker: segments as they are finished, wraps, at the end the manifest. The copy in the
 * spool goes only when the broker's signed receipt over exactly this manifest has been verified and stored.
 */
export class Shipper {
  readonly #deps: ShipperDeps
  /** Objects that the broker has, by recording. Lost at a restart: sending again is answered "same". */
  readonly #sent = new Map<string, Set<string>>()
  readonly #due = new Map<string, { attempt: number; at: number }>()
  readonly #working = new Set<string>()
  /** What was told of a recording already. */
  readonly #told = new Map<string, Set<string>>()
  #timer: NodeJS.Timeout | null = null
  #stopped = false
  #idle: (() => void)[] = []

  constructor(deps: ShipperDeps) {
    this.#deps = deps
  }

  /** Recordings whose receipt has not come yet. */
  get waiting(): number {
    return this.#due.size + [...this.#working].filter((recording) => !this.#due.has(recording)).length
  }

  /** Removes what a crash left of recordings that were delivered. Before the recovery, which must not see them. */
  async tidy(): Promise<void> {
    await privateFolder(this.#deps.receipts)
    for (const recording of (await readdir(this.#deps.spool)).filter(isId))
      if (await exists(this.#receiptFile(recording))) await this.#remove(recording)
  }

  /** Everything in the spool that has a manifest. */
  async start(): Promise<void> {
    for (const recording of (await readdir(this.#deps.spool)).filter(isId))
      if (await exists(manifestFile(recordingFolder(this.#deps.spool, recording)))) this.ship(recording)
  }

  /** The recording is over and has its manifest. While its finished segments are being sent, the order waits for that. */
  ship(recording: string): void {
    this.#due.set(recording, { attempt: 0, at: 0 })
    this.#work()
  }

  /** Finished segments of a recording that goes on. Failures do not matter: the end sends everything again. */
  async shipFinished(recording: string): Promise<void> {
    const broker = this.#deps.broker()
    if (!broker || this.#working.has(recording) || this.#due.has(recording)) return
    this.#working.add(recording)
    try {
      await this.#sendParts(broker, recording, false)
    } catch (error) {
      // Sent again with the next round.
      if (isLocal(error)) this.#tell(recording, error.message)
    } finally {
      this.#working.delete(recording)
      this.#work()
    }
  }

  /** A broker is back: don't wait for the back-off. */
  wake(): void {
    for (const entry of this.#due.values()) entry.at = 0
    this.#work()
  }

  /** Resolves when what is being sent now has ended. Nothing new is begun. */
  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#timer) clearTimeout(this.#timer)
    if (this.#working.size > 0) await new Promise<void>((done) => this.#idle.push(done))
  }

  #work(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#working.size === 0) for (const done of this.#idle.splice(0)) done()
    if (this.#stopped) return
    const now = performance.now()
    for (const [recording, entry] of this.#due) {
      if (this.#working.size >= AT_ONCE) return
      if (entry.at > now || this.#working.has(recording)) continue
      this.#due.delete(recording)
      this.#working.add(recording)
      void this.#deliver(recording)
        .catch((error: unknown): Outcome => {
          if (isLocal(error)) this.#tell(recording, error.message)
          return { delivered: false, why: error instanceof Error ? error.message : String(error) }
        })
        .then(({ delivered, why }) => {
          this.#working.delete(recording)
          if (delivered) this.#told.delete(recording)
          else this.#later(recording, entry.attempt, why)
          this.#work()
        })
    }
    const next = Math.min(
      ...[...this.#due].flatMap(([recording, entry]) => (this.#working.has(recording) ? [] : [entry.at])),
    )
    if (Number.isFinite(next)) {
      this.#timer = setTimeout(() => this.#work(), Math.max(50, next - performance.now()))
      this.#timer.unref()
    }
  }

  /** `why`: null while no broker is linked, which the link itself tells. */
  #later(recording: string, attempt: number, why: string | null): void {
    // `ship` has been called again meanwhile.
    if (this.#due.has(recording)) return
    const wait = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempt, 10))
    this.#due.set(recording, {
      attempt: attempt + 1,
      at: performance.now() + wait * (0.5 + Math.random() / 2),
    })
    if (attempt + 1 >= TELL_AFTER && why !== null) this.#tell(recording, why)
  }

  #tell(recording: string, what: string): void {
    const told = this.#told.get(recording) ?? new Set()
    this.#told.set(recording, told)
    if (told.has(what)) return
    told.add(what)
    this.#deps.problem(recording, what)
  }

  async #deliver(recording: string): Promise<Outcome> {
    const broker = this.#deps.broker()
    if (!broker) return { delivered: false, why: null }
    const { spool, uploader } = this.#deps
    const jws = await readFile(manifestFile(recordingFolder(spool, recording)), 'latin1')
    const refused = await this.#sendParts(broker, recording, true)
    if (refused !== null) return { delivered: false, why: refused }
    const answer = await uploader.text(broker, `${recording}/manifest.jws`, jws)
    if (answer.status !== 200) {
      // What it says is missing is sent again from the start.
      this.#sent.delete(recording)
      const why = refusalOf('manifest', answer)
      if (answer.status === 422 || answer.status === 403) this.#tell(recording, why)
      return { delivered: false, why }
    }
    const receipt = answer.body.trim()
    if (!(await this.#counts(receipt, recording, jws))) {
      this.#tell(recording, 'the receipt does not verify')
      return { delivered: false, why: null }
    }
    await writePrivate(this.#receiptFile(recording), receipt)
    await this.#remove(recording)
    return { delivered: true, why: null }
  }

  /** A receipt by a key that the broker uses, over exactly this manifest. */
  async #counts(receipt: string, recording: string, manifestJws: string): Promise<boolean> {
    const named = decodeJws(receipt, JWS_TYPES.receipt, receiptSchema)
    const x = named.ok ? this.#deps.brokerKeys().get(named.value.kid) : undefined
    if (x === undefined) return false
    const verified = await verifyJws(receipt, JWS_TYPES.receipt, receiptSchema, x)
    return (
      verified.ok &&
      verified.value.payload.recording === recording &&
      verified.value.payload.manifest === jwsHash(manifestJws)
    )
  }

  /**
   * `all`: the recording is over. Otherwise only segments that have a successor, which no one writes any more. What was
   * refused, or null.
   */
  async #sendParts(broker: string, recording: string, all: boolean): Promise<string | null> {
    const folder = recordingFolder(this.#deps.spool, recording)
    const sent = this.#sent.get(recording) ?? new Set<string>()
    this.#sent.set(recording, sent)
    for (const { path, file } of await parts(folder, all)) {
      if (sent.has(path)) continue
      const answer = await this.#deps.uploader.file(broker, `${recording}/${path}`, file)
      if (answer.status !== 200 && answer.status !== 201) {
        const why = refusalOf(path, answer)
        if (answer.status === 403 || answer.status === 409 || answer.status === 422)
          this.#tell(recording, why)
        return why
      }
      sent.add(path)
    }
    return null
  }

  #receiptFile(recording: string): string {
    return join(this.#deps.receipts, `${recording}.jws`)
  }

  async #remove(recording: string): Promise<void> {
    this.#sent.delete(recording)
    await rm(recordingFolder(this.#deps.spool, recording), { recursive: true, force: true })
  }
}

interface Outcome {
  delivered: boolean
  why: string | null
}

function refusalOf(what: string, { status, body }: UploadAnswer): string {
  return `${what}: ${status} ${body.slice(0, 200)}`
}

/** A failure of this machine's disk, which no waiting mends; `syscall` of a network failure is another. */
function isLocal(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'path' in error && 'syscall' in error
}

async function parts(folder: string, all: boolean): Promise<{ path: string; file: string }[]> {
  const found: { path: string; file: string }[] = []
  for (const stream of STREAMS) {
    const numbers = (await readdir(join(folder, stream)))
      .flatMap((name) => segmentNumber(name) ?? [])
      .sort((a, b) => a - b)
    const last = numbers.at(-1)
    for (const number of numbers) {
      if (!all && number === last) continue
      const key = `${stream}-${number}.jwe`
      const keyPath = join(keysFolder(folder), key)
      if (await exists(keyPath)) found.push({ path: `keys/${key}`, file: keyPath })
      found.push({ path: `${stream}/${number}.spr`, file: join(folder, stream, `${number}.spr`) })
    }
  }
  return found
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  )
}
