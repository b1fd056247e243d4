/** Security protocols of an RDP negotiation (MS-RDPBCGR 2.2.1.1.1): what a client asks for and a server chooses. */
export const RDP_PROTOCOL = { standard: 0, tls: 1, nla: 2, nlaExtended: 8 } as const

/** TPKT (RFC 1006) and the fixed part of an X.224 connection TPDU (RFC 905). */
const TPKT = 4
const CONNECTION_TPDU = 7
const NEGOTIATION = 8
const CONNECTION_REQUEST = 0xe0
const CONNECTION_CONFIRM = 0xd0
const NEGOTIATION_REQUEST = 1
const NEGOTIATION_RESPONSE = 2
const NEGOTIATION_FAILURE = 3

/** Why a server refuses all that was asked for (MS-RDPBCGR 2.2.1.2.2). */
const FAILURE_NLA_REQUIRED = new Set([5, 6])

export type Confirmed =
  | { ok: true; protocol: number }
  /** `nla-required`: it takes nothing less. `refused`: it has no TLS at all, or no certificate for it. */
  | { ok: false; why: 'nla-required' | 'refused' }

/**
 * The first packet of a client. No cookie in it: that would be the account's name, in the clear, before the server has
 * shown who it is.
 */
export function connectionRequest(protocols: number): Buffer {
  const length = TPKT + CONNECTION_TPDU + NEGOTIATION
  const packet = Buffer.alloc(length)
  packet.writeUInt8(3, 0)
  packet.writeUInt16BE(length, 2)
  packet.writeUInt8(length - TPKT - 1, 4)
  packet.writeUInt8(CONNECTION_REQUEST, 5)
  packet.writeUInt8(NEGOTIATION_REQUEST, 11)
  packet.writeUInt16LE(NEGOTIATION, 13)
  packet.writeUInt32LE(protocols, 15)
  return packet
}

/** Length of a TPKT packet by its first four bytes; null when that is none. */
export function packetLength(header: Uint8Array): number | null {
  const length = ((header[2] ?? 0) << 8) | (header[3] ?? 0)
  return header[0] === 3 && length > TPKT ? length : null
}

/** The server's answer; null when it is no connection confirm. A server from before TLS says nothing of protocols. */
export function readConfirm(packet: Buffer): Confirmed | null {
  if (packet.length < TPKT + CONNECTION_TPDU || packet[5] !== CONNECTION_CONFIRM) return null
  if (packet.length < TPKT + CONNECTION_TPDU + NEGOTIATION)
    return { ok: true, protocol: RDP_PROTOCOL.standard }
  const value = packet.readUInt32LE(15)
  if (packet[11] === NEGOTIATION_RESPONSE) return { ok: true, protocol: value }
  if (packet[11] === NEGOTIATION_FAILURE)
    return { ok: false, why: FAILURE_NLA_REQUIRED.has(value) ? 'nla-required' : 'refused' }
  return null
}

/** The protocols that a request asks for; null when it is no request. */
export function requestedProtocols(packet: Buffer): number | null {
  if (packet.length < TPKT + CONNECTION_TPDU + NEGOTIATION || packet[5] !== CONNECTION_REQUEST) return null
  // A cookie may stand before the negotiation, which is the packet's last eight bytes.
  const at = packet.length - NEGOTIATION
  return packet[at] === NEGOTIATION_REQUEST && packet.readUInt16LE(at + 2) === NEGOTIATION
    ? packet.readUInt32LE(at + 4)
    : null
}
