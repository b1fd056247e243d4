import { say } from '../../../gateway/desktop/testing/rfb-client.ts'
import { vncAuthAnswer } from '../../../gateway/desktop/vnc/vnc-auth.ts'
import { ByteFlow } from './byte-flow.ts'
import type { Area, Shown } from './desktop-way.ts'
import { readUpdate } from './rfb-rects.ts'

/** What noVNC 1.7 says by itself, in its order; quality 6 and compression 2 are its defaults. */
const NOVNC_SAYS = [
  ...[1, 7, -260, 16, 21, 5, 2, 6, 0],
  ...[-32 + 6, -256 + 2],
  ...[-223, -224, -258, -261, -308, -309, -312, -313, -307, 0xc0a1e5ce, -316, 0x574d5664, -239],
]
const FENCE_REQUEST = 0x8000_0000

export interface Update {
  at: number
  areas: Area[]
  /** Where it ends among the bytes after ServerInit. */
  end: number
}

/**
 * noVNC's side of RFB, without its canvas: the same encodings, continuous updates when they are offered, fences answered,
 * one request out otherwise.
 */
export class RfbDesktop {
  size = { width: 0, height: 0 }
  init: Buffer = Buffer.alloc(0)
  /** Bytes up to and with ServerInit. */
  greetingBytes = 0
  readonly shown: Shown = { updates: 0, bytes: 0, pixels: 0 }
  readonly #send: (bytes: Buffer) => void
  readonly #password: string
  readonly #onUpdate: (update: Update) => void
  readonly #flow: ByteFlow
  #isContinuous = false

  /** `password`: for VNC's own authentication, where the server asks for it. */
  constructor(send: (bytes: Buffer) => void, password: string, onUpdate: (update: Update) => void) {
    this.#send = send
    this.#password = password
    this.#onUpdate = onUpdate
    this.#flow = new ByteFlow((flow) => this.#read(flow))
  }

  receive(bytes: Buffer): void {
    this.shown.bytes += bytes.length
    this.#flow.push(bytes)
  }

  key(down: boolean, keysym: number): void {
    this.#send(say.key(down, keysym))
  }

  pointer(buttons: number, x: number, y: number): void {
    this.#send(say.pointer(buttons, x, y))
  }

  *#read(flow: ByteFlow): Generator<void, void, void> {
    yield* flow.take(12)
    this.#send(say.version())
    const types = [...(yield* flow.take(yield* flow.u8()))]
    if (types.includes(1)) this.#send(Buffer.from([1]))
    else {
      this.#send(Buffer.from([2]))
      this.#send(vncAuthAnswer(yield* flow.take(16), Buffer.from(this.#password)))
    }
    if ((yield* flow.u32()) !== 0) throw new Error('the server refused')
    this.#send(say.init())
    const head = yield* flow.take(24)
    this.init = Buffer.concat([head, yield* flow.take(head.readUInt32BE(20))])
    this.size = { width: head.readUInt16BE(0), height: head.readUInt16BE(2) }
    this.greetingBytes = flow.consumed
    this.#send(say.pixelFormat())
    this.#send(say.encodings(...NOVNC_SAYS))
    this.#request(false)
    for (;;) yield* this.#message(flow)
  }

  *#message(flow: ByteFlow): Generator<void, void, void> {
    const type = yield* flow.u8()
    switch (type) {
      case 0: {
        const areas = yield* readUpdate(flow)
        const at = performance.now()
        this.shown.updates += 1
        for (const { width, height } of areas) this.shown.pixels += width * height
        this.#onUpdate({ at, areas, end: flow.consumed - this.greetingBytes })
        if (!this.#isContinuous) this.#request(true)
        return
      }
      case 2:
        return
      case 3: {
        const length = (yield* flow.take(7)).readInt32BE(3)
        yield* flow.take(Math.abs(length))
        return
      }
      case 150:
        this.#isContinuous = true
        this.#send(this.#sized([150, 1, 0, 0, 0, 0]))
        return
      case 248: {
        const head = yield* flow.take(8)
        const payload = yield* flow.take(head.readUInt8(7))
        const flags = head.readUInt32BE(3)
        // Of the flags noVNC knows both blocks; it draws in order, so they ask nothing of it.
        if ((flags & FENCE_REQUEST) !== 0) this.#send(say.fence(flags & 3, payload))
        return
      }
      default:
        throw new Error(`a server sent message ${type}`)
    }
  }

  #request(incremental: boolean): void {
    this.#send(this.#sized([3, incremental ? 1 : 0, 0, 0, 0, 0]))
  }

  /** For the whole screen. */
  #sized(head: number[]): Buffer {
    const message = Buffer.alloc(10)
    message.set(head)
    message.writeUInt16BE(this.size.width, 6)
    message.writeUInt16BE(this.size.height, 8)
    return message
  }
}
