import { Violation } from '../../violation.ts'
import { CHANNEL_HEADER, FIRST, FORMAT_LIST, FORMAT_LIST_RESPONSE, LAST } from './clipboard-words.ts'

/** Lists of what was copied are short, and few come before the first answer. */
const MAX_HELD = 256 * 1024

/**
 * A server may say what was copied there as soon as it is ready, and so before it has answered the client's own first list.
 * IronRDP 0.7 ends the session over it. Until that answer has come, the server's lists wait here; then they follow it.
 */
export class ClipboardOrder {
  #isReady = false
  #isHolding = false
  #held: Buffer[] = []
  #size = 0

  /** `data`: what stands in the packet on the clipboard's channel. Gives the packets that may go on. */
  push(packet: Buffer, data: Buffer): Buffer[] {
    if (this.#isReady || data.length < CHANNEL_HEADER) return [packet]
    const flags = data.readUInt32LE(4)
    const type = flags & FIRST && data.length >= CHANNEL_HEADER + 2 ? data.readUInt16LE(CHANNEL_HEADER) : null
    if (type === FORMAT_LIST_RESPONSE) {
      this.#isReady = true
      const held = this.#held
      this.#held = []
      return [packet, ...held]
    }
    if (type === FORMAT_LIST) this.#isHolding = true
    if (!this.#isHolding) return [packet]
    this.#size += packet.length
    if (this.#size > MAX_HELD) throw new Violation('clipboard lists without an end')
    this.#held.push(Buffer.from(packet))
    if (flags & LAST) this.#isHolding = false
    return []
  }
}
