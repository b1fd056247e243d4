import { Violation } from '../../violation.ts'

/** A fast-path packet's length is 15 bits, a TPKT packet's 16. */
const MAX_PACKET = 65_535
/** First byte of a TPKT packet (RFC 1006); anything else begins a fast-path packet (MS-RDPBCGR 2.2.9.1.2). */
export const TPKT = 3

/** Takes a connection apart into packets, whatever the chunks' borders. Holds the bytes of at most one. */
export class PacketReader {
  #rest: Buffer = Buffer.alloc(0)

  /** Calls `take` for each complete packet; it is a view of what was pushed. Throws Violation. */
  push(chunk: Uint8Array, take: (packet: Buffer, headerLength: number) => void): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
    let left: Buffer = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes
    for (;;) {
      const head = headOf(left)
      if (!head || left.length < head.length) break
      take(left.subarray(0, head.length), head.headerLength)
      left = left.subarray(head.length)
    }
    // A copy: what was pushed may be written over.
    this.#rest = Buffer.from(left)
  }
}

function headOf(bytes: Buffer): { length: number; headerLength: number } | null {
  const [first, second, third, fourth] = bytes
  if (first === undefined || second === undefined) return null
  let length: number
  let headerLength: number
  if (first === TPKT) {
    if (third === undefined || fourth === undefined) return null
    length = third * 256 + fourth
    headerLength = 4
  } else if (second & 0x80) {
    if (third === undefined) return null
    length = (second & 0x7f) * 256 + third
    headerLength = 3
  } else {
    length = second
    headerLength = 2
  }
  if (length <= headerLength || length > MAX_PACKET) throw new Violation('a packet of an impossible length')
  return { length, headerLength }
}

/** An MCS packet that carries data on a channel (T.125): SendDataRequest of a client, SendDataIndication of a server. */
export interface ChannelData {
  channel: number
  /** Where the data begins in the packet. */
  at: number
}

const X224_DATA = 0xf0
const MCS_AT = 7
const SEND_DATA_REQUEST = 0x64
const SEND_DATA_INDICATION = 0x68

export function channelData(packet: Buffer): ChannelData | null {
  const choice = packet[MCS_AT]
  if (packet[0] !== TPKT || packet[5] !== X224_DATA || packet.length < 15) return null
  if (choice !== SEND_DATA_REQUEST && choice !== SEND_DATA_INDICATION) return null
  // PER length of one or two bytes after initiator, channel and priority.
  return { channel: packet.readUInt16BE(10), at: (packet[13] ?? 0) & 0x80 ? 15 : 14 }
}
