import { channelData, PacketReader, TPKT } from './packets.ts'

/** What IronRDP 0.7 says with fixed words, and should not. */
export interface ClientWords {
  depth: 16 | 32
  /** MS-LCID. */
  keyboardLayout: number
}

const MCS_AT = 7
/** BER of Connect-Initial (T.125). */
const CONNECT_INITIAL = [0x7f, 0x65]
/** The key of a conference create request's user data (T.124): what comes after its length are client data blocks. */
const H221_CLIENT_KEY = Buffer.from('Duca')
const CS_CORE = 0xc001
const CS_NET = 0xc003
/** A channel's name and its options (2.2.1.3.4.1); text of the clipboard is the only thing beside the picture. */
const CHANNEL = 12
const CHANNELS = new Set(['cliprdr'])
/** Fields of CS_CORE after its header (MS-RDPBCGR 2.2.1.3.2). */
const CORE = {
  keyboardLayout: 12,
  highColourDepth: 136,
  supportedDepths: 138,
  earlyFlags: 140,
  end: 142,
} as const
const SUPPORT_24 = 0x0001
const SUPPORT_32 = 0x0008
const WANT_32 = 0x0002
/** Security header flag of the client info (2.2.1.11.1), and the flag in it that asks to be signed in with what it holds. */
const SEC_INFO_PKT = 0x0040
const INFO_AUTOLOGON = 0x0008

/**
 * What IronRDP says, on its way to the server: colour depth, keyboard and automatic sign-in, which it has no words for, are
 * put right in the two packets that have them. Everything after them passes unread.
 */
export class ClientStream {
  readonly #words: ClientWords
  readonly #packets = new PacketReader()
  #isCoreSaid = false
  #ioChannel: number | null = null

  constructor(words: ClientWords) {
    this.#words = words
  }

  /** The channel on which the client introduced itself: the picture's. */
  get ioChannel(): number | null {
    return this.#ioChannel
  }

  /** Whether the sign-in below RDP (CredSSP) is over: what both sides say are packets from here on. */
  get isPackets(): boolean {
    return this.#isCoreSaid
  }

  /** Takes what IronRDP says; gives what the server is to hear. */
  push(bytes: Buffer): Buffer {
    if (this.#ioChannel !== null) return bytes
    // CredSSP comes as DER, a SEQUENCE in each message; the first packet is the Connect-Initial.
    if (!this.#isCoreSaid && bytes[0] !== TPKT) return bytes
    const out: Buffer[] = []
    this.#packets.push(bytes, (packet) => out.push(this.#patched(Buffer.from(packet))))
    return Buffer.concat(out)
  }

  #patched(packet: Buffer): Buffer {
    if (!this.#isCoreSaid) {
      for (const { type, data } of clientBlocks(packet)) {
        if (type === CS_CORE && data.length >= CORE.end) this.#core(data)
        if (type === CS_NET) onlyKnownChannels(data)
      }
      this.#isCoreSaid = true
      return packet
    }
    const data = channelData(packet)
    if (!data || data.at + 12 > packet.length) return packet
    if ((packet.readUInt16LE(data.at) & SEC_INFO_PKT) === 0) return packet
    // The security header is four bytes, the info begins with a code page of four.
    const flags = data.at + 8
    packet.writeUInt32LE((packet.readUInt32LE(flags) | INFO_AUTOLOGON) >>> 0, flags)
    this.#ioChannel = data.channel
    return packet
  }

  #core(core: Buffer): void {
    const { depth, keyboardLayout } = this.#words
    core.writeUInt32LE(keyboardLayout, CORE.keyboardLayout)
    if (depth !== 32) return
    core.writeUInt16LE(24, CORE.highColourDepth)
    core.writeUInt16LE(
      core.readUInt16LE(CORE.supportedDepths) | SUPPORT_24 | SUPPORT_32,
      CORE.supportedDepths,
    )
    core.writeUInt16LE(core.readUInt16LE(CORE.earlyFlags) | WANT_32, CORE.earlyFlags)
  }
}

/** The client data blocks of a Connect-Initial, as views to write in. */
function* clientBlocks(packet: Buffer): Iterable<{ type: number; data: Buffer }> {
  if (packet[MCS_AT] !== CONNECT_INITIAL[0] || packet[MCS_AT + 1] !== CONNECT_INITIAL[1]) return
  const key = packet.indexOf(H221_CLIENT_KEY, MCS_AT)
  if (key < 0) return
  let at = key + H221_CLIENT_KEY.length
  // PER length of one or two bytes.
  at += (packet[at] ?? 0) & 0x80 ? 2 : 1
  while (at + 4 <= packet.length) {
    const length = packet.readUInt16LE(at + 2)
    if (length < 4 || at + length > packet.length) return
    yield { type: packet.readUInt16LE(at), data: packet.subarray(at + 4, at + length) }
    at += length
  }
}

/** Drives, printers, sound, smart cards: none of them is offered, whatever a later IronRDP would like to offer. */
function onlyKnownChannels(data: Buffer): void {
  for (let n = 0; n < data.readUInt32LE(0); n++) {
    const name = data.toString('latin1', 4 + n * CHANNEL, 4 + n * CHANNEL + 8).replace(/\0.*$/, '')
    if (!CHANNELS.has(name)) throw new Error(`a channel that is not offered: ${name}`)
  }
}
