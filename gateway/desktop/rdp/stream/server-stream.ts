import { Violation } from '../../violation.ts'
import { exactBitmaps } from './bitmap-update.ts'
import { ClipboardBound } from './clipboard-bound.ts'
import { ClipboardOrder } from './clipboard-order.ts'
import { channelData, PacketReader, TPKT } from './packets.ts'
import type { Pointers } from './pointers.ts'
import { checkSurface } from './surface-commands.ts'

/** What is made of one update in several pieces. */
const MAX_UPDATE = 16 * 1024 * 1024
/** Update codes of the fast path (MS-RDPBCGR 2.2.9.1.2.1). */
const FAST = {
  bitmap: 1,
  surface: 4,
  hide: 5,
  standard: 6,
  colour: 9,
  cached: 10,
  fresh: 11,
  large: 12,
} as const
const FRAGMENT = { single: 0, last: 1, first: 2, next: 3 } as const
const COMPRESSION_USED = 2

/** The slow path's (2.2.8.1.1.1.2 and 2.2.9.1.1). */
const PDU_TYPE_DEMAND_ACTIVE = 1
const PDU_TYPE_DATA = 7
const CAPABILITY = { bitmap: 0x02, input: 0x0d } as const
const PDU = { update: 0x02, pointer: 0x1b, errorInfo: 0x2f } as const
const SHARE_DATA_HEADER = 18
const POINTER = { system: 1, colour: 6, cached: 7, fresh: 8, large: 9 } as const
const SYSTEM_POINTER_HIDDEN = 0

export interface ServerStreamHandlers {
  pointers: Pointers
  desktop(): { width: number; height: number }
  /** Whether a channel was asked for beside the picture's. */
  hasClipboard: boolean
  /** The channel that the picture comes on, known once the client has spoken on it. */
  ioChannel(): number | null
  /** What the server takes as input (Demand Active, once or more). */
  takes(flags: number): void
  /** The desktop's size, as often as the server says it (Demand Active), before IronRDP makes room for it. */
  size(width: number, height: number): void
  errorInfo(code: number): void
}

interface Update {
  code: number
  /** Empty when it is one of several pieces and not the last. */
  data: Buffer | null
  isCompressed: boolean
  /** The piece as it came, for a packet of its own. */
  whole: Buffer
}

/** What a server says, on its way to IronRDP: corrected where IronRDP would err, read where it does not. */
export class ServerStream {
  readonly #handlers: ServerStreamHandlers
  readonly #packets = new PacketReader()
  readonly #bound = new ClipboardBound()
  readonly #clipboard = new ClipboardOrder()
  /** Pieces of one update, and the packets in which they came. */
  #pieces: Buffer[] = []
  #held: Buffer[] = []
  #size = 0
  /** Of the update whose pieces come. */
  #code: number | null = null

  constructor(handlers: ServerStreamHandlers) {
    this.#handlers = handlers
  }

  /** Takes what came; gives what IronRDP is to see of it. Throws Violation. */
  push(chunk: Uint8Array): Buffer {
    const out: Buffer[] = []
    this.#packets.push(chunk, (packet, headerLength) => {
      if (packet[0] === TPKT) out.push(...this.#slow(packet))
      else out.push(...this.#fast(packet, headerLength))
    })
    return out.length === 1 && out[0] ? Buffer.from(out[0]) : Buffer.concat(out)
  }

  #fast(packet: Buffer, headerLength: number): Buffer[] {
    const updates = [...this.#updates(packet, headerLength)]
    const answers = updates.map((update) => this.#update(update))
    if (answers.every((answer) => answer === null)) return [packet]
    return updates.flatMap((update, n) => answers[n] ?? [alone(packet[0] ?? 0, update.whole)])
  }

  *#updates(packet: Buffer, headerLength: number): Iterable<Update> {
    let at = headerLength
    while (at < packet.length) {
      const head = packet[at] ?? 0
      const isCompressed = head >> 6 === COMPRESSION_USED
      const sizeAt = at + (isCompressed ? 2 : 1)
      if (sizeAt + 2 > packet.length) throw new Violation('an update that ends too soon')
      const end = sizeAt + 2 + packet.readUInt16LE(sizeAt)
      if (end > packet.length) throw new Violation('an update that is longer than its packet')
      const piece = packet.subarray(sizeAt + 2, end)
      yield {
        code: head & 0x0f,
        data: this.#join((head >> 4) & 3, head & 0x0f, piece),
        isCompressed,
        whole: packet.subarray(at, end),
      }
      at = end
    }
  }

  /** Of one kind, one after the other, whole at the end: IronRDP puts together whatever comes, and without a bound. */
  #join(fragment: number, code: number, piece: Buffer): Buffer | null {
    const isInside = fragment === FRAGMENT.next || fragment === FRAGMENT.last
    if (isInside ? this.#code !== code : this.#code !== null)
      throw new Violation('pieces of an update out of their order')
    if (fragment === FRAGMENT.single) return piece
    if (fragment === FRAGMENT.first) {
      this.#code = code
      this.#size = 0
    }
    this.#size += piece.length
    if (this.#size > MAX_UPDATE) throw new Violation('an update without an end')
    this.#pieces.push(Buffer.from(piece))
    if (fragment !== FRAGMENT.last) return null
    const whole = Buffer.concat(this.#pieces)
    this.#pieces = []
    this.#code = null
    return whole
  }

  /** Null: as it came. */
  #update({ code, data, isCompressed, whole }: Update): Buffer[] | null {
    const { pointers } = this.#handlers
    // Compression was not agreed on; IronRDP knows what to do about it.
    if (isCompressed) return null
    if (code === FAST.bitmap) return this.#bitmap(data, whole)
    if (data === null) return null
    switch (code) {
      case FAST.surface:
        checkSurface(data)
        break
      case FAST.hide:
        pointers.hide()
        break
      case FAST.standard:
        pointers.standard()
        break
      case FAST.colour:
        pointers.colour(data)
        break
      case FAST.cached:
        pointers.cached(data)
        break
      case FAST.fresh:
        pointers.fresh(data)
        break
      case FAST.large:
        pointers.large(data)
        break
    }
    return null
  }

  /** Pieces of a bitmap update are held back until it is whole: then all of them go on, or what they are said as. */
  #bitmap(data: Buffer | null, whole: Buffer): Buffer[] | null {
    if (data === null) {
      this.#held.push(alone(0, Buffer.from(whole)))
      return []
    }
    const held = this.#held
    this.#held = []
    const exact = exactBitmaps(data, this.#handlers.desktop())
    if (exact) return exact
    return held.length === 0 ? null : [...held, alone(0, whole)]
  }

  #slow(packet: Buffer): Buffer[] {
    const data = channelData(packet)
    const ioChannel = this.#handlers.ioChannel()
    if (!data || ioChannel === null) return [packet]
    const pdu = packet.subarray(data.at)
    // No channel but the clipboard's is asked for beside the picture's.
    if (data.channel !== ioChannel && !this.#handlers.hasClipboard)
      throw new Violation('a channel that nobody asked for')
    if (data.channel !== ioChannel)
      return this.#bound
        .push(packet, data.at)
        .flatMap((one) => this.#clipboard.push(one, one.subarray(data.at)))
    if (pdu.length < SHARE_DATA_HEADER + 2) return [packet]
    const type = pdu.readUInt16LE(2) & 0x0f
    if (type === PDU_TYPE_DEMAND_ACTIVE) {
      for (const { type, body } of capabilities(pdu)) {
        if (type === CAPABILITY.input && body.length >= 2) this.#handlers.takes(body.readUInt16LE(0))
        if (type === CAPABILITY.bitmap && body.length >= 12)
          this.#handlers.size(body.readUInt16LE(8), body.readUInt16LE(10))
      }
    }
    if (type !== PDU_TYPE_DATA) return [packet]
    const isCompressed = (pdu[15] ?? 0) & 0x20
    if (isCompressed) return [packet]
    const body = pdu.subarray(SHARE_DATA_HEADER)
    switch (pdu[14]) {
      case PDU.update:
        if (body.readUInt16LE(0) === FAST.bitmap)
          return exactBitmaps(body, this.#handlers.desktop()) ?? [packet]
        break
      case PDU.pointer:
        this.#slowPointer(body)
        break
      case PDU.errorInfo:
        if (body.length >= 4) this.#handlers.errorInfo(body.readUInt32LE(0))
        break
    }
    return [packet]
  }

  #slowPointer(body: Buffer): void {
    const { pointers } = this.#handlers
    if (body.length < 4) throw new Violation('a pointer that ends too soon')
    const data = body.subarray(4)
    switch (body.readUInt16LE(0)) {
      case POINTER.system:
        if (data.length >= 4 && data.readUInt32LE(0) === SYSTEM_POINTER_HIDDEN) pointers.hide()
        else pointers.standard()
        return
      case POINTER.colour:
        pointers.colour(data)
        return
      case POINTER.cached:
        pointers.cached(data)
        return
      case POINTER.fresh:
        pointers.fresh(data)
        return
      case POINTER.large:
        pointers.large(data)
        return
    }
  }
}

/** An update as a packet of its own. */
function alone(action: number, update: Buffer): Buffer {
  const packet = Buffer.alloc(3 + update.length)
  packet.writeUInt8(action, 0)
  packet.writeUInt16BE(0x8000 | packet.length, 1)
  packet.set(update, 3)
  return packet
}

/** A server's capabilities (MS-RDPBCGR 2.2.1.13.1). */
function* capabilities(pdu: Buffer): Iterable<{ type: number; body: Buffer }> {
  // After the description of the server comes how many there are.
  let at = 14 + pdu.readUInt16LE(10) + 4
  while (at + 4 <= pdu.length) {
    const length = pdu.readUInt16LE(at + 2)
    if (length < 4) return
    yield { type: pdu.readUInt16LE(at), body: pdu.subarray(at + 4, at + length) }
    at += length
  }
}
