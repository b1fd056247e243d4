import { WebSocket } from 'ws'
import { ControlDown, ControlUp, type GatewayEvent, HEARTBEAT_MS } from '../contract/link.ts'

/** Unsent bytes towards one gateway, above which its connection counts as lost: it does not read. */
const SEND_LIMIT = 4 * 1024 * 1024
/** Questions that wait for an answer, per gateway. */
const ASK_LIMIT = 500
const MISSED_BEATS = 3

export type Hello = ControlUp & { type: 'hello' }
export type Health = ControlUp & { type: 'health' }
export type CredentialAsk = ControlUp & { type: 'credential' }
export type AskAnswer = ControlUp & { type: 'opened' | 'done' | 'probed' }

export interface ControlHandlers {
  /** Asked for every message: false ends the connection at once. */
  stillAccepted(): boolean
  hello(hello: Hello): void
  /** `boot`: of an earlier run of the gateway; null for this one. */
  event(seq: number, event: GatewayEvent, boot: string | null): void
  credential(ask: CredentialAsk): void
  health(health: Health): void
  closed(why: string): void
}

type Distribute<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never
type Ask = Distribute<
  Extract<ControlDown, { id: number }> & { type: 'open' | 'dial' | 'command' | 'probe' },
  'id'
>

/** What each question is answered with; an answer of another type is a protocol error. */
const ANSWERED_BY = { open: 'opened', dial: 'done', command: 'done', probe: 'probed' } as const

/**
 * One gateway's control connection: typed messages both ways, questions with answers, a heartbeat. It knows nothing
 * of sessions. Any message that is not in the contract ends it: a gateway of another version must not be half
 * understood.
 */
export class ControlConnection {
  readonly #socket: WebSocket
  readonly #handlers: ControlHandlers
  readonly #asked = new Map<
    number,
    { type: AskAnswer['type']; resolve: (answer: AskAnswer | null) => void }
  >()
  #nextId = 1
  #heard = true
  #missed = 0
  #greeted = false
  #closed = false
  readonly #beat: NodeJS.Timeout

  constructor(socket: WebSocket, handlers: ControlHandlers) {
    this.#socket = socket
    this.#handlers = handlers
    socket.on('message', (data, binary) => this.#message(data as Buffer, binary))
    socket.on('pong', () => {
      this.#heard = true
    })
    socket.on('ping', () => {
      this.#heard = true
    })
    socket.on('error', () => undefined)
    socket.on('close', () => this.#end('closed'))
    this.#beat = setInterval(() => this.#tick(), HEARTBEAT_MS)
    this.#beat.unref()
  }

  get open(): boolean {
    return !this.#closed && this.#socket.readyState === WebSocket.OPEN
  }

  /** False when the connection is gone or the gateway does not read. */
  send(message: ControlDown): boolean {
    if (!this.open) return false
    if (this.#socket.bufferedAmount > SEND_LIMIT) {
      this.close('does-not-read')
      return false
    }
    this.#socket.send(JSON.stringify(ControlDown.parse(message)))
    return true
  }

  /** Sends a question and waits; null when the link is lost or no answer comes in time. */
  ask<T extends Ask>(
    message: T,
    timeoutMs: number,
  ): Promise<Extract<AskAnswer, { type: AnswerOf<T['type']> }> | null> {
    const { promise, resolve } = Promise.withResolvers<AskAnswer | null>()
    if (this.#asked.size >= ASK_LIMIT) return Promise.resolve(null)
    const id = this.#nextId++
    const timer = setTimeout(() => settle(null), timeoutMs)
    timer.unref()
    const settle = (answer: AskAnswer | null) => {
      clearTimeout(timer)
      this.#asked.delete(id)
      resolve(answer)
    }
    this.#asked.set(id, { type: ANSWERED_BY[message.type], resolve: settle })
    if (!this.send({ ...message, id } as ControlDown)) settle(null)
    return promise as Promise<Extract<AskAnswer, { type: AnswerOf<T['type']> }> | null>
  }

  close(why: string): void {
    if (this.#closed) return
    this.#socket.close(4000, why)
    // A peer that never answers the close frame is dropped by the heartbeat's terms.
    setTimeout(() => this.#socket.terminate(), HEARTBEAT_MS).unref()
    this.#end(why)
  }

  #message(data: Buffer, binary: boolean): void {
    if (this.#closed) return
    this.#heard = true
    const message = binary ? null : parse(data)
    if (!this.#handlers.stillAccepted()) this.close('not-accepted')
    else if (!message) this.close('unknown-message')
    // Hello comes first and once; what a session is may only be said after it.
    else if ((message.type === 'hello') === this.#greeted) this.close('out-of-order')
    else this.#dispatch(message)
  }

  #dispatch(message: ControlUp): void {
    switch (message.type) {
      case 'hello':
        this.#greeted = true
        this.#handlers.hello(message)
        break
      case 'event':
        this.#handlers.event(message.seq, message.event, message.boot ?? null)
        break
      case 'credential':
        this.#handlers.credential(message)
        break
      case 'health':
        this.#handlers.health(message)
        break
      default: {
        const asked = this.#asked.get(message.id)
        // Null: late, after the time-out; nobody waits any more.
        if (asked && asked.type !== message.type) this.close('wrong-answer')
        else asked?.resolve(message)
      }
    }
  }

  #tick(): void {
    this.#missed = this.#heard ? 0 : this.#missed + 1
    this.#heard = false
    if (this.#missed >= MISSED_BEATS) {
      this.#socket.terminate()
      this.#end('heartbeat-lost')
      return
    }
    if (this.open) this.#socket.ping()
  }

  #end(why: string): void {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#beat)
    for (const { resolve } of [...this.#asked.values()]) resolve(null)
    this.#handlers.closed(why)
  }
}

type AnswerOf<T extends keyof typeof ANSWERED_BY> = (typeof ANSWERED_BY)[T]

function parse(data: Buffer): ControlUp | null {
  try {
    const parsed = ControlUp.safeParse(JSON.parse(data.toString('utf8')))
    return parsed.success ? parsed.data : null
  } catch {
    return null
  }
}
