import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { SessionEnd, SessionState } from '../../broker/domain/words.ts'
import type { AnchorHead } from '../../recordings/format/anchor.ts'
import { type FromWorker, processMs, type ToWorker, type WorkerStart } from './messages.ts'

type Distribute<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never
type Asked = Distribute<
  Extract<ToWorker, { id: number }> & { type: 'open' | 'dial' | 'command' | 'shut-down' },
  'id'
>

export interface Answer {
  ok: boolean
  code: string | null
  tookMs: number | null
}

export interface PoolHandlers {
  event(event: Extract<FromWorker, { type: 'event' }>['event']): void
  /** Answer with `credential(...)`. */
  credential(ask: { session: string; grant: string }): Promise<string | null>
  closed(closed: Extract<FromWorker, { type: 'closed' }>): void
  /** The recording of a session that was closed before; `no` also when its thread died over it. */
  sealed(
    sealed: Pick<Extract<FromWorker, { type: 'sealed' }>, 'session' | 'sealed' | 'recording' | 'heads'>,
  ): void
  /** A thread died with these sessions in it. */
  crashed(sessions: LostSession[], why: string): void
  /** A thread does not start again; once, until one does. */
  short(why: string): void
}

/** A session whose thread died; `stop` when that was how an operator's order was carried out. */
export interface LostSession {
  session: string
  recording: string
  stop: { end: SessionEnd; by: string; tookMs: number } | null
}

/** What each new worker is given. */
export type StartData = () => Promise<{ data: WorkerStart; transfer: WorkerStart['screenModel'][] }>

interface Running {
  session: string
  recording: string
  /** The grant in force; the session itself refuses an older one. */
  grant: string
  serial: number
  state: SessionState
  worker: PooledWorker
  stop: LostSession['stop']
}

interface PooledWorker {
  thread: Worker
  sessions: Set<string>
}

/** A worker that does not answer a stop within this time is ended with all that runs in it: the limit is 5 s. */
const STUCK_MS = 4000
const ANSWER_MS = 15_000
const FIRST_RESTART_MS = 1000
const LONGEST_RESTART_MS = 60_000

export function defaultWorkers(): number {
  return Math.max(2, availableParallelism())
}

/** The session workers. A session stays on one thread for its life, so one flood doesn't slow the sessions of another. */
export class Pool {
  readonly #handlers: PoolHandlers
  readonly #start: StartData
  readonly #entry: URL | string
  readonly #running = new Map<string, Running>()
  readonly #asked = new Map<number, (answer: Answer) => void>()
  readonly #heads = new Map<number, (heads: AnchorHead[]) => void>()
  #workers: PooledWorker[] = []
  /** Recordings whose session is closed and whose recorder is not done. */
  readonly #sealing = new Map<string, { session: string; worker: PooledWorker }>()
  readonly #configured: number
  #restart: NodeJS.Timeout | null = null
  #restarts = 0
  #nextId = 1
  #stopping = false

  private constructor(count: number, handlers: PoolHandlers, start: StartData, entry: URL | string) {
    this.#configured = count
    this.#handlers = handlers
    this.#start = start
    this.#entry = entry
  }

  /** `entry`: the compiled worker of a bundle, where worker.ts isn't beside this module. */
  static async start(
    count: number,
    handlers: PoolHandlers,
    startData: StartData,
    entry: URL | string = new URL('./worker.ts', import.meta.url),
  ): Promise<Pool> {
    const pool = new Pool(count, handlers, startData, entry)
    await Promise.all(Array.from({ length: count }, () => pool.#spawn()))
    return pool
  }

  get workers(): { running: number; configured: number } {
    return { running: this.#workers.length, configured: this.#configured }
  }

  get sessions(): { session: string; state: SessionState; grant: string }[] {
    return [...this.#running.values()].map(({ session, state, grant }) => ({ session, state, grant }))
  }

  /** Recordings that are being written now. */
  isLive(recording: string): boolean {
    return (
      this.#sealing.has(recording) || [...this.#running.values()].some((one) => one.recording === recording)
    )
  }

  async open(message: Distribute<Extract<ToWorker, { type: 'open' }>, 'id'>): Promise<Answer> {
    const { session, recording, jti, serial } = message.grant
    if (this.#running.has(session)) return { ok: false, code: 'already-open', tookMs: null }
    if (this.#stopping) return { ok: false, code: 'gateway-stopping', tookMs: null }
    const [worker] = [...this.#workers].sort((a, b) => a.sessions.size - b.sessions.size)
    if (!worker) return { ok: false, code: 'no-session-threads', tookMs: null }
    this.#running.set(session, {
      session,
      recording,
      grant: jti,
      serial,
      state: 'opening',
      worker,
      stop: null,
    })
    worker.sessions.add(session)
    const answer = await this.#ask(worker, message)
    if (!answer.ok) this.#forget(session)
    return answer
  }

  async tell(message: Distribute<Extract<ToWorker, { type: 'dial' | 'command' }>, 'id'>): Promise<Answer> {
    const running = this.#running.get(message.session)
    if (!running) return { ok: false, code: 'no-such-session', tookMs: null }
    if (message.type !== 'command' || message.command !== 'stop')
      return await this.#ask(running.worker, message)
    const answer = await this.#ask(running.worker, message, STUCK_MS)
    if (answer.code !== 'no-answer' || !this.#running.has(message.session)) return answer
    // The kill switch wins over whatever keeps that thread busy; its sockets close with it.
    const since = processMs() - message.receivedAt
    running.stop = { end: message.end, by: message.by, tookMs: since }
    await running.worker.thread.terminate()
    return { ok: true, code: null, tookMs: processMs() - message.receivedAt }
  }

  renew(message: Extract<ToWorker, { type: 'lease' }>): void {
    const running = this.#running.get(message.session)
    if (!running) return
    if (message.grant && message.grant.serial > running.serial) {
      running.grant = message.grant.jti
      running.serial = message.grant.serial
    }
    running.worker.thread.postMessage(message satisfies ToWorker)
  }

  /** The grant that a session's leases must name. */
  grantOf(session: string): string | null {
    return this.#running.get(session)?.grant ?? null
  }

  brokerKeys(keys: [kid: string, x: string][]): void {
    for (const { thread } of this.#workers)
      thread.postMessage({ type: 'broker-keys', keys } satisfies ToWorker)
  }

  /** Chain heads of all live recordings that are on disk. */
  async heads(): Promise<AnchorHead[]> {
    const all = await Promise.all(
      this.#workers.map((worker) => {
        const id = this.#nextId++
        const { promise, resolve } = Promise.withResolvers<AnchorHead[]>()
        const timer = setTimeout(() => resolve([]), 5000)
        this.#heads.set(id, resolve)
        worker.thread.postMessage({ type: 'heads', id } satisfies ToWorker)
        return promise.finally(() => {
          clearTimeout(timer)
          this.#heads.delete(id)
        })
      }),
    )
    return all.flat()
  }

  /** Ends every session as gateway-stopped, with its recording sealed, then the threads. */
  async stop(): Promise<void> {
    this.#stopping = true
    if (this.#restart) clearTimeout(this.#restart)
    await Promise.all(this.#workers.map((worker) => this.#ask(worker, { type: 'shut-down' }, 20_000)))
    const workers = this.#workers
    this.#workers = []
    await Promise.all(workers.map(({ thread }) => thread.terminate()))
  }

  #ask(worker: PooledWorker, message: Asked, withinMs = ANSWER_MS): Promise<Answer> {
    const id = this.#nextId++
    const { promise, resolve } = Promise.withResolvers<Answer>()
    const timer = setTimeout(() => resolve({ ok: false, code: 'no-answer', tookMs: null }), withinMs)
    this.#asked.set(id, resolve)
    worker.thread.postMessage({ ...message, id } as ToWorker)
    return promise.finally(() => {
      clearTimeout(timer)
      this.#asked.delete(id)
    })
  }

  async #spawn(): Promise<void> {
    const { data, transfer } = await this.#start()
    const thread = new Worker(this.#entry, {
      name: 'sessions',
      workerData: data,
      transferList: transfer,
      // Nothing of the environment is a session's business.
      env: {},
    })
    const worker: PooledWorker = { thread, sessions: new Set() }
    const { promise: ready, resolve, reject } = Promise.withResolvers<void>()
    thread.on('message', (message: FromWorker) => {
      if (message.type === 'ready') resolve()
      else this.#heard(worker, message)
    })
    let why = 'ended'
    thread.on('error', (error) => {
      why = error instanceof Error ? error.message : String(error)
    })
    thread.on('exit', (code) => {
      reject(new Error(`a session worker ended with status ${code}: ${why}`))
      this.#lost(worker, why)
    })
    await ready
    if (this.#stopping) {
      await thread.terminate()
      return
    }
    this.#workers.push(worker)
  }

  #heard(worker: PooledWorker, message: Exclude<FromWorker, { type: 'ready' }>): void {
    switch (message.type) {
      case 'answer':
        this.#asked.get(message.id)?.({ ok: message.ok, code: message.code, tookMs: message.tookMs })
        return
      case 'heads':
        this.#heads.get(message.id)?.(message.heads)
        return
      case 'event':
        this.#handlers.event(message.event)
        return
      case 'state': {
        const running = this.#running.get(message.session)
        if (running) running.state = message.state
        return
      }
      case 'credential':
        void this.#handlers.credential(message).then(
          (jwe) => worker.thread.postMessage({ type: 'credential', id: message.id, jwe } satisfies ToWorker),
          () =>
            worker.thread.postMessage({ type: 'credential', id: message.id, jwe: null } satisfies ToWorker),
        )
        return
      case 'closed':
        this.#forget(message.session)
        if (message.sealed === 'later')
          this.#sealing.set(message.recording, { session: message.session, worker })
        this.#handlers.closed(message)
        return
      case 'sealed':
        if (this.#sealing.delete(message.recording)) this.#handlers.sealed(message)
    }
  }

  #forget(session: string): void {
    this.#running.get(session)?.worker.sessions.delete(session)
    this.#running.delete(session)
  }

  #lost(worker: PooledWorker, why: string): void {
    // One that never was ready: whoever started it hears of it.
    if (!this.#workers.includes(worker)) return
    this.#workers = this.#workers.filter((one) => one !== worker)
    const sessions = [...worker.sessions].flatMap((id) => this.#running.get(id) ?? [])
    for (const { session } of sessions) this.#forget(session)
    const unsealed = [...this.#sealing].filter(([, one]) => one.worker === worker)
    for (const [recording] of unsealed) this.#sealing.delete(recording)
    if (this.#stopping) return
    if (sessions.length > 0) this.#handlers.crashed(sessions, why)
    for (const [recording, { session }] of unsealed)
      this.#handlers.sealed({ session, recording, sealed: 'no', heads: [] })
    this.#startAgain()
  }

  /** Until there are as many as there should be; less and less often, because what keeps one away may stay. */
  #startAgain(): void {
    if (this.#stopping || this.#restart || this.#workers.length >= this.#configured) return
    const wait =
      this.#restarts === 0 ? 0 : Math.min(LONGEST_RESTART_MS, FIRST_RESTART_MS * 2 ** (this.#restarts - 1))
    this.#restart = setTimeout(() => {
      this.#spawn()
        .then(
          () => {
            this.#restarts = 0
          },
          (error: unknown) => {
            this.#restarts = Math.min(this.#restarts + 1, 10)
            if (this.#restarts === 1 && !this.#stopping)
              this.#handlers.short(error instanceof Error ? error.message : String(error))
          },
        )
        .finally(() => {
          this.#restart = null
          this.#startAgain()
        })
    }, wait)
  }
}
