import type { SealedFrame } from '../format/frame-sealer.ts'
import type { Disk, DiskFile } from './disk.ts'

/** Bytes given to one writev. */
const BATCH_BYTES = 1024 * 1024

type Job =
  | { type: 'open'; path: string; header: Uint8Array }
  | { type: 'frame'; segment: number; frame: SealedFrame; bytes: number }
  | { type: 'close' }

export interface Head {
  segment: number
  seq: number
  c: Buffer
}

/**
 * Brings one stream's sealed frames to the disk, in order, and knows what is durable. The owner bounds it: `queued`
 * is what it reads before it gives more.
 */
export class SegmentQueue {
  /** Bytes sealed and not written yet. */
  queued = 0
  /** The last frame that fdatasync has confirmed. */
  durable: Head | null = null
  #written: Head | null = null
  #unsynced = 0
  /** When the oldest byte that isn't durable came in (owner's clock); null when everything is. */
  #dirtySince: number | null = null
  #syncRequested = false
  #jobs: Job[] = []
  #file: DiskFile | null = null
  #isRunning = false
  #hasFailed = false
  #idle: (() => void)[] = []
  readonly #disk: Disk
  readonly #now: () => number
  readonly #syncBytes: number
  readonly #onProgress: () => void
  readonly #onFailure: (error: unknown) => void

  constructor(options: {
    disk: Disk
    now: () => number
    syncBytes: number
    onProgress: () => void
    onFailure: (error: unknown) => void
  }) {
    this.#disk = options.disk
    this.#now = options.now
    this.#syncBytes = options.syncBytes
    this.#onProgress = options.onProgress
    this.#onFailure = options.onFailure
  }

  get hasFailed(): boolean {
    return this.#hasFailed
  }

  get dirtySince(): number | null {
    return this.#dirtySince
  }

  open(path: string, header: Uint8Array): void {
    this.#jobs.push({ type: 'open', path, header })
    this.#touch(header.length)
  }

  frame(segment: number, frame: SealedFrame): void {
    this.#jobs.push({ type: 'frame', segment, frame, bytes: frame.bytes })
    this.#touch(frame.bytes)
  }

  /** Ends the open segment's file, synced. */
  close(): void {
    this.#jobs.push({ type: 'close' })
    void this.#run()
  }

  /** fdatasync as soon as what is queued now has been written. */
  sync(): void {
    if (this.#dirtySince === null) return
    this.#syncRequested = true
    void this.#run()
  }

  /** Settles when nothing is left to do, or the queue has failed. */
  settled(): Promise<void> {
    if (!this.#isRunning && (this.#jobs.length === 0 || this.#hasFailed)) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  /** Gives up: nothing more is written. */
  abandon(): void {
    this.#hasFailed = true
    this.#jobs = []
    void this.#file?.close().catch(() => {})
    this.#file = null
  }

  #touch(bytes: number): void {
    this.queued += bytes
    this.#dirtySince ??= this.#now()
    void this.#run()
  }

  async #run(): Promise<void> {
    if (this.#isRunning || this.#hasFailed) return
    this.#isRunning = true
    try {
      while (!this.#hasFailed && (this.#jobs.length > 0 || (this.#syncRequested && this.#unsynced > 0))) {
        await this.#step()
      }
    } catch (error) {
      if (!this.#hasFailed) {
        this.abandon()
        this.#onFailure(error)
      }
    } finally {
      this.#isRunning = false
      for (const resolve of this.#idle.splice(0)) resolve()
    }
  }

  async #step(): Promise<void> {
    const job = this.#jobs[0]
    if (job?.type === 'open') {
      this.#jobs.shift()
      const file = await this.#disk.create(job.path)
      if (this.#hasFailed) return await file.close()
      this.#file = file
      await file.write([job.header])
      this.#wrote(job.header.length, null)
      return
    }
    if (job?.type === 'close') {
      this.#jobs.shift()
      const file = this.#file
      await this.#sync()
      this.#file = null
      await file?.close()
      return
    }
    if (job) await this.#writeBatch()
    if (this.#unsynced >= this.#syncBytes || (this.#syncRequested && this.#jobs[0]?.type !== 'frame'))
      await this.#sync()
  }

  async #writeBatch(): Promise<void> {
    const frames: SealedFrame[] = []
    let bytes = 0
    let head: Head | null = null
    while (bytes < BATCH_BYTES) {
      const job = this.#jobs[0]
      if (job?.type !== 'frame') break
      this.#jobs.shift()
      frames.push(job.frame)
      bytes += job.bytes
      head = { segment: job.segment, seq: job.frame.seq, c: job.frame.c }
    }
    if (!this.#file) throw new Error('a frame without an open segment')
    await this.#file.write(frames.flatMap(({ parts }) => parts))
    for (const frame of frames) frame.release()
    this.#wrote(bytes, head)
  }

  #wrote(bytes: number, head: Head | null): void {
    this.queued -= bytes
    this.#unsynced += bytes
    if (head) this.#written = head
    this.#onProgress()
  }

  async #sync(): Promise<void> {
    const head = this.#written
    const bytes = this.#unsynced
    const startedAt = this.#now()
    this.#syncRequested = false
    if (bytes > 0) await this.#file?.sync()
    if (this.#hasFailed) return
    this.durable = head
    this.#unsynced -= bytes
    this.#dirtySince = this.queued > 0 || this.#unsynced > 0 ? startedAt : null
    this.#onProgress()
  }
}
