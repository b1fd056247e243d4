import type { TerminalDown, TerminalUp } from '../../broker/contract/terminal.ts'
import { ApiFailure } from '../shared/api.ts'
import type { SessionEvent } from './session-state.ts'

/** Wire names and limits of broker/contract/terminal.ts; only its types are imported. */
const PROTOCOL = 'sallyport.terminal.v1'
const TICKET_PREFIX = 'sallyport.ticket.'
const ACKNOWLEDGE_EVERY = 256 * 1024
const PING_EVERY_MS = 3_000
/** No pong for so long: the line is dead although nobody said so. */
const SILENT_MS = 12_000

export interface Opening {
  sessionId: string
  socket: string
  ticket: string
}

export type Start = Omit<Extract<TerminalUp, { type: 'start' }>, 'type'>

/** What the page gives: a ticket for each connection, where output goes, how to begin. */
export interface SocketHost {
  /** There is a line now, a new one after each loss; and it is gone. */
  begun?: () => void
  gone?: () => void
  /** A fresh one-use ticket; called for every (re)connection. Null: the session is over. */
  ticket: () => Promise<Opening | null>
  tell: (event: SessionEvent) => void
  /** Writes output; `done` is called when it is drawn, which is what is acknowledged. */
  output: (bytes: Uint8Array<ArrayBuffer>, done: () => void) => void
  /** A whole screen follows: forget what was drawn. */
  repaint: (cols: number, rows: number) => void
  resize: (cols: number, rows: number) => void
  /** What the session is begun with: a terminal's size, or what an asset that makes its desktop to measure goes by. */
  start: () => Start
  /** Watchers send neither that nor input. */
  watch: boolean
}

export interface SocketWorld {
  open: (path: string, protocols: string[]) => WebSocket
  now: () => number
  later: (does: () => void, ms: number) => () => void
}

const browserWorld: SocketWorld = {
  open: (path, protocols) => {
    const url = new URL(path, window.location.href)
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
    return new WebSocket(url, protocols)
  },
  now: () => performance.now(),
  later: (does, ms) => {
    const timer = setTimeout(does, ms)
    return () => clearTimeout(timer)
  },
}

/** Comes back quickly at first, then every five seconds, for as long as the page stands. */
export const backOff = (tries: number): number => Math.min(5_000, 250 * 2 ** Math.min(tries, 6))

/** The browser's end of a session socket. Reconnects with a fresh ticket until the session is over. */
export class SessionSocket {
  readonly #host: SocketHost
  readonly #world: SocketWorld
  #socket: WebSocket | null = null
  #closed = false
  #tries = 0
  #unacknowledged = 0
  #pings = new Map<number, number>()
  #pingId = 0
  #lastHeard = 0
  #stopPing: (() => void) | null = null
  #stopRetry: (() => void) | null = null

  constructor(host: SocketHost, world: SocketWorld = browserWorld) {
    this.#host = host
    this.#world = world
  }

  /** Connects; comes back by itself until `close` or the end of the session. */
  async connect(): Promise<void> {
    if (this.#closed) return
    this.#host.tell({ type: 'connecting' })
    let opening: Opening | null
    try {
      opening = await this.#host.ticket()
    } catch (error) {
      if (this.#closed) return
      // A refusal stays one; a broker that does not answer is tried again.
      if (error instanceof ApiFailure && error.status >= 400 && error.status < 500 && error.status !== 429) {
        this.#host.tell({ type: 'refused', message: `${error.message} ${error.next}` })
        this.close()
        return
      }
      this.#retry()
      return
    }
    if (this.#closed || !opening) return
    this.#attach(this.#world.open(opening.socket, [PROTOCOL, TICKET_PREFIX + opening.ticket]))
  }

  /** Types bytes into the session. False when there is no open connection: nothing is kept for later. */
  input(bytes: Uint8Array<ArrayBuffer>): boolean {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false
    this.#socket.send(bytes)
    return true
  }

  send(message: TerminalUp): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message))
  }

  /** Leaves the page; the session itself goes on (the screen is held) unless `leave` was sent before. */
  close(): void {
    this.#closed = true
    this.#stopPing?.()
    this.#stopRetry?.()
    const socket = this.#socket
    this.#socket = null
    if (socket) this.#host.gone?.()
    socket?.close()
  }

  /** Breaks the line, which then comes back: what is drawn from it cannot go on. */
  again(): void {
    this.#socket?.close()
  }

  /** Comes back now instead of after the wait (the browser is online again). */
  hurry(): void {
    if (this.#stopRetry) {
      this.#stopRetry()
      this.#stopRetry = null
      void this.connect()
    }
  }

  #attach(socket: WebSocket): void {
    this.#socket = socket
    this.#unacknowledged = 0
    this.#pings.clear()
    socket.binaryType = 'arraybuffer'
    socket.onopen = () => {
      this.#tries = 0
      this.#lastHeard = this.#world.now()
      this.#host.begun?.()
      if (!this.#host.watch) this.send({ type: 'start', ...this.#host.start() })
      this.#host.tell({ type: 'opened' })
      this.#ping()
    }
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      if (socket !== this.#socket) return
      this.#lastHeard = this.#world.now()
      if (typeof event.data === 'string') this.#text(event.data)
      else this.#binary(socket, new Uint8Array(event.data))
    }
    socket.onclose = (event) => {
      if (socket !== this.#socket) return
      this.#lost(event.code)
    }
  }

  #binary(socket: WebSocket, bytes: Uint8Array<ArrayBuffer>): void {
    this.#host.output(bytes, () => {
      this.#unacknowledged += bytes.length
      // Acknowledged when drawn, so a slow page slows the asset instead of filling memory. What is left below the
      // step goes with the next ping.
      if (socket === this.#socket && this.#unacknowledged >= ACKNOWLEDGE_EVERY) this.#acknowledge()
    })
  }

  #acknowledge(): void {
    if (this.#unacknowledged === 0) return
    this.send({ type: 'ack', bytes: this.#unacknowledged })
    this.#unacknowledged = 0
  }

  #text(data: string): void {
    let message: TerminalDown
    try {
      message = JSON.parse(data) as TerminalDown
    } catch {
      return
    }
    if (message.type === 'pong') {
      const sent = this.#pings.get(message.id)
      if (sent !== undefined) this.#host.tell({ type: 'pong', latencyMs: this.#world.now() - sent })
      this.#pings.delete(message.id)
      return
    }
    if (message.type === 'screen') this.#host.repaint(message.cols, message.rows)
    if (message.type === 'resize') this.#host.resize(message.cols, message.rows)
    this.#host.tell({ type: 'down', message, now: this.#world.now() })
    if (message.type === 'state' && message.state === 'closed') this.close()
  }

  #ping(): void {
    this.#stopPing?.()
    this.#stopPing = this.#world.later(() => {
      const socket = this.#socket
      if (!socket || this.#closed) return
      if (this.#world.now() - this.#lastHeard > SILENT_MS) {
        socket.onclose = null
        socket.close()
        this.#lost(1006)
        return
      }
      const id = ++this.#pingId
      this.#pings.clear()
      this.#pings.set(id, this.#world.now())
      this.#acknowledge()
      this.send({ type: 'ping', id })
      this.#ping()
    }, PING_EVERY_MS)
  }

  #lost(code: number): void {
    this.#stopPing?.()
    this.#socket = null
    this.#host.gone?.()
    if (this.#closed) return
    this.#host.tell({ type: 'lost', code })
    if (code === 4000 || code === 4409 || code === 4410) {
      this.#closed = true
      return
    }
    this.#retry()
  }

  #retry(): void {
    if (this.#closed) return
    this.#host.tell({ type: 'try-failed' })
    this.#stopRetry = this.#world.later(
      () => {
        this.#stopRetry = null
        void this.connect()
      },
      backOff(this.#tries++),
    )
  }
}
