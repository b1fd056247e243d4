import type { Socket } from 'node:net'
import type { Clock } from '../../../broker/domain/clock.ts'
import { ChildNonsense, exactly, PaintCheck } from '../child/apply-paint.ts'
import type { DecodingChild } from '../child/decoding-child.ts'
import { FROM_CHILD, TO_CHILD } from '../child/frames.ts'
import { EventPace } from '../event-pace.ts'
import { isDesktopSize, MAX_CLIPBOARD_BYTES } from '../limits.ts'
import { SizeBudget } from '../size-budget.ts'
import type { DesktopEndCode, DesktopEvents, DesktopSource } from '../source.ts'
import { OpeningFailed, violationText } from '../source-end.ts'
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

/** How long the last pictures of a connection that is gone may take to be painted. */
const LAST_PAINT_MS = 1000
const POLITE_MS = 2000

/**
 * A signed-in VNC connection. The server's bytes go to the child unread; what comes back is checked and painted. Input
 * goes from here straight to the socket: it needs nothing of what the server says but its size and three facts, it never
 * waits behind a picture, and so the child, which reads hostile bytes, has no way to write to the asset.
 */
export class VncSource implements DesktopSource {
  /** Whoever works at the machine itself sees the same desktop. */
  readonly isOwnSize = false
  readonly #socket: Socket
  readonly #child: DecodingChild
  readonly #events: DesktopEvents
  readonly #clock: Clock
  readonly #pictures: Pictures
  readonly #paint: PaintCheck
  readonly #pace: EventPace
  readonly #sizes: SizeBudget
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
  #ending = false
  #over = false

  constructor(socket: Socket, child: DecodingChild, events: DesktopEvents, clock: Clock, pictures: Pictures) {
    this.#socket = socket
    this.#child = child
    this.#events = events
    this.#clock = clock
    this.#pictures = pictures
    this.#paint = new PaintCheck(events.canvas)
    this.#pace = new EventPace(clock, events)
    this.#sizes = new SizeBudget(clock)
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

  /** A wish that the server has heard cannot be taken back. */
  keepSize(): void {
    this.#wish = null
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
    this.#pace.stop()
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
    if (type === FROM_CHILD.size && !this.#sizes.take()) {
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
        this.#pace.bell()
        return
      case FROM_CHILD.clipboard:
        if (payload.length > MAX_CLIPBOARD_BYTES) throw new ChildNonsense('too long a clipboard text')
        this.#pace.copied(payload)
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
