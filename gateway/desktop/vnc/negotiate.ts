import type { Socket } from 'node:net'
import { HandshakeReader } from '../handshake/reader.ts'
import { vncEnd } from './failure.ts'
import { TYPE, type Way } from './security.ts'

export type RfbVersion = '3.3' | '3.7' | '3.8'

/** RFC 6143 section 7.1.1. Unknown minor numbers mean 3.3 there; higher major ones are makers' own and speak 3.8. */
export async function agreeOnVersion(socket: Socket): Promise<RfbVersion> {
  const greeting = (await new HandshakeReader(socket).read(12)).toString('latin1')
  const match = /^RFB (\d{3})\.(\d{3})\n$/.exec(greeting)
  if (!match) throw vncEnd('not-vnc')
  const major = Number(match[1])
  const minor = Number(match[2])
  if (major < 3) throw vncEnd('not-vnc')
  // 3.889 is Apple's name for 3.8.
  const version = major > 3 || minor === 8 || minor === 889 ? '3.8' : minor === 7 ? '3.7' : '3.3'
  socket.write(`RFB 003.00${version.slice(2)}\n`)
  return version
}

/** The security types on offer; in 3.3 the server has decided already. */
export async function offeredTypes(socket: Socket, version: RfbVersion): Promise<number[]> {
  const reader = new HandshakeReader(socket)
  if (version === '3.3') {
    const type = await reader.u32()
    if (type === 0) throw vncEnd('turned-away')
    return [type]
  }
  const count = await reader.u8()
  if (count === 0) throw vncEnd('turned-away')
  return [...(await reader.read(count))]
}

/** Chooses VeNCrypt and asks for its subtypes (version 0.2). */
export async function offeredSubtypes(socket: Socket): Promise<number[]> {
  const reader = new HandshakeReader(socket)
  socket.write(Uint8Array.of(TYPE.veNCrypt))
  const [major = 0, minor = 0] = await reader.read(2)
  if (major === 0 && minor < 2) throw vncEnd('no-common-security')
  socket.write(Uint8Array.of(0, 2))
  if ((await reader.u8()) !== 0) throw vncEnd('not-vnc')
  const count = await reader.u8()
  const subtypes: number[] = []
  for (let n = 0; n < count; n++) subtypes.push(await reader.u32())
  return subtypes
}

/** What a server offers. VeNCrypt is always entered where there is one: it is never worse than what stands beside it. */
export async function offeredWays(
  socket: Socket,
  version: RfbVersion,
): Promise<Pick<Way, 'type' | 'subtype'>[]> {
  const types = await offeredTypes(socket, version)
  if (!types.includes(TYPE.veNCrypt)) return types.map((type) => ({ type, subtype: null }))
  const subtypes = await offeredSubtypes(socket)
  return subtypes.map((subtype) => ({ type: TYPE.veNCrypt, subtype }))
}

/** Tells the server which way is taken; TLS or the sign-in comes next. */
export async function enterWay(socket: Socket, way: Way, version: RfbVersion): Promise<void> {
  if (way.subtype !== null) {
    const subtype = Buffer.alloc(4)
    subtype.writeUInt32BE(way.subtype)
    socket.write(subtype)
    if ((await new HandshakeReader(socket).u8()) !== 1) throw vncEnd('not-vnc')
  } else if (version !== '3.3') socket.write(Uint8Array.of(way.type))
}

/** RFC 6143 section 7.1.3. The reason that 3.8 gives is the server's own text and stays unread. */
export async function securityResult(socket: Socket, way: Way, version: RfbVersion): Promise<void> {
  if (way.type === TYPE.none && version !== '3.8') return
  const result = await new HandshakeReader(socket).u32()
  if (result === 0) return
  // 2 is "too many attempts" of several servers.
  if (result === 2) throw vncEnd('turned-away')
  throw vncEnd(way.signIn === 'none' ? 'turned-away' : 'wrong-credential')
}
