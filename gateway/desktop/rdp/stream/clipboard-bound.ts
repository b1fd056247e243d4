import { MAX_CLIPBOARD_BYTES } from '../../limits.ts'
import { Violation } from '../../violation.ts'
import { CHANNEL_HEADER, FIRST, FORMAT_DATA_RESPONSE, LAST } from './clipboard-words.ts'

const FAILED = 2

/**
 * What is copied on a server may be larger than this process; IronRDP puts it together whatever its size. Nothing so large is
 * passed on to anybody, so IronRDP is told that it cannot be had.
 */
export class ClipboardBound {
  #size = 0
  #isDropping = false

  /** `at`: where the data begins in the packet. Gives the packets that may go on. Throws Violation. */
  push(packet: Buffer, at: number): Buffer[] {
    const data = packet.subarray(at)
    if (data.length < CHANNEL_HEADER) return [packet]
    const flags = data.readUInt32LE(4)
    const isFirst = (flags & FIRST) !== 0
    if (isFirst) {
      this.#size = 0
      this.#isDropping = false
    }
    if (this.#isDropping) return []
    this.#size += data.length - CHANNEL_HEADER
    const most = isFirst ? Math.max(this.#size, data.readUInt32LE(0)) : this.#size
    if (most <= MAX_CLIPBOARD_BYTES) return [packet]
    const type = isFirst && data.length >= CHANNEL_HEADER + 2 ? data.readUInt16LE(CHANNEL_HEADER) : null
    if (type !== FORMAT_DATA_RESPONSE) throw new Violation('a clipboard message without an end')
    this.#isDropping = true
    return [refusal(packet, at)]
  }
}

/** A message of eight bytes and no data (MS-RDPECLIP 2.2.1), with the packet's own head before it. */
function refusal(packet: Buffer, at: number): Buffer {
  const short = Buffer.alloc(at + CHANNEL_HEADER + 8)
  short.set(packet.subarray(0, at))
  short.writeUInt16BE(short.length, 2)
  const length = short.length - at
  if (at === 15) short.writeUInt16BE(0x8000 | length, 13)
  else short.writeUInt8(length, 13)
  short.writeUInt32LE(8, at)
  short.writeUInt32LE(FIRST | LAST, at + 4)
  short.writeUInt16LE(FORMAT_DATA_RESPONSE, at + CHANNEL_HEADER)
  short.writeUInt16LE(FAILED, at + CHANNEL_HEADER + 2)
  return short
}
