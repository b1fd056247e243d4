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
  /** Something that a person must look at: evidence that the broker does not take. */
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
  #timer: NodeJS.Timeout | null = null
  #stopped = false
  #idle: (() => void)[] = []

  constructor(deps: ShipperDeps) {
    this.#deps = deps
  }

  /** Recordings whose receipt has not come yet. */
  get waiting(): number {
    return this.#due.size + this.#working.size
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

  /** The recording is over and has its manifest. */
  ship(recording: string): void {
    if (this.#working.has(recording)) return
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
    } catch {
      // Tried again with the next round.
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
      if (entry.at > now) continue
      this.#due.delete(recording)
      this.#working.add(recording)
      void this.#deliver(recording)
        .catch(() => false)
        .then((delivered) => {
          this.#working.delete(recording)
          if (!delivered) {
            const wait = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(entry.attempt, 10))
            const at = performance.now() + wait * (0.5 + Math.random() / 2)
            this.#due.set(recording, { attempt: entry.attempt + 1, at })
          }
          this.#work()
        })
    }
    const next = Math.min(...[...this.#due.values()].map((entry) => entry.at))
    if (Number.isFinite(next)) {
      this.#timer = setTimeout(() => this.#work(), Math.max(50, next - performance.now()))
      this.#timer.unref()
    }
  }

  async #deliver(recording: string): Promise<boolean> {
    const broker = this.#deps.broker()
    if (!broker) return false
    const { spool, uploader } = this.#deps
    const jws = await readFile(manifestFile(recordingFolder(spool, recording)), 'latin1')
    if (!(await this.#sendParts(broker, recording, true))) return false
    const answer = await uploader.text(broker, `${recording}/manifest.jws`, jws)
    if (answer.status !== 200) {
      // What it says is missing is sent again from the start.
      this.#sent.delete(recording)
      if (answer.status === 422 || answer.status === 403)
        this.#deps.problem(recording, `manifest: ${answer.body.slice(0, 200)}`)
      return false
    }
    const receipt = answer.body.trim()
    if (!(await this.#counts(receipt, recording, jws))) {
      this.#deps.problem(recording, 'the receipt does not verify')
      return false
    }
    await writePrivate(this.#receiptFile(recording), receipt)
    await this.#remove(recording)
    return true
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

  /** `all`: the recording is over. Otherwise only segments that have a successor, which no one writes any more. */
  async #sendParts(broker: string, recording: string, all: boolean): Promise<boolean> {
    const folder = recordingFolder(this.#deps.spool, recording)
    const sent = this.#sent.get(recording) ?? new Set<string>()
    this.#sent.set(recording, sent)
    for (const { path, file } of await parts(folder, all)) {
      if (sent.has(path)) continue
      const answer = await this.#deps.uploader.file(broker, `${recording}/${path}`, file)
      if (answer.status !== 200 && answer.status !== 201) {
        if (answer.status === 409 || answer.status === 422)
          this.#deps.problem(recording, `${path}: ${answer.body.slice(0, 200)}`)
        return false
      }
      sent.add(path)
    }
    return true
  }

  #receiptFile(recording: string): string {
    return join(this.#deps.receipts, `${recording}.jws`)
  }

  async #remove(recording: string): Promise<void> {
    this.#sent.delete(recording)
    await rm(recordingFolder(this.#deps.spool, recording), { recursive: true, force: true })
  }
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
