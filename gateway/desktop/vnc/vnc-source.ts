import type { Socket } from 'node:net'
import type { Clock } from '../../../broker/domain/clock.ts'
import { ChildNonsense, exactly, PaintCheck } from '../child/apply-paint.ts'
import type { DecodingChild } from '../child/decoding-child.ts'
import { FROM_CHILD, TO_CHILD } from '../child/frames.ts'
import { isDesktopSize, MAX_CLIPBOARD_BYTES } from '../limits.ts'
import type { DesktopEndCode, DesktopEvents, DesktopSource } from '../source.ts'
import {
  clientCutText,
  extendedKeyEvent,
  keyEvent,
  pointerEvent,
  setDesktopSize,
  setEncodings,
  setPixelFormat,
  updateRequest,
} from './client-messages.ts'
import type { Pictures } from './encodings.ts'
import { VNC_FROM_CHILD, writeStart } from './vnc-frames.ts'

/** More often than this nobody hears a bell; a server that rings all the time does not fill our queues. */
const BELL_MS = 250
/** Of the texts that come more often, the last one counts. */
const CLIPBOARD_MS = 250
/** Each new size is a new picture of everything: so many at once, and one more each second. */
const RESIZES = 20
/** How long the last pictures of a connection that is gone may take to be painted. */
const LAST_PAINT_MS = 1000
const POLITE_MS = 2000

/**
 * A signed-in VNC connection. The server's bytes go to the child unread; what comes back is checked and painted. Input
 * goes from here straight to the socket: it needs nothing of what the server says but its size and three facts, it never
 * waits behind a picture, and so the child, which reads hostile bytes, has no way to write to the asset.
 */
export class VncSource implements DesktopSource {
  readonly #socket: Socket
  readonly #child: DecodingChild
  readonly #events: DesktopEvents
  readonly #clock: Clock
  readonly #pictures: Pictures
  readonly #paint: PaintCheck
  readonly #opened = Promise.withResolvers<void>()
  #isOpen = false
  /** Nothing is asked for before somebody is ready to record it. */
  #paused = true
  #requested = false
  /** The next request is for everything: the size is new. */
  #whole = true
  #screen: { id: number; flags: number } | null = null
  /** A size asked for before the server said that it takes one. */
  #wish: { width: number; height: number } | null = null
  #takesScancodes = false
  #lastBell = Number.NEGATIVE_INFINITY
  #lastClipboard = Number.NEGATIVE_INFINITY
  #clipboard: Uint8Array | null = null
  #resizes = RESIZES
  #resizedAt = 0
  #ending = false
  #over = false

  constructor(socket: Socket, child: DecodingChild, events: DesktopEvents, clock: Clock, pictures: Pictures) {
    this.#socket = socket
    this.#child = child
    this.#events = events
    this.#clock = clock
    this.#pictures = pictures
    this.#paint = new PaintCheck(events.canvas)
    this.#opened.promise.catch(() => {})
  }

  /** Says ClientInit (shared: whoever sits before the asset keeps the picture) and resolves at ServerInit. */
  open(): Promise<void> {
    const socket = this.#socket
    this.#child.attach({
      message: (type, payload) => this.#message(type, payload),
      drain: () => socket.resume(),
      gone: (why) =>
        why === null
          ? this.#close(this.#ending ? 'shell-ended' : 'asset-lost', 'the connection was closed')
          : this.#close('decoder-failed', why),
    })
    this.#child.send(TO_CHILD.start, writeStart(this.#pictures))
    socket.on('data', (chunk: Buffer) => {
      if (!this.#over && !this.#child.send(TO_CHILD.bytes, chunk)) socket.pause()
    })
    socket.on('drain', () => {
      if (!this.#over) this.#events.drain()
    })
    socket.on('error', () => {})
    socket.on('end', () => this.#lost())
    socket.on('close', () => this.#lost())
    socket.write(Uint8Array.of(1))
    socket.resume()
    if (socket.destroyed) this.#lost()
    return this.#opened.promise
  }

  key(down: boolean, keysym: number, scancode: number | null): void {
    this.#say(
      scancode !== null && this.#takesScancodes
        ? extendedKeyEvent(down, keysym, scancode)
        : keyEvent(down, keysym),
    )
  }

  pointer(x: number, y: number, buttons: number): void {
    const { width, height } = this.#paint.size
    const inside = (value: number, size: number) => Math.min(Math.max(0, Math.trunc(value)), size - 1)
    this.#say(pointerEvent(inside(x, width), inside(y, height), buttons))
  }

  clipboard(text: string): void {
    this.#say(clientCutText(text, MAX_CLIPBOARD_BYTES))
  }

  resize(width: number, height: number): void {
    if (!isDesktopSize(width, height)) return
    if (this.#screen) this.#say(setDesktopSize(width, height, this.#screen))
    else this.#wish = { width, height }
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#child.resumeOutput()
    this.#request()
  }

  /** The decoding process, for whoever looks at the machine. */
  get pid(): number {
    return this.#child.pid
  }

  get takesScancodes(): boolean {
    return this.#takesScancodes
  }

  get received(): number {
    return this.#socket.bytesRead
  }

  get backlog(): number {
    return this.#socket.writableLength
  }

  end(): void {
    if (this.#over) return
    this.#ending = true
    this.#socket.end()
    this.#clock.after(POLITE_MS, () => this.#close('shell-ended', 'the connection was closed'))
  }

  destroy(): void {
    this.#over = true
    this.#socket.destroy()
    this.#child.kill()
    this.#opened.reject(new Error('destroyed'))
  }

  #say(message: Uint8Array): void {
    if (this.#isOpen && !this.#over && !this.#ending) this.#socket.write(message)
  }

  #request(): void {
    if (!this.#isOpen || this.#paused || this.#requested || this.#over) return
    this.#requested = true
    const { width, height } = this.#paint.size
    this.#say(updateRequest(!this.#whole, width, height))
    this.#whole = false
  }

  #message(type: number, payload: Uint8Array): void {
    if (this.#over) return
    if (type === FROM_CHILD.size && !this.#maySize()) {
      this.#close('protocol-violation', 'new sizes without an end')
      return
    }
    if (this.#paint.apply(type, payload)) {
      if (type === FROM_CHILD.size) this.#whole = true
      if (type === FROM_CHILD.flush) this.#painted()
      return
    }
    switch (type) {
      case FROM_CHILD.bell:
        exactly(payload, 0)
        this.#bell()
        return
      case FROM_CHILD.clipboard:
        if (payload.length > MAX_CLIPBOARD_BYTES) throw new ChildNonsense('too long a clipboard text')
        this.#copied(payload)
        return
      case FROM_CHILD.violation:
        this.#close('protocol-violation', violationText(payload))
        return
      case VNC_FROM_CHILD.opened:
        exactly(payload, 0)
        this.#begin()
        return
      case VNC_FROM_CHILD.resizable: {
        exactly(payload, 8)
        const view = new DataView(payload.buffer, payload.byteOffset, 8)
        this.#screen = { id: view.getUint32(0, true), flags: view.getUint32(4, true) }
        if (this.#wish) this.resize(this.#wish.width, this.#wish.height)
        this.#wish = null
        return
      }
      case VNC_FROM_CHILD.scancodes:
        exactly(payload, 0)
        this.#takesScancodes = true
        return
      default:
        throw new ChildNonsense('a message of unknown type')
    }
  }

  #begin(): void {
    if (this.#isOpen || this.#paint.size.width === 0) throw new ChildNonsense('a message out of turn')
    this.#isOpen = true
    if (!this.#pictures.nativeFormat) this.#say(setPixelFormat())
    this.#say(setEncodings(this.#pictures))
    this.#opened.resolve()
    this.#request()
  }

  /** A whole update has been painted: time for the next, unless nobody wants one. */
  #painted(): void {
    // Pictures that nobody asked for while nobody looks stay in the pipe, and the server waits.
    if (this.#paused && this.#isOpen && !this.#requested) this.#child.pauseOutput()
    this.#requested = false
    this.#request()
  }

  #maySize(): boolean {
    const now = this.#clock.monotonic()
    this.#resizes = Math.min(RESIZES, this.#resizes + (now - this.#resizedAt) / 1000)
    this.#resizedAt = now
    this.#resizes -= 1
    return this.#resizes >= 0
  }

  /** Decoded only when it is passed on. */
  #copied(text: Uint8Array): void {
    const isWaiting = this.#clipboard !== null
    this.#clipboard = text
    if (isWaiting) return
    const wait = Math.max(0, this.#lastClipboard + CLIPBOARD_MS - this.#clock.monotonic())
    if (wait === 0) this.#passClipboard()
    else this.#clock.after(wait, () => this.#passClipboard())
  }

  #passClipboard(): void {
    const text = this.#clipboard
    this.#clipboard = null
    if (text === null || this.#over) return
    this.#lastClipboard = this.#clock.monotonic()
    this.#events.clipboard(new TextDecoder().decode(text))
  }

  #bell(): void {
    const now = this.#clock.monotonic()
    if (now - this.#lastBell < BELL_MS) return
    this.#lastBell = now
    this.#events.bell()
  }

  /** The socket is gone; the child first paints what it has. */
  #lost(): void {
    if (this.#over) return
    this.#child.finish()
    this.#clock.after(LAST_PAINT_MS, () =>
      this.#close(this.#ending ? 'shell-ended' : 'asset-lost', 'the connection was closed'),
    )
  }

  #close(code: DesktopEndCode, message: string): void {
    if (this.#over) return
    this.#opened.reject(new OpeningFailed(code))
    this.destroy()
    if (this.#isOpen) this.#events.closed(code, message)
  }
}

/** The connection ended between the sign-in and ServerInit. */
export class OpeningFailed extends Error {
  readonly code: DesktopEndCode

  constructor(code: DesktopEndCode) {
    super(code)
    this.code = code
  }
}

/** Our own decoder's words, unless something has taken its place. */
function violationText(payload: Uint8Array): string {
  const text = new TextDecoder('latin1').decode(payload.subarray(0, 120))
  return /^[A-Za-z0-9 ,-]+$/.test(text) ? text : 'the protocol was broken'
}
