import { X509Certificate } from 'node:crypto'
import { createServer, type Socket } from 'node:net'
import { createSecureContext, TLSSocket } from 'node:tls'
import { issueServerCertificate, makeSiteCa, type PemPair } from '../../broker/http/site-ca.ts'
import { PacketReader } from '../../gateway/desktop/rdp/stream/packets.ts'
import { onChannel, slowPath } from '../../gateway/desktop/testing/rdp-server.ts'

/** Channel of the picture; those that a client asks for follow it. */
export const IO_CHANNEL = 1003
const USER = 1007
const PDU = { synchronize: 31, control: 20, fontList: 39, fontMap: 40 } as const

/** What a server answers on the way to its picture, in this order. */
export const RDP_PHASES = ['connect', 'attach', 'join', 'licence', 'capabilities', 'finish'] as const
export type RdpPhase = (typeof RDP_PHASES)[number]

export interface RdpTalk {
  socket: TLSSocket
  say(...packets: Uint8Array[]): void
  /** What the client has said inside TLS. */
  heard: Buffer[]
  /** The channels that it asked for. */
  channels: string[]
}

export interface RdpScript {
  identity?: PemPair
  /** The packet that answers the request for protocols; TLS by default. Null: nothing, ever. */
  confirm?: Uint8Array | null
  width?: number
  height?: number
  /** What is said at a phase instead of what is right; an empty list: nothing more. */
  change?(phase: RdpPhase, right: Buffer): Uint8Array[]
  /** After the client's last packet of the way to the picture. */
  live?(talk: RdpTalk): void
}

export interface ScriptedRdp {
  host: string
  port: number
  user: string
  password: string
  certificate: Buffer
  talks: RdpTalk[]
  /** All that came, before TLS and inside. */
  received(): Buffer
  /** What it says from the next connection on. */
  script: RdpScript
  log(): string
  kill(): void
  stop(): Promise<void>
}

let authority: Promise<PemPair> | null = null
/** A certificate of an RDP server that nobody knows. */
export async function rdpIdentity(): Promise<PemPair> {
  authority ??= makeSiteCa(['asset'], Date.now())
  return issueServerCertificate(await authority, ['asset'], Date.now())
}

/** The X.224 answer that chooses a protocol (MS-RDPBCGR 2.2.1.2.1). */
export function confirmOf(protocol: number): Buffer {
  return Buffer.from([3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0, 8, 0, protocol, 0, 0, 0])
}

/** A server of RDP over TLS that does what a test says: it signs everybody in, and has no picture of its own. */
export async function startScriptedRdp(script: RdpScript = {}): Promise<ScriptedRdp> {
  const identity = script.identity ?? (await rdpIdentity())
  const sockets = new Set<Socket>()
  const received: Buffer[] = []
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    const { confirm = confirmOf(1) } = lab.script
    socket.once('data', (request: Buffer) => {
      received.push(request)
      if (!confirm) return
      socket.write(confirm)
      secure(socket)
    })
  })
  const secure = (raw: Socket) => {
    const { certificate, key } = lab.script.identity ?? identity
    const socket = new TLSSocket(raw, {
      isServer: true,
      secureContext: createSecureContext({ cert: certificate, key }),
    })
    socket.on('error', () => {})
    const talk: RdpTalk = {
      socket,
      heard: [],
      channels: [],
      say: (...packets) => {
        if (!socket.destroyed) socket.write(Buffer.concat(packets))
      },
    }
    lab.talks.push(talk)
    const answer = answering(lab.script, talk)
    const reader = new PacketReader()
    socket.on('data', (chunk: Buffer) => {
      received.push(chunk)
      reader.push(chunk, (packet) => {
        talk.heard.push(Buffer.from(packet))
        answer(talk.heard.at(-1) ?? packet)
      })
    })
  }
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  const kill = () => {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
  const lab: ScriptedRdp = {
    host: '127.0.0.1',
    port: typeof address === 'object' && address ? address.port : 0,
    user: 'operator',
    password: 'scripted-pw-1',
    certificate: new X509Certificate(identity.certificate).raw,
    talks: [],
    received: () => Buffer.concat(received),
    script,
    log: () => '',
    kill,
    async stop() {
      const closed = new Promise((done) => server.once('close', done))
      kill()
      await closed
    },
  }
  return lab
}

/** MCS messages by their number (T.125). */
const MCS = { attach: 10, join: 14, data: 25 } as const
const SEC_INFO_PKT = 0x0040

function answering(script: RdpScript, talk: RdpTalk): (packet: Buffer) => void {
  const { width = 640, height = 480 } = script
  let isOver = false
  const say = (phase: RdpPhase, right: Buffer) => {
    if (isOver) return
    const said = script.change?.(phase, right) ?? [right]
    if (said.length === 0) isOver = true
    else talk.say(...said)
  }
  return (packet) => {
    if (packet[0] !== 3) return
    if (packet[7] === 0x7f) {
      talk.channels.push(...channelsOf(packet))
      say('connect', connectResponse(talk.channels.length))
      return
    }
    const choice = (packet[7] ?? 0) >> 2
    if (choice === MCS.attach) say('attach', mcs([0x2e, 0, 0, USER - 1001]))
    else if (choice === MCS.join) {
      const [high = 0, low = 0] = packet.subarray(10, 12)
      say('join', mcs([0x3e, 0, 0, USER - 1001, high, low, high, low]))
    } else if (choice === MCS.data && packet.readUInt16BE(10) === IO_CHANNEL) {
      const data = packet.subarray((packet[13] ?? 0) & 0x80 ? 15 : 14)
      if (data.readUInt16LE(0) === SEC_INFO_PKT) {
        say('licence', onChannel(0x68, IO_CHANNEL, LICENCE))
        say('capabilities', demandActive(width, height))
      } else if ((data.readUInt16LE(2) & 15) === 7 && data[14] === PDU.fontList) {
        say('finish', finish())
        if (!isOver) script.live?.(talk)
      }
    }
  }
}

function mcs(bytes: readonly number[]): Buffer {
  return Buffer.from([3, 0, 0, 7 + bytes.length, 2, 0xf0, 0x80, ...bytes])
}

/** Names of the channels of a Connect-Initial (CS_NET, 2.2.1.3.4). */
export function channelsOf(connectInitial: Buffer): string[] {
  let at = connectInitial.indexOf('Duca') + 4
  at += (connectInitial[at] ?? 0) & 0x80 ? 2 : 1
  while (at + 8 <= connectInitial.length) {
    const length = connectInitial.readUInt16LE(at + 2)
    if (connectInitial.readUInt16LE(at) === 0xc003)
      return Array.from({ length: connectInitial.readUInt32LE(at + 4) }, (_, n) =>
        connectInitial.toString('latin1', at + 8 + n * 12, at + 16 + n * 12).replace(/\0.*$/, ''),
      )
    if (length < 4) break
    at += length
  }
  return []
}

/** "A valid client, nothing more to license" (2.2.1.12). */
const LICENCE = Buffer.from([0x80, 0, 0, 0, 0xff, 3, 0x10, 0, 7, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0])

/** Connect-Response with one channel for each that was asked for (2.2.1.4). */
function connectResponse(channels: number): Buffer {
  const net = Buffer.alloc(8 + (channels + (channels & 1)) * 2)
  net.writeUInt16LE(0x0c03, 0)
  net.writeUInt16LE(net.length, 2)
  net.writeUInt16LE(IO_CHANNEL, 4)
  net.writeUInt16LE(channels, 6)
  for (let n = 0; n < channels; n++) net.writeUInt16LE(IO_CHANNEL + 1 + n, 8 + n * 2)
  const blocks = Buffer.concat([
    Buffer.from([0x01, 0x0c, 12, 0, 4, 0, 8, 0, 1, 0, 0, 0]),
    net,
    Buffer.from([0x02, 0x0c, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
  ])
  const conference = Buffer.concat([
    Buffer.from('14760a01010001c0004d63446e', 'hex'),
    Buffer.from([0x80 | (blocks.length >> 8), blocks.length & 0xff]),
    blocks,
  ])
  const gcc = Buffer.concat([
    Buffer.from('000500147c0001', 'hex'),
    Buffer.from([0x80 | (conference.length >> 8), conference.length & 0xff]),
    conference,
  ])
  const body = Buffer.concat([
    Buffer.from('0a0100020100', 'hex'),
    Buffer.from('301a020122020103020100020101020100020101020300fff8020102', 'hex'),
    Buffer.from([0x04, 0x82, gcc.length >> 8, gcc.length & 0xff]),
    gcc,
  ])
  const packet = Buffer.concat([
    Buffer.from([3, 0, 0, 0, 2, 0xf0, 0x80, 0x7f, 0x66, 0x82, body.length >> 8, body.length & 0xff]),
    body,
  ])
  packet.writeUInt16BE(packet.length, 2)
  return packet
}

const capability = (type: number, words: readonly number[], length = 4 + words.length * 2) => {
  const one = Buffer.alloc(length)
  for (const [n, word] of [type, length, ...words].entries()) one.writeUInt16LE(word, n * 2)
  return one
}

/** The server's capabilities, with the desktop's size (2.2.1.13.1). */
export function demandActive(width: number, height: number): Buffer {
  const capabilities = [
    capability(0x01, [1, 3, 0x0200, 0, 0, 0x0401, 0, 0, 0, 0x0101]),
    capability(0x02, [32, 1, 1, 1, width, height, 0, 1, 1, 0, 1, 0]),
    capability(0x03, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 20, 0, 1, 0, 0x0a], 88),
    capability(0x08, [1, 25, 25]),
    capability(0x09, [1002, 0]),
    capability(0x0d, [0x15], 88),
    capability(0x14, [0, 0, 1600, 0]),
  ]
  const combined = Buffer.concat([Buffer.from([capabilities.length, 0, 0, 0]), ...capabilities])
  const pdu = Buffer.concat([Buffer.alloc(14), Buffer.from('RDP\0'), combined, Buffer.alloc(4)])
  pdu.writeUInt16LE(pdu.length, 0)
  pdu.writeUInt16LE(0x11, 2)
  pdu.writeUInt16LE(1002, 4)
  pdu.writeUInt32LE(0x103ea, 6)
  pdu.writeUInt16LE(4, 10)
  pdu.writeUInt16LE(combined.length, 12)
  return onChannel(0x68, IO_CHANNEL, pdu)
}

/** Takes the picture down, for another one with other capabilities (2.2.3.1). */
export function deactivateAll(): Buffer {
  return onChannel(0x68, IO_CHANNEL, Buffer.from([13, 0, 0x16, 0, 0xea, 3, 0xea, 3, 1, 0, 1, 0, 0]))
}

/** The last words before the picture (2.2.1.19 to 2.2.1.22). */
export function finish(): Buffer {
  return Buffer.concat([
    slowPath(IO_CHANNEL, PDU.synchronize, Buffer.from([1, 0, USER & 0xff, USER >> 8])),
    slowPath(IO_CHANNEL, PDU.control, Buffer.from([4, 0, 0, 0, 0, 0, 0, 0])),
    slowPath(IO_CHANNEL, PDU.control, Buffer.from([2, 0, USER & 0xff, USER >> 8, 0xea, 3, 0, 0])),
    slowPath(IO_CHANNEL, PDU.fontMap, Buffer.from([0, 0, 0, 0, 3, 0, 4, 0])),
  ])
}
