import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { TILE_BYTES } from '../screen/grid.ts'
import type { EncodedJob, EncodeJob } from './messages.ts'
import type { EncodedRect } from './tight.ts'

/** Tiles of one job: enough that posting costs little beside encoding, few enough that both threads have work. */
export const JOB_TILES = 32
/** Blocks kept for the next jobs; one 1920x1080 screen fills 16. */
const SPARE_BLOCKS = 16
/** Jobs that a thread has at once: the next is there when one is done. */
const AHEAD = 2
/** A job that ended its thread is tried once more on a new one; then whoever asked is told. */
const ATTEMPTS = 2

interface Pending {
  job: EncodeJob
  attempts: number
  done: PromiseWithResolvers<EncodedRect[]>
}

interface Thread {
  worker: Worker
  busy: Map<number, Pending>
}

/**
 * Threads that encode for all desktops of a session worker. They start with the first job. Jobs are taken in the order
 * in which they were asked for; their number is bounded by those who ask, each of whom has one update on its way.
 */
export class EncodePool {
  readonly #entry: URL | string
  readonly #size: number
  readonly #waiting: Pending[] = []
  readonly #spare: SharedArrayBuffer[] = []
  #threads: Thread[] = []
  #nextId = 1
  #isStopped = false

  /** `entry`: the compiled encode-thread.ts of a bundle, where it isn't beside this module. */
  constructor(
    size = Math.min(2, availableParallelism()),
    entry: URL | string = new URL('./encode-thread.ts', import.meta.url),
  ) {
    this.#size = size
    this.#entry = entry
  }

  /** Room for the pixels of JOB_TILES tiles. Give it to `encode`. */
  block(): SharedArrayBuffer {
    return this.#spare.pop() ?? new SharedArrayBuffer(JOB_TILES * TILE_BYTES)
  }

  /** Takes the block back when the job is done. Rejects when threads keep dying of it. */
  encode(pixels: SharedArrayBuffer, sizes: Uint8Array): Promise<EncodedRect[]> {
    if (this.#isStopped) return Promise.reject(new Error('the encoding threads have been stopped'))
    const pending: Pending = {
      job: { id: this.#nextId, pixels, sizes },
      attempts: 0,
      done: Promise.withResolvers(),
    }
    this.#nextId += 1
    this.#waiting.push(pending)
    this.#hand()
    return pending.done.promise
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    const threads = this.#threads
    this.#threads = []
    await Promise.all(threads.map(({ worker }) => worker.terminate()))
    const left = [...threads.flatMap(({ busy }) => [...busy.values()]), ...this.#waiting.splice(0)]
    for (const { done } of left) done.reject(new Error('the encoding threads have been stopped'))
  }

  #hand(): void {
    while (this.#waiting.length > 0) {
      const thread = this.#free()
      const next = thread && this.#waiting.shift()
      if (!next) return
      next.attempts += 1
      thread.busy.set(next.job.id, next)
      thread.worker.ref()
      thread.worker.postMessage(next.job)
    }
  }

  /** The thread with the least to do; a new one before a second job for another. */
  #free(): Thread | null {
    const [least] = [...this.#threads].sort((a, b) => a.busy.size - b.busy.size)
    if ((!least || least.busy.size > 0) && this.#threads.length < this.#size) return this.#spawn()
    return least && least.busy.size < AHEAD ? least : null
  }

  #spawn(): Thread {
    const worker = new Worker(this.#entry, { name: 'encode', env: {} })
    const thread: Thread = { worker, busy: new Map() }
    worker.on('message', (done: EncodedJob) => this.#finish(thread, done))
    worker.once('error', () => {})
    worker.once('exit', () => this.#lost(thread))
    // Only a thread that has something to do keeps the process running.
    worker.unref()
    this.#threads.push(thread)
    return thread
  }

  #finish(thread: Thread, { id, colours, lengths, bodies }: EncodedJob): void {
    const pending = thread.busy.get(id)
    if (!pending) return
    thread.busy.delete(id)
    if (thread.busy.size === 0) thread.worker.unref()
    if (this.#spare.length < SPARE_BLOCKS) this.#spare.push(pending.job.pixels)
    let at = 0
    const rects: EncodedRect[] = []
    for (let index = 0; index < lengths.length; index++) {
      const end = at + (lengths[index] ?? 0)
      // A copy, so that a tile that is kept does not keep what was encoded beside it.
      rects.push({ colour: colours[index] ?? -1, body: bodies.slice(at, end) })
      at = end
    }
    pending.done.resolve(rects)
    this.#hand()
  }

  #lost(thread: Thread): void {
    this.#threads = this.#threads.filter((one) => one !== thread)
    if (this.#isStopped) return
    for (const pending of thread.busy.values()) {
      if (pending.attempts < ATTEMPTS) this.#waiting.unshift(pending)
      else pending.done.reject(new Error('encoding threads end with this picture'))
    }
    thread.busy.clear()
    this.#hand()
  }
}
