import type { Socket } from 'node:net'
import type { Clock, Timer } from '../../../broker/domain/clock.ts'
import { ChildNonsense, exactly, PaintCheck } from '../child/apply-paint.ts'
import type { DecodingChild } from '../child/decoding-child.ts'
import { FROM_CHILD, TO_CHILD } from '../child/frames.ts'
import { EventPace } from '../event-pace.ts'
import { MAX_CLIPBOARD_BYTES } from '../limits.ts'
import { SizeBudget } from '../size-budget.ts'
import type { DesktopEndCode, DesktopEvents, DesktopSource } from '../source.ts'
import { OpeningFailed, violationText } from '../source-end.ts'
import { endOfErrorInfo } from './error-info.ts'
import type { RdpFailureCode } from './failure.ts'
import { RdpInput } from './input/rdp-input.ts'
import type { Negotiated } from './negotiate.ts'
import {
  RDP_FROM_CHILD,
  RDP_OPENING_FAILURES,
  RDP_TO_CHILD,
  type RdpConnection,
  type RdpOpeningFailure,
} from './rdp-frames.ts'
import { SizeWish } from './size-wish.ts'

/** How long the last pictures of a connection that is gone may take to be painted. */
const LAST_PAINT_MS = 1000
const POLITE_MS = 2000
/** What the child says faster than the asset takes it: above, the child waits. */
const OUTPUT_LIMIT = 256 * 1024
/** How long an asset may take nothing while the child waits for it. */
const DEAF_MS = 10_000

export interface RdpSourceHouse {
  clock: Clock
  /** MS-LCID of the keyboard that the server was told of. */
  keyboardLayout: number
  /** Reaches the asset once more, as checked as the first time. Rejects when it cannot be reached. */
  reconnect(signal: AbortSignal): Promise<Negotiated>
  reconnectTimeoutMs: number
}

/**
 * `switching`: from the moment that the socket is another one to its sign-in. `isSwitched`: the child has heard of it, so
 * what it says is no longer about the former one.
 */
type State =
  | { name: 'signing-in' }
  | { name: 'open' }
  | { name: 'switching'; isSwitched: boolean; deadline: Timer; waiting: (() => void)[] }

/**
 * An RDP connection past its certificate. Sign-in and picture are the child's matter, because they are one protocol with one
 * state; this side owns the socket and believes nothing of what the child says. Keys and pointer go from here straight to
 * the socket: they wait behind no picture, and what is held down can be let go whatever the child does.
 *
 * Another size is another connection: RDP servers differ too much in what they make of a wish, and IronRDP in what it makes
 * of their answer. The old picture stays until the new one comes.
 */
export class RdpSource implements DesktopSource {
  readonly takesScancodes = true
  readonly isOwnSize = true
  readonly #child: DecodingChild
  readonly #events: DesktopEvents
  readonly #house: RdpSourceHouse
  readonly #paint: PaintCheck
  readonly #pace: EventPace
  readonly #sizes: SizeBudget
  readonly #input: RdpInput
  readonly #wish: SizeWish
  readonly #opened = Promise.withResolvers<void>()
  /** Sockets before this one, until they are closed. */
  readonly #formers = new Set<Socket>()
  #socket: Socket
  #receivedBefore = 0
  #state: State = { name: 'signing-in' }
  /** The picture is shown; before, nobody records it. */
  #isRunning = false
  #paused = true
  /** The child waits until the asset has taken what was said. */
  #full: Timer | null = null
  #errorInfo = 0
  #ending = false
  #over = false

  constructor(socket: Socket, child: DecodingChild, events: DesktopEvents, house: RdpSourceHouse) {
    this.#socket = socket
    this.#child = child
    this.#events = events
    this.#house = house
    this.#paint = new PaintCheck(events.canvas)
    this.#pace = new EventPace(house.clock, events)
    this.#sizes = new SizeBudget(house.clock)
    this.#input = new RdpInput(house.keyboardLayout)
    this.#wish = new SizeWish(house.clock, {
      size: () => (this.#isSteady ? this.#paint.size : null),
      reconnect: (signal) => house.reconnect(signal),
      switch: (to, size) => this.#switch(to, size),
      identityChanged: (seen) => this.#events.identityChanged(seen),
    })
    this.#opened.promise.catch(() => {})
  }

  /** Signs in, and resolves when the server has let us. `start`: see `writeStart`; wiped when it is on its way. */
  open(start: Uint8Array): Promise<void> {
    this.#child.attach({
      message: (type, payload) => this.#message(type, payload),
      drain: () => {
        this.#flow()
        this.#events.drain()
      },
      gone: (why) => this.#close(why === null ? this.#lostCode() : 'decoder-failed', why ?? 'it was closed'),
    })
    this.#child.send(TO_CHILD.start, start, () => start.fill(0))
    this.#listen(this.#socket)
    return this.#opened.promise
  }

  key(down: boolean, keysym: number, scancode: number | null): void {
    this.#act(() => this.#write(this.#input.key(down, keysym, scancode)))
  }

  pointer(x: number, y: number, buttons: number): void {
    const inside = (value: number, size: number) => Math.min(Math.max(0, Math.trunc(value)), size - 1)
    this.#act(() => {
      const { width, height } = this.#paint.size
      this.#write(this.#input.pointer(inside(x, width), inside(y, height), buttons))
    })
  }

  clipboard(text: string): void {
    const bytes = new TextEncoder().encode(text).subarray(0, MAX_CLIPBOARD_BYTES)
    this.#act(() => this.#child.send(RDP_TO_CHILD.clipboard, bytes))
  }

  resize(width: number, height: number): void {
    this.#wish.want(width, height)
  }

  keepSize(): void {
    this.#wish.forget()
  }

  pause(): void {
    this.#paused = true
    this.#flow()
  }

  resume(): void {
    this.#paused = false
    if (!this.#isRunning && this.#state.name === 'open') {
      this.#isRunning = true
      this.#child.send(RDP_TO_CHILD.run, new Uint8Array(0))
    }
    this.#flow()
  }

  /** The decoding process, for whoever looks at the machine. */
  get pid(): number {
    return this.#child.pid
  }

  get received(): number {
    return this.#receivedBefore + this.#socket.bytesRead
  }

  /** While the connection becomes another one, nothing more is taken than what is on its way. */
  get backlog(): number {
    if (this.#state.name === 'switching') return Number.POSITIVE_INFINITY
    return this.#socket.writableLength + this.#child.queued
  }

  end(): void {
    if (this.#over) return
    this.#ending = true
    this.#wish.stop()
    this.#socket.end()
    this.#house.clock.after(POLITE_MS, () => this.#close('shell-ended', 'the connection was closed'))
  }

  destroy(): void {
    this.#over = true
    this.#wish.stop()
    this.#full?.cancel()
    if (this.#state.name === 'switching') this.#state.deadline.cancel()
    this.#pace.stop()
    this.#socket.destroy()
    for (const former of this.#formers) former.destroy()
    this.#child.kill()
    this.#opened.reject(new Error('destroyed'))
  }

  /** The picture is shown and will be for a while, so another size may be asked for. */
  get #isSteady(): boolean {
    return this.#state.name === 'open' && this.#isRunning && !this.#paused && !this.#ending && !this.#over
  }

  /** Now, or once the connection is the new one: what was recorded as done is done. */
  #act(does: () => void): void {
    if (!this.#isRunning || this.#over || this.#ending) return
    if (this.#state.name === 'switching') this.#state.waiting.push(does)
    else does()
  }

  #write(packets: Buffer): void {
    if (packets.length > 0) this.#socket.write(packets)
  }

  #listen(socket: Socket): void {
    const isMine = () => socket === this.#socket && !this.#over
    socket.on('data', (chunk: Buffer) => {
      if (isMine() && !this.#child.send(TO_CHILD.bytes, chunk)) socket.pause()
    })
    socket.on('drain', () => {
      if (!isMine()) return
      this.#taken()
      this.#events.drain()
    })
    socket.on('error', () => {})
    const lost = () => {
      if (isMine()) this.#lost()
    }
    socket.on('end', lost)
    socket.on('close', lost)
    socket.resume()
    if (socket.destroyed) lost()
  }

  /** The server waits while nobody can record its picture. A sign-in is no picture, and waits for nobody. */
  #flow(): void {
    if (this.#over) return
    if (this.#paused && this.#isRunning && this.#state.name === 'open') this.#socket.pause()
    else this.#socket.resume()
  }

  #message(type: number, payload: Uint8Array): void {
    if (this.#over) return
    if (type === FROM_CHILD.size && !this.#sizes.take()) {
      this.#close('protocol-violation', 'new sizes without an end')
      return
    }
    if (this.#paint.apply(type, payload)) return
    switch (type) {
      case FROM_CHILD.clipboard:
        if (payload.length > MAX_CLIPBOARD_BYTES) throw new ChildNonsense('too long a clipboard text')
        this.#pace.copied(payload)
        return
      case FROM_CHILD.violation:
        this.#close('protocol-violation', violationText(payload))
        return
      case RDP_FROM_CHILD.switched:
        exactly(payload, 0)
        if (this.#state.name !== 'switching' || this.#state.isSwitched)
          throw new ChildNonsense('a message out of turn')
        this.#state.isSwitched = true
        return
    }
    // Of the former connection, which is over.
    if (this.#state.name === 'switching' && !this.#state.isSwitched) return
    this.#ofConnection(type, payload)
  }

  #ofConnection(type: number, payload: Uint8Array): void {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
    switch (type) {
      case RDP_FROM_CHILD.bytes:
        this.#socket.write(payload)
        // An asset that asks and does not read, or a child that talks without end, costs this process no more than this.
        if (this.#socket.writableLength > OUTPUT_LIMIT) this.#wait()
        return
      case RDP_FROM_CHILD.takes:
        exactly(payload, 2)
        this.#input.takes = view.getUint16(0, true)
        return
      case RDP_FROM_CHILD.errorInfo:
        exactly(payload, 4)
        this.#errorInfo = view.getUint32(0, true)
        return
      case RDP_FROM_CHILD.opened:
        exactly(payload, 0)
        this.#signedIn()
        return
      case RDP_FROM_CHILD.failed: {
        const word = new TextDecoder('latin1').decode(payload.subarray(0, 64))
        const why = RDP_OPENING_FAILURES.find((one) => one === word)
        if (!why || this.#state.name === 'open') throw new ChildNonsense('a message out of turn')
        this.#failed(why)
        return
      }
      case RDP_FROM_CHILD.closed:
        exactly(payload, 0)
        this.#close(this.#lostCode(), 'the server closed the connection')
        return
      default:
        throw new ChildNonsense('a message of unknown type')
    }
  }

  #wait(): void {
    if (this.#full) return
    this.#child.pauseOutput()
    this.#full = this.#house.clock.after(DEAF_MS, () =>
      this.#close('protocol-violation', 'questions without an end, and no ear for the answers'),
    )
  }

  #taken(): void {
    if (!this.#full) return
    this.#full.cancel()
    this.#full = null
    this.#child.resumeOutput()
  }

  #signedIn(): void {
    const state = this.#state
    if (state.name === 'open' || this.#paint.size.width === 0)
      throw new ChildNonsense('a message out of turn')
    this.#state = { name: 'open' }
    if (state.name === 'signing-in') {
      this.#opened.resolve()
      if (!this.#paused) this.resume()
      return
    }
    state.deadline.cancel()
    this.#child.send(RDP_TO_CHILD.run, new Uint8Array(0))
    for (const does of state.waiting) does()
    this.#flow()
    this.#events.drain()
    this.#wish.follow()
  }

  #failed(why: RdpOpeningFailure): void {
    if (this.#state.name === 'switching') this.#close('asset-lost', `another size: ${why}`)
    else this.#refuse(this.#refusal() ?? why)
  }

  /** From one connection to the other. Nothing stays held down in the former, and nothing of it counts any more. */
  #switch({ socket, confirm, certificate }: Negotiated, size: { width: number; height: number }): void {
    const former = this.#socket
    this.#write(this.#input.release())
    this.#input.begin()
    this.#receivedBefore += former.bytesRead
    this.#socket = socket
    this.#errorInfo = 0
    this.#taken()
    this.#state = {
      name: 'switching',
      isSwitched: false,
      waiting: [],
      deadline: this.#house.clock.after(this.#house.reconnectTimeoutMs, () =>
        this.#close('asset-lost', 'another size: the asset did not answer in time'),
      ),
    }
    this.#formers.add(former)
    former.once('close', () => this.#formers.delete(former))
    former.end()
    this.#house.clock.after(POLITE_MS, () => former.destroy())
    const connection: RdpConnection = {
      ...size,
      confirm: confirm.toString('base64'),
      certificate: certificate.toString('base64'),
    }
    this.#child.send(RDP_TO_CHILD.again, Buffer.from(JSON.stringify(connection)))
    this.#listen(socket)
  }

  #lostCode(): DesktopEndCode {
    if (this.#ending) return 'shell-ended'
    const said = endOfErrorInfo(this.#errorInfo)
    return said === 'licence' || said === null ? 'asset-lost' : said
  }

  /** The socket is gone; the child first paints what it has. */
  #lost(): void {
    this.#child.finish()
    this.#house.clock.after(LAST_PAINT_MS, () => this.#close(this.#lostCode(), 'the connection was closed'))
  }

  /** What the server says of an opening that it ends. */
  #refusal(): RdpFailureCode | null {
    const said = endOfErrorInfo(this.#errorInfo)
    return said === 'shell-ended' ? 'dismissed' : said
  }

  #refuse(code: RdpFailureCode): void {
    this.#opened.reject(new OpeningFailed(code))
    this.destroy()
  }

  #close(code: DesktopEndCode, message: string): void {
    if (this.#over) return
    const wasOpen = this.#state.name !== 'signing-in'
    this.#opened.reject(new OpeningFailed(this.#refusal() ?? code))
    this.destroy()
    if (wasOpen) this.#events.closed(code, message)
  }
}
