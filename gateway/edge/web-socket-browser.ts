import { WebSocket } from 'ws'
import { CLOSE, type TerminalDown, TerminalUp } from '../../broker/contract/terminal.ts'
import type { Browser, BrowserListener } from '../session/browser.ts'

/** Text frames are one small JSON object. */
const TEXT_LIMIT = 16 * 1024
/** Input frames of a person: typing and pastes. */
export const INPUT_FRAME_LIMIT = 256 * 1024
/**
 * What may wait for a browser that does not read. Its acknowledgements are only its word: one that says it has seen
 * everything, and reads nothing, must not fill the memory that all sessions share (threat 30).
 */
const SEND_LIMIT = 16 * 1024 * 1024
/** A socket that was told to close is not waited for longer. */
const CLOSE_GRACE_MS = 1000

export interface Heartbeat {
  everyMs: number
  /** Nothing heard for so long (no frame, no pong, no acknowledgement): the browser is lost. */
  silentMs: number
}
export const HEARTBEAT: Heartbeat = { everyMs: 1000, silentMs: 8000 }

/** The session's end of a browser's WebSocket. */
export class WebSocketBrowser implements Browser {
  readonly #ws: WebSocket
  readonly #beat: NodeJS.Timeout
  #heardAt = performance.now()
  #paused = false
  #listener: BrowserListener | null = null
  #closed = false

  constructor(ws: WebSocket, heartbeat: Heartbeat = HEARTBEAT) {
    this.#ws = ws
    ws.binaryType = 'nodebuffer'
    const heard = () => {
      this.#heardAt = performance.now()
    }
    ws.on('pong', heard)
    ws.on('ping', heard)
    ws.on('message', (data, isBinary) => {
      heard()
      this.#message(data as Buffer, isBinary)
    })
    ws.on('error', () => {})
    ws.on('close', () => this.#gone())
    this.#beat = setInterval(() => {
      // A browser that we have paused cannot be heard.
      if (this.#paused) heard()
      if (performance.now() - this.#heardAt > heartbeat.silentMs) ws.terminate()
      else if (ws.readyState === WebSocket.OPEN) ws.ping()
    }, heartbeat.everyMs)
    this.#beat.unref()
  }

  listen(listener: BrowserListener): void {
    this.#listener = listener
    if (this.#closed) listener.closed()
  }

  get queued(): number {
    return this.#ws.bufferedAmount
  }

  send(bytes: Uint8Array): void {
    if (this.#reads()) this.#ws.send(bytes, { binary: true })
  }

  tell(message: TerminalDown): void {
    if (this.#reads()) this.#ws.send(JSON.stringify(message))
  }

  pause(): void {
    this.#paused = true
    if (this.#ws.readyState === WebSocket.OPEN) this.#ws.pause()
  }

  resume(): void {
    this.#paused = false
    this.#heardAt = performance.now()
    if (this.#ws.readyState === WebSocket.OPEN) this.#ws.resume()
  }

  close(code: number, reason: string): void {
    if (this.#paused) this.resume()
    this.#ws.close(code, reason)
    setTimeout(() => this.#ws.terminate(), CLOSE_GRACE_MS).unref()
  }

  destroy(): void {
    this.#ws.terminate()
  }

  #reads(): boolean {
    if (this.#ws.readyState !== WebSocket.OPEN) return false
    if (this.#ws.bufferedAmount <= SEND_LIMIT) return true
    this.#ws.terminate()
    return false
  }

  #message(data: Buffer, isBinary: boolean): void {
    if (isBinary) {
      this.#listener?.bytes(data)
      return
    }
    const message = data.length > TEXT_LIMIT ? null : parse(data)
    if (message) this.#listener?.message(message)
    else this.close(CLOSE.badMessage, 'not a message of this protocol')
  }

  #gone(): void {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#beat)
    this.#listener?.closed()
  }
}

function parse(data: Buffer): TerminalUp | null {
  try {
    const parsed = TerminalUp.safeParse(JSON.parse(data.toString('utf8')))
    return parsed.success ? parsed.data : null
  } catch {
    return null
  }
}
