import { CLOSE } from '../../../broker/contract/terminal.ts'
import { copyRects, framebufferUpdate, rectsOf, type WireRect } from '../encode/rects.ts'
import type { TileEncoder } from '../encode/tile-encoder.ts'
import { isDesktopSize } from '../limits.ts'
import type { Consumer, Taken } from '../screen/consumer.ts'
import type { Screen } from '../screen/screen.ts'
import { type ClientMessage, ClientMessages, ClientProtocolError } from './client-messages.ts'
import { Clipboard, type ClipboardPolicy } from './clipboard.ts'
import { Pace } from './pace.ts'
import {
  BELL,
  cursorRect,
  desktopSizeRect,
  END_OF_CONTINUOUS_UPDATES,
  extendedDesktopSizeRect,
  fence,
  fenceRequest,
  offerRect,
  RESIZE_REASON,
  RESIZE_STATUS,
  SECURITY_OK,
  SECURITY_TYPES,
  serverInit,
  VERSION,
  vmwareCursorRect,
} from './server-messages.ts'
import { ENCODING, FENCE } from './wire.ts'

/** Two megapixels: at the very worst 6.3 MB, below what a socket takes at once. A larger screen is several updates. */
const UPDATE_TILES = 512
/** What is handed to the socket at once, so that a browser draws the first tiles of a large picture while the rest comes. */
const PIECE_BYTES = 256 * 1024
/** More than this unsent and no update begins: the browser or its link is slower than the picture. */
const QUEUED_LIMIT = 256 * 1024
/** What a browser says in a second, more than any hand and screen need, and what it may say at once. */
const MESSAGES_PER_SECOND = 1000
const MESSAGES_AT_ONCE = 2000
/** Answers that a browser makes us give and does not read. */
const ANSWERS_LIMIT = 4 * 1024 * 1024

/** The way to one browser: binary frames of its session socket. */
export interface RfbChannel {
  send(bytes: Uint8Array): void
  /** Bytes that are sent but not yet on their way. */
  readonly queued: number
  close(code: number, reason: string): void
}

export interface RfbViewerOptions {
  /** Shown as the desktop's name. */
  name: string
  /** Keys, pointer, text and sizes from this browser go nowhere. */
  viewOnly: boolean
  clipboard: ClipboardPolicy
  /** Whether this browser may ask for another size; a desktop that others look at too keeps its own. */
  resizable: boolean
}

/** What a person does. Not called for a viewer that only looks on, except `resize`, which is answered as refused. */
export interface RfbViewerHandlers {
  key(down: boolean, keysym: number, scancode: number | null): void
  pointer(x: number, y: number, buttons: number): void
  clipboard(text: string): void
  /** A size that a screen may have. What becomes of it is shown by the screen's next size. */
  resize(width: number, height: number): void
}

/**
 * The RFB 3.8 server for one browser (noVNC): it draws from the Screen at the browser's pace. An update is begun when the
 * browser has asked for one, or has answered for those before, so a slow link gets fewer and newer pictures. A browser
 * that does not read costs the versions that it took last, and nobody waits for it.
 *
 * Bytes that are no RFB close this browser's socket with CLOSE.badMessage and touch nothing else.
 */
export class RfbViewer {
  readonly #channel: RfbChannel
  readonly #screen: Screen
  readonly #encoder: TileEncoder
  readonly #options: RfbViewerOptions
  readonly #handlers: RfbViewerHandlers
  readonly #messages = new ClientMessages()
  readonly #consumer: Consumer
  readonly #clipboard: Clipboard
  readonly #pace: Pace
  #encodings: ReadonlySet<number> = new Set()
  /** Rectangles that the next update begins with: answers and offers. */
  readonly #due: WireRect[] = []
  readonly #offered = new Set<number>()
  #isEncoding = false
  #isOver = false
  #room = MESSAGES_AT_ONCE
  #countedAt = performance.now()

  constructor(
    channel: RfbChannel,
    screen: Screen,
    encoder: TileEncoder,
    options: RfbViewerOptions,
    handlers: RfbViewerHandlers,
  ) {
    this.#channel = channel
    this.#screen = screen
    this.#encoder = encoder
    this.#options = options
    this.#handlers = handlers
    this.#pace = new Pace(() => this.#pump())
    this.#consumer = screen.consumer({ onDamage: () => this.#pump() })
    this.#clipboard = new Clipboard(
      options.viewOnly ? { ...options.clipboard, in: false } : options.clipboard,
      (bytes) => this.#answer(bytes),
      (text) => handlers.clipboard(text),
    )
    channel.send(VERSION)
  }

  /** What the browser sent. */
  bytes(chunk: Uint8Array): void {
    this.#guarded(() =>
      this.#messages.push(chunk, (message) => {
        if (!this.#isOver) this.#take(message)
      }),
    )
  }

  /** Text that the asset has put into its clipboard; sent on as far as the policy allows. */
  clipboard(text: string): void {
    if (this.#encodings.size > 0) this.#guarded(() => this.#clipboard.offer(text))
  }

  bell(): void {
    if (!this.#isOver && this.#encodings.size > 0 && this.#channel.queued <= QUEUED_LIMIT)
      this.#channel.send(BELL)
  }

  /** The socket is gone: this viewer takes no more of the screen. */
  close(): void {
    this.#isOver = true
    this.#pace.stop()
    this.#consumer.close()
  }

  #guarded(run: () => void): void {
    if (this.#isOver) return
    try {
      run()
    } catch (error) {
      if (!(error instanceof ClientProtocolError)) throw error
      this.#fail(error)
    }
  }

  /** Ends this viewer alone: it broke the protocol, or the encoding threads are gone and it cannot go on. */
  #fail(error: unknown): void {
    if (this.#isOver) return
    this.close()
    if (error instanceof ClientProtocolError) this.#channel.close(CLOSE.badMessage, error.message)
    else this.#channel.close(CLOSE.gatewayLost, 'the picture could not be encoded')
  }

  #take(message: ClientMessage): void {
    this.#count()
    switch (message.type) {
      case 'version':
        this.#channel.send(SECURITY_TYPES)
        return
      case 'security':
        this.#channel.send(SECURITY_OK)
        return
      case 'init':
        this.#greet()
        return
      case 'pixel-format':
        return
      case 'encodings':
        this.#takeEncodings(new Set(message.encodings))
        return
      case 'update-request':
        if (!message.incremental) this.#consumer.forget()
        this.#pace.asked(!message.incremental)
        this.#pump()
        return
      case 'continuous-updates':
        if (!this.#encodings.has(ENCODING.continuousUpdates))
          throw new ClientProtocolError('continuous updates were not offered')
        this.#pace.continuous(message.enable)
        if (!message.enable) this.#answer(END_OF_CONTINUOUS_UPDATES)
        this.#pump()
        return
      case 'fence':
        this.#takeFence(message.flags, message.payload)
        return
      default:
        this.#takeInput(message)
    }
  }

  /** One frame of the socket can hold thirty thousand keys, each of which is recorded and sent on. */
  #count(): void {
    const now = performance.now()
    this.#room = Math.min(
      MESSAGES_AT_ONCE,
      this.#room + ((now - this.#countedAt) / 1000) * MESSAGES_PER_SECOND,
    )
    this.#countedAt = now
    this.#room -= 1
    if (this.#room < 0) throw new ClientProtocolError('more messages than a person sends')
  }

  #greet(): void {
    const { width, height } = this.#screen.grid
    this.#channel.send(serverInit(width, height, this.#options.name))
    // The size just said is the one that this browser knows; `take` marks it so, `forget` asks for the picture again.
    this.#consumer.take(0)
    this.#consumer.forget()
  }

  #takeEncodings(encodings: ReadonlySet<number>): void {
    if (!encodings.has(ENCODING.tight)) throw new ClientProtocolError('a browser here reads Tight')
    this.#encodings = encodings
    this.#consumer.takesCopies = encodings.has(ENCODING.copyRect)
    for (const encoding of [ENCODING.qemuKeys, ENCODING.extendedMouseButtons])
      if (this.#isNew(encoding)) this.#due.push(offerRect(encoding))
    if (this.#offered.has(ENCODING.extendedMouseButtons)) this.#messages.hasExtendedMouseButtons = true
    if (this.#isNew(ENCODING.extendedDesktopSize)) {
      const { width, height } = this.#screen.grid
      this.#due.push(extendedDesktopSizeRect(width, height))
    }
    if (encodings.has(ENCODING.extendedClipboard)) this.#clipboard.extend()
    // Without fences nothing says how far a browser is behind, so continuous updates are offered with them only.
    if (encodings.has(ENCODING.fence) && this.#isNew(ENCODING.continuousUpdates))
      this.#answer(END_OF_CONTINUOUS_UPDATES)
    this.#pump()
  }

  /** Whether the browser knows this encoding and has not been told yet that we do. */
  #isNew(encoding: number): boolean {
    if (!this.#encodings.has(encoding) || this.#offered.has(encoding)) return false
    this.#offered.add(encoding)
    return true
  }

  #takeFence(flags: number, payload: Uint8Array): void {
    if ((flags & FENCE.request) !== 0) {
      this.#answer(fence(flags & (FENCE.blockBefore | FENCE.blockAfter), payload))
      return
    }
    if (!this.#pace.answered(payload)) throw new ClientProtocolError('an answer to no fence of ours')
    this.#pump()
  }

  #takeInput(
    message: Extract<
      ClientMessage,
      { type: 'key' | 'pointer' | 'cut-text' | 'extended-cut-text' | 'desktop-size' }
    >,
  ): void {
    const { viewOnly } = this.#options
    switch (message.type) {
      case 'key':
        if (!viewOnly) this.#handlers.key(message.down, message.keysym, message.scancode)
        return
      case 'pointer': {
        // A pointer can be outside for a moment, where the screen has just become smaller.
        const { width, height } = this.#screen.grid
        const x = Math.min(message.x, width - 1)
        const y = Math.min(message.y, height - 1)
        if (!viewOnly) this.#handlers.pointer(x, y, message.buttons)
        return
      }
      case 'desktop-size':
        this.#takeSize(message.width, message.height)
        return
      default:
        this.#clipboard.take(message)
    }
  }

  #takeSize(width: number, height: number): void {
    if (!this.#encodings.has(ENCODING.extendedDesktopSize))
      throw new ClientProtocolError('another size was not offered')
    const status =
      this.#options.viewOnly || !this.#options.resizable
        ? RESIZE_STATUS.prohibited
        : isDesktopSize(width, height)
          ? RESIZE_STATUS.forwarded
          : RESIZE_STATUS.invalid
    // Only the last answer counts, so a browser that asks and does not read collects none.
    const answer = extendedDesktopSizeRect(width, height, RESIZE_REASON.thisClient, status)
    const former = this.#due.findIndex(
      ({ encoding, x }) => encoding === ENCODING.extendedDesktopSize && x === RESIZE_REASON.thisClient,
    )
    if (former >= 0) this.#due.splice(former, 1)
    this.#due.push(answer)
    if (status === RESIZE_STATUS.forwarded) this.#handlers.resize(width, height)
    this.#pump()
  }

  /** Begins an update when there is something to show and the browser is ready for it. */
  #pump(): void {
    if (this.#isOver || this.#isEncoding || this.#encodings.size === 0) return
    if (!this.#consumer.isBehind && this.#due.length === 0 && !this.#pace.mustAnswer) return
    if (!this.#pace.mayBegin(this.#channel.queued <= QUEUED_LIMIT)) return
    this.#isEncoding = true
    void this.#update()
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#isEncoding = false
        this.#pump()
      })
  }

  async #update(): Promise<void> {
    if (this.#consumer.isOtherSize) {
      // A size ends an update (RFB: it is the last rectangle); the picture in it is the next one.
      this.#consumer.take(0)
      const { width, height } = this.#screen.grid
      this.#sendUpdate([...this.#due.splice(0), this.#sizeRect(width, height)])
      return
    }
    const taken = this.#consumer.take(UPDATE_TILES)
    const due = this.#due.splice(0)
    const tiles = await this.#encoder.encode(taken.tiles, taken.areas)
    if (this.#isOver) return
    const pictures = [...copyRects(taken.copies), ...rectsOf(tiles)]
    this.#sendUpdate([...due, ...this.#pointerRects(taken), ...pictures])
  }

  #pointerRects({ pointer }: Taken): WireRect[] {
    if (!pointer) return []
    if (this.#encodings.has(ENCODING.vmwareCursor)) return [vmwareCursorRect(pointer)]
    return this.#encodings.has(ENCODING.cursor) ? [cursorRect(pointer)] : []
  }

  #sizeRect(width: number, height: number): WireRect {
    if (this.#encodings.has(ENCODING.extendedDesktopSize)) return extendedDesktopSizeRect(width, height)
    if (this.#encodings.has(ENCODING.desktopSize)) return desktopSizeRect(width, height)
    throw new ClientProtocolError('the screen has another size, which this browser cannot be told')
  }

  #sendUpdate(rects: readonly WireRect[]): void {
    // As for a pointer's picture that the browser cannot be sent: it goes on waiting.
    if (rects.length === 0) return
    const message = framebufferUpdate(rects)
    for (let at = 0; at < message.length; at += PIECE_BYTES)
      this.#channel.send(message.subarray(at, at + PIECE_BYTES))
    this.#pace.sent()
    if (this.#encodings.has(ENCODING.fence))
      this.#channel.send(fenceRequest(this.#pace.fenced(message.length)))
  }

  /** A message that the browser made us send. One that makes many and reads none is closed. */
  #answer(bytes: Uint8Array): void {
    if (this.#channel.queued > ANSWERS_LIMIT) throw new ClientProtocolError('asks for more than it reads')
    this.#channel.send(bytes)
  }
}
