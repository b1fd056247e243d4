/** Writes what servers of RDP say, for tests of what reads it. */

/** A fast-path packet with one update; `fragment` as in MS-RDPBCGR 2.2.9.1.2.1, 0 for a whole one. */
export function fastPath(code: number, data: Uint8Array, fragment = 0): Buffer {
  const packet = Buffer.alloc(6 + data.length)
  packet.writeUInt16BE(0x8000 | packet.length, 1)
  packet.writeUInt8(code | (fragment << 4), 3)
  packet.writeUInt16LE(data.length, 4)
  packet.set(data, 6)
  return packet
}

/** A share data PDU on a channel. */
export function slowPath(channel: number, pduType: number, data: Uint8Array): Buffer {
  const pdu = Buffer.alloc(18 + data.length)
  pdu.writeUInt16LE(pdu.length, 0)
  pdu.writeUInt16LE(0x17, 2)
  pdu.writeUInt8(pduType, 14)
  pdu.set(data, 18)
  return onChannel(0x68, channel, pdu)
}

/** An MCS packet of a server (0x68) or a client (0x64). */
export function onChannel(choice: number, channel: number, data: Uint8Array): Buffer {
  const packet = Buffer.alloc(15 + data.length)
  packet.set([3, 0, 0, 0, 2, 0xf0, 0x80, choice])
  packet.writeUInt16BE(packet.length, 2)
  packet.writeUInt16BE(channel, 10)
  packet.writeUInt8(0x70, 12)
  packet.writeUInt16BE(0x8000 | data.length, 13)
  packet.set(data, 15)
  return packet
}

export interface TestBitmap {
  left: number
  top: number
  right: number
  bottom: number
  width: number
  height: number
  bits: number
  flags: number
  data: Uint8Array
}

/** A bitmap update's data, with its type. */
export function bitmapUpdate(bitmaps: readonly TestBitmap[]): Buffer {
  const parts = bitmaps.map((one) => {
    const head = Buffer.alloc(18)
    const words = [one.left, one.top, one.right, one.bottom, one.width, one.height, one.bits, one.flags]
    for (const [n, word] of [...words, one.data.length].entries()) head.writeUInt16LE(word, n * 2)
    return Buffer.concat([head, one.data])
  })
  return Buffer.concat([Buffer.from([1, 0, bitmaps.length & 0xff, bitmaps.length >> 8]), ...parts])
}
