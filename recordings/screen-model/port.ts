import type { MessagePort } from 'node:worker_threads'
import { BLOCK_BYTES, type ModelReply, type ModelRequest } from './messages.ts'
import type { Keyframe } from './screen.ts'

export type { Keyframe } from './screen.ts'

/** One session's screen, kept on another thread. Positions count bytes of output from the session's start. */
export interface ScreenHandle {
  /** Bytes sent so far. */
  readonly position: number
  /** Bytes sent and not parsed yet. */
  readonly lag: number
  /** Sends output; `bytes` is given away and must own its whole ArrayBuffer. */
  feed(bytes: Uint8Array<ArrayBuffer>): void
  /** An empty block of BLOCK_BYTES to fill and feed: used ones, because zeroing and collecting new ones costs. */
  block(): Uint8Array<ArrayBuffer>
  /** Takes back a block that was not fed. */
  giveBack(block: Uint8Array<ArrayBuffer>): void
  resize(cols: number, rows: number): void
  /** A keyframe at the present position, or at the first place after it where one can be cut. */
  keyframe(): Promise<Keyframe>
  /** Called after every acknowledgement. */
  onProgress(run: () => void): void
  /** Called when the emulator failed and began again with an empty screen. */
  onFault(run: (message: string) => void): void
  dispose(): void
}

export interface ScreenModelPort {
  create(cols: number, rows: number): ScreenHandle
  /** Bytes that all sessions of this worker have waiting at the model: its share of memory. */
  readonly outstanding: number
  close(): void
}

/** Blocks kept for all sessions of a worker. */
const SPARE_BLOCKS = 16

/** A session worker's side of the model thread. */
export function screenModelOver(port: MessagePort): ScreenModelPort {
  const handles = new Map<number, Handle>()
  const spare: Uint8Array<ArrayBuffer>[] = []
  let nextId = 0
  port.on('message', (reply: ModelReply) => {
    if (reply.type === 'ack') spare.push(...reply.blocks.slice(0, SPARE_BLOCKS - spare.length))
    handles.get(reply.id)?.receive(reply)
  })
  port.unref()
  return {
    create(cols, rows) {
      nextId += 1
      const id = nextId
      const handle = new Handle(id, port, spare, () => handles.delete(id))
      handles.set(id, handle)
      port.postMessage({ type: 'create', id, cols, rows } satisfies ModelRequest)
      return handle
    },
    get outstanding() {
      let sum = 0
      for (const handle of handles.values()) sum += handle.lag
      return sum
    },
    close: () => port.close(),
  }
}

class Handle implements ScreenHandle {
  position = 0
  #parsed = 0
  #nextRequest = 0
  #progress: () => void = () => {}
  #fault: (message: string) => void = () => {}
  readonly #id: number
  readonly #port: MessagePort
  readonly #spare: Uint8Array<ArrayBuffer>[]
  readonly #forget: () => void
  readonly #waiting = new Map<number, (keyframe: Keyframe) => void>()

  constructor(id: number, port: MessagePort, spare: Uint8Array<ArrayBuffer>[], forget: () => void) {
    this.#id = id
    this.#spare = spare
    this.#port = port
    this.#forget = forget
  }

  get lag(): number {
    return this.position - this.#parsed
  }

  feed(bytes: Uint8Array<ArrayBuffer>): void {
    if (bytes.length === 0) return
    this.position += bytes.length
    this.#send({ type: 'feed', id: this.#id, bytes }, [bytes.buffer])
  }

  block(): Uint8Array<ArrayBuffer> {
    return this.#spare.pop() ?? new Uint8Array(BLOCK_BYTES)
  }

  giveBack(block: Uint8Array<ArrayBuffer>): void {
    if (block.length === BLOCK_BYTES && this.#spare.length < SPARE_BLOCKS) this.#spare.push(block)
  }

  resize(cols: number, rows: number): void {
    this.#send({ type: 'resize', id: this.#id, cols, rows })
  }

  keyframe(): Promise<Keyframe> {
    this.#nextRequest += 1
    const request = this.#nextRequest
    return new Promise((resolve) => {
      this.#waiting.set(request, resolve)
      this.#send({ type: 'keyframe', id: this.#id, request })
    })
  }

  onProgress(run: () => void): void {
    this.#progress = run
  }

  onFault(run: (message: string) => void): void {
    this.#fault = run
  }

  dispose(): void {
    this.#forget()
    this.#waiting.clear()
    this.#send({ type: 'dispose', id: this.#id })
  }

  receive(reply: ModelReply): void {
    if (reply.type === 'ack') {
      this.#parsed = Math.max(this.#parsed, reply.position)
      this.#progress()
      return
    }
    if (reply.type === 'keyframe') {
      this.#waiting.get(reply.request)?.(reply.keyframe)
      this.#waiting.delete(reply.request)
      return
    }
    this.#fault(reply.message)
  }

  #send(request: ModelRequest, transfer: ArrayBuffer[] = []): void {
    this.#port.postMessage(request, transfer)
  }
}
