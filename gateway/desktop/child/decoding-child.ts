import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { z } from 'zod'
import type { Clock, Timer } from '../../../broker/domain/clock.ts'
import { ChildNonsense } from './apply-paint.ts'
import { type ChildStanding, FROM_CHILD, FrameError, FrameReader, frameHeader } from './frames.ts'
import { type ChildProgram, commandLine, holds, type SandboxReport } from './sandbox.ts'

export interface ChildHandlers {
  /** Throws ChildNonsense for a message that no honest child sends. */
  message(type: number, payload: Uint8Array): void
  /** The child takes bytes again after `send` had said false. */
  drain(): void
  /** Once, and nothing after it. null: the child ended because `finish` told it to. */
  gone(why: string | null): void
}

export interface ChildLimits {
  /** Resident memory; Node itself takes about 65 MB of it. */
  rssBytes: number
  /** How long the child may leave its input lying. */
  stuckMs: number
  readyMs: number
}

export const CHILD_LIMITS: ChildLimits = {
  rssBytes: 320 * 1024 * 1024,
  stuckMs: 15_000,
  readyMs: 30_000,
}

const WATCH_MS = 250
/** What the child paints takes this thread no longer at a stretch, and as long as it took the thread is left to others. */
const TURN_MS = 8
const PAGE = 4096
const Standing = z.strictObject({
  uid: z.int(),
  networkInterfaces: z.int(),
}) satisfies z.ZodType<ChildStanding>

/** A decoding process as its session sees it: bytes in, messages out, and an end that nothing can put off. */
export class DecodingChild {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>
  readonly #clock: Clock
  readonly #limits: ChildLimits
  readonly #ready = Promise.withResolvers<ChildStanding>()
  #handlers: ChildHandlers | null = null
  #watch: Timer | null = null
  #waitingSince: number | null = null
  #isReady = false
  #finishing = false
  #over = false
  /** What came and has not been taken yet: of one chunk of the pipe at most. */
  #heap: { type: number; payload: Uint8Array }[] = []
  #isResting = false
  #isOutputWanted = true
  /** How the process ended while there was still something to take. */
  #ended: { why: string | null } | null = null

  private constructor(command: readonly string[], clock: Clock, limits: ChildLimits) {
    this.#clock = clock
    this.#limits = limits
    const [file = '', ...words] = command
    this.#process = spawn(file, words, { stdio: ['pipe', 'pipe', 'ignore'], env: {}, cwd: '/' })
    const reader = new FrameReader()
    this.#process.stdin.on('error', () => {})
    this.#process.stdin.on('drain', () => {
      this.#waitingSince = null
      this.#handlers?.drain()
    })
    this.#process.stdout.on('error', () => {})
    this.#process.stdout.on('data', (chunk: Buffer) => {
      if (this.#over) return
      try {
        reader.push(chunk, (type, payload) => this.#heap.push({ type, payload }))
      } catch (error) {
        if (!(error instanceof FrameError)) throw error
        this.#end(`the decoder sent ${error.message}`)
      }
      this.#work()
    })
    this.#process.on('error', () => this.#end('the decoder could not be started'))
    this.#process.on('close', (code) => {
      this.#ended = { why: this.#finishing && code === 0 ? null : 'the decoder ended by itself' }
      this.#work()
    })
    this.#ready.promise.catch(() => {})
    this.#look()
  }

  /** Resolves with a child that has loaded everything and stands where `sandbox` says; rejects otherwise. */
  static async start(
    program: ChildProgram,
    sandbox: SandboxReport,
    clock: Clock,
    limits: ChildLimits = CHILD_LIMITS,
  ): Promise<DecodingChild> {
    const child = new DecodingChild(commandLine(program, sandbox), clock, limits)
    const late = clock.after(limits.readyMs, () => child.#end('the decoder did not start in time'))
    try {
      const standing = await child.#ready.promise
      if (!holds(sandbox, child.pid, standing)) throw new Error('the decoder does not stand in its sandbox')
      return child
    } catch (error) {
      child.kill()
      throw error
    } finally {
      late.cancel()
    }
  }

  get pid(): number {
    return this.#process.pid ?? -1
  }

  get alive(): boolean {
    return !this.#over
  }

  /** Who hears the child from now on. */
  attach(handlers: ChildHandlers): void {
    this.#handlers = handlers
  }

  /** Bytes for the child that it has not taken. */
  get queued(): number {
    return this.#process.stdin.writableLength
  }

  /** False when the child is behind; it goes on after `drain`. `sent`: the payload is needed no more. */
  send(type: number, payload: Uint8Array, sent?: () => void): boolean {
    if (this.#over || this.#finishing) {
      sent?.()
      return true
    }
    this.#process.stdin.cork()
    this.#process.stdin.write(frameHeader(type, payload.length))
    const more = this.#process.stdin.write(payload, sent)
    this.#process.stdin.uncork()
    if (!more) this.#waitingSince ??= this.#clock.monotonic()
    return more
  }

  /** No more bytes come: the child says what it still has to say and ends. */
  finish(): void {
    this.#finishing = true
    this.#process.stdin.end()
  }

  /** Stops reading what the child paints; soon it waits, and its input with it. */
  pauseOutput(): void {
    this.#isOutputWanted = false
    this.#process.stdout.pause()
  }

  resumeOutput(): void {
    this.#isOutputWanted = true
    this.#waitingSince = null
    if (!this.#isResting) this.#process.stdout.resume()
  }

  /** SIGKILL; no handler is called after this. */
  kill(): void {
    this.#handlers = null
    this.#end('killed')
  }

  /**
   * Takes what has come, in turns. A few bytes of an asset can be a whole large screen to paint, again and again; the other
   * sessions of this thread keep half of it. Counted by the machine's clock: it is work, not time, that is shared.
   */
  #work(): void {
    if (this.#isResting) return
    const began = performance.now()
    let taken = 0
    try {
      for (const { type, payload } of this.#heap) {
        if (this.#over || performance.now() - began > TURN_MS) break
        taken += 1
        this.#heard(type, payload)
      }
    } catch (error) {
      if (!(error instanceof ChildNonsense)) throw error
      this.#end(`the decoder sent ${error.message}`)
    }
    if (this.#over) return
    this.#heap = this.#heap.slice(taken)
    if (this.#heap.length > 0) {
      this.#isResting = true
      this.#process.stdout.pause()
      setTimeout(() => {
        this.#isResting = false
        this.#work()
      }, performance.now() - began)
      return
    }
    if (this.#ended) this.#end(this.#ended.why)
    else if (this.#isOutputWanted) this.#process.stdout.resume()
  }

  #heard(type: number, payload: Uint8Array): void {
    if (this.#isReady) {
      if (!this.#handlers) throw new ChildNonsense('a message before its start')
      this.#handlers.message(type, payload)
      return
    }
    if (type !== FROM_CHILD.ready || payload.length > 1024) throw new ChildNonsense('no word of being ready')
    let standing: unknown = null
    try {
      standing = JSON.parse(new TextDecoder().decode(payload))
    } catch {
      // Refused below, like any other form.
    }
    const parsed = Standing.safeParse(standing)
    if (!parsed.success) throw new ChildNonsense('no word of being ready')
    this.#isReady = true
    this.#ready.resolve(parsed.data)
  }

  #look(): void {
    this.#watch = this.#clock.after(WATCH_MS, () => {
      if (this.#over) return
      if (residentBytes(this.pid) > this.#limits.rssBytes) {
        this.#end('the decoder used too much memory')
        return
      }
      const waiting = this.#waitingSince
      // A child whose own output is not taken waits rightly.
      if (this.#process.stdout.isPaused()) this.#waitingSince = null
      else if (waiting === null && this.#process.stdin.writableNeedDrain)
        this.#waitingSince = this.#clock.monotonic()
      else if (waiting !== null && this.#clock.monotonic() - waiting > this.#limits.stuckMs) {
        this.#end('the decoder did not answer')
        return
      }
      this.#look()
    })
  }

  #end(why: string | null): void {
    if (this.#over) return
    this.#over = true
    this.#watch?.cancel()
    this.#process.kill('SIGKILL')
    this.#process.stdin.destroy()
    this.#process.stdout.destroy()
    this.#ready.reject(new Error(why ?? 'ended'))
    const handlers = this.#handlers
    this.#handlers = null
    handlers?.gone(why)
  }
}

/** 0 where the system does not tell. */
function residentBytes(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1] ?? 0) * PAGE
  } catch {
    return 0
  }
}
