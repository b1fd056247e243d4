import type { MessagePort } from 'node:worker_threads'
import { BLOCK_BYTES, type ModelReply, type ModelRequest } from './messages.ts'
import { Screen } from './screen.ts'

/** Bytes parsed before the next session has its turn (about 3 ms): a flood never delays another's keyframe long. */
export const SLICE_BYTES = 64 * 1024

/** What a resize takes of a turn: it lays out the whole screen anew. */
const RESIZE_COST = SLICE_BYTES / 4

interface Session {
  screen: Screen
  cols: number
  rows: number
  /** Requests that wait, oldest first; `at` is how much of the first feed has been parsed. */
  queue: ModelRequest[]
  at: number
  /** Bytes parsed since the last acknowledgement. */
  parsed: number
  /** Parsed blocks that go back with the next acknowledgement. */
  blocks: Uint8Array<ArrayBuffer>[]
  reply: (reply: ModelReply, transfer?: ArrayBuffer[]) => void
}

/** The screens of many sessions on one thread, served in turn. */
export class ScreenModel {
  readonly #sessions = new Set<Session>()
  #isRunning = false

  /** Serves one session worker until it closes its end. */
  serve(port: MessagePort): void {
    const own = new Map<number, Session>()
    const reply = (message: ModelReply, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer)
    port.on('message', (request: ModelRequest) => {
      if (request.type === 'create') {
        const screen = new Screen(request.cols, request.rows)
        const session: Session = {
          screen,
          cols: request.cols,
          rows: request.rows,
          queue: [],
          at: 0,
          parsed: 0,
          blocks: [],
          reply,
        }
        own.set(request.id, session)
        this.#sessions.add(session)
        return
      }
      const session = own.get(request.id)
      if (!session) return
      if (request.type === 'dispose') {
        own.delete(request.id)
        this.#drop(session)
        return
      }
      session.queue.push(request)
      this.#run()
    })
    port.on('close', () => {
      for (const session of own.values()) this.#drop(session)
    })
  }

  #drop(session: Session): void {
    this.#sessions.delete(session)
    session.queue = []
    session.screen.dispose()
  }

  #run(): void {
    if (this.#isRunning) return
    this.#isRunning = true
    setImmediate(() => {
      this.#isRunning = false
      let isBusy = false
      for (const session of this.#sessions) {
        this.#turn(session)
        if (session.queue.length > 0) isBusy = true
      }
      if (isBusy) this.#run()
    })
  }

  #turn(session: Session): void {
    let left = SLICE_BYTES
    while (left > 0) {
      const request = session.queue[0]
      if (!request) break
      if (request.type === 'feed') {
        const piece = request.bytes.subarray(session.at, session.at + left)
        this.#feed(session, request.id, piece)
        session.at += piece.length
        session.parsed += piece.length
        left -= piece.length
        if (session.at < request.bytes.length) break
        session.at = 0
        if (request.bytes.length === BLOCK_BYTES) session.blocks.push(request.bytes)
      } else if (request.type === 'resize') {
        session.cols = request.cols
        session.rows = request.rows
        session.screen.resize(request.cols, request.rows)
        left -= RESIZE_COST
      } else if (request.type === 'keyframe') {
        const { id, request: number } = request
        session.screen.keyframe((keyframe) =>
          session.reply({ type: 'keyframe', id, request: number, keyframe }),
        )
      }
      session.queue.shift()
      if (session.parsed >= BLOCK_BYTES || (session.parsed > 0 && session.queue.length === 0))
        this.#ack(session, request.id)
    }
  }

  #ack(session: Session, id: number): void {
    session.parsed = 0
    const blocks = session.blocks
    session.blocks = []
    const transfer = blocks.map((block) => block.buffer)
    session.reply({ type: 'ack', id, position: session.screen.position, blocks }, transfer)
  }

  /** A bug that hostile output finds in the emulator costs this session its screen, and nobody else anything. */
  #feed(session: Session, id: number, bytes: Uint8Array): void {
    const end = session.screen.position + bytes.length
    try {
      session.screen.feed(bytes)
    } catch (error) {
      session.screen = session.screen.restart(session.cols, session.rows, end)
      const message = error instanceof Error ? error.message : String(error)
      session.reply({ type: 'fault', id, position: end, message })
    }
  }
}
