import { requestedProtocols } from '../x224.ts'
import { readRequest, writeResponse } from './clean-path.ts'

/**
 * IronRDP's socket wraps every frame in a Blob, and one of the platform's can only be read later, by which time the
 * order of things is lost.
 */
export class SynchronousBlob {
  readonly bytes: Buffer
  readonly type = ''

  constructor(parts: readonly Uint8Array[]) {
    this.bytes = Buffer.concat(parts)
  }

  get size(): number {
    return this.bytes.length
  }
}

class CloseEvent extends Event {
  readonly code: number
  readonly reason: string
  readonly wasClean: boolean

  constructor(type: string, init: { code?: number; reason?: string; wasClean?: boolean } = {}) {
    super(type)
    this.code = init.code ?? 1000
    this.reason = init.reason ?? ''
    this.wasClean = init.wasClean ?? true
  }
}

/** Where a connection stands before IronRDP comes to it. */
export interface LoopbackTarget {
  confirm: Buffer
  certificate: Buffer
  protocols: number
  /** IronRDP has come to it. */
  made(socket: LoopbackWebSocket): void
  /** What IronRDP says to the server. */
  send(bytes: Buffer): void
}

/** The target of the next socket. IronRDP makes its own by its address; there is one session in this process. */
let next: LoopbackTarget | null = null

export function leadNextTo(target: LoopbackTarget): void {
  next = target
}

/** What IronRDP takes for a WebSocket to a proxy: the session's pipes. */
export class LoopbackWebSocket extends EventTarget {
  static readonly CONNECTING = 0
  static readonly OPEN = 1
  static readonly CLOSING = 2
  static readonly CLOSED = 3
  readonly CONNECTING = 0
  readonly OPEN = 1
  readonly CLOSING = 2
  readonly CLOSED = 3
  binaryType = 'blob'
  readyState: number = LoopbackWebSocket.CONNECTING
  readonly url: string
  readonly #target: LoopbackTarget
  #request: Buffer | null = Buffer.alloc(0)

  constructor(url: string) {
    super()
    if (!next) throw new Error('no connection waits')
    this.url = url
    this.#target = next
    next = null
    this.#target.made(this)
    queueMicrotask(() => {
      this.readyState = LoopbackWebSocket.OPEN
      this.dispatchEvent(new Event('open'))
    })
  }

  send(data: SynchronousBlob | Uint8Array | ArrayBuffer): void {
    const bytes = data instanceof SynchronousBlob ? data.bytes : Buffer.from(new Uint8Array(data))
    if (!this.#request) {
      this.#target.send(bytes)
      return
    }
    this.#request = Buffer.concat([this.#request, bytes])
    const packet = readRequest(this.#request)
    if (!packet) return
    this.#request = null
    const { confirm, certificate, protocols } = this.#target
    // The server was asked in IronRDP's name; had it been asked something else, it would find out much later.
    if (requestedProtocols(packet) !== protocols) throw new Error('IronRDP asks for other protocols')
    // Later, as from a real socket: it is still in the middle of sending.
    queueMicrotask(() => this.receive(writeResponse(confirm, certificate)))
  }

  /** Bytes of the server. None at all would be the end to IronRDP. */
  receive(bytes: Uint8Array): void {
    if (this.readyState !== LoopbackWebSocket.OPEN || bytes.length === 0) return
    const data = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)
    this.dispatchEvent(new MessageEvent('message', { data }))
  }

  close(): void {
    if (this.readyState >= LoopbackWebSocket.CLOSING) return
    this.readyState = LoopbackWebSocket.CLOSED
    this.dispatchEvent(new CloseEvent('close'))
  }
}
