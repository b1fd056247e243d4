import type { Socket } from 'node:net'
import type { PinnedIdentity } from '../../../broker/domain/grant.ts'
import type { RdpSecurity } from '../../../broker/domain/rdp.ts'
import { isPinned } from '../../target/certificate.ts'
import { HandshakeReader } from '../handshake/reader.ts'
import { startTls } from '../handshake/start-tls.ts'
import { rdpEnd } from './failure.ts'
import { ASKED } from './protocols.ts'
import { connectionRequest, packetLength, RDP_PROTOCOL, readConfirm } from './x224.ts'

/** A connection that is encrypted, by a server that has shown that it is the pinned one, before any credential. */
export interface Negotiated {
  socket: Socket
  identity: PinnedIdentity
  /** The server's certificate and the packet that it answered with: the decoder needs both to go on. */
  certificate: Buffer
  confirm: Buffer
  algorithms: Record<string, string>
}

/** The server's answer to what is asked for, as it came, and what it chose. Throws HandshakeEnd. */
export async function chooseProtocol(
  socket: Socket,
  asked: number,
): Promise<{ confirm: Buffer; protocol: number }> {
  const reader = new HandshakeReader(socket)
  socket.write(connectionRequest(asked))
  const header = await reader.read(4)
  const length = packetLength(header)
  if (length === null) throw rdpEnd('not-rdp')
  const confirm = Buffer.concat([header, await reader.read(length - header.length)])
  const answer = readConfirm(confirm)
  if (!answer) throw rdpEnd('not-rdp')
  if (!answer.ok) throw rdpEnd(answer.why === 'nla-required' ? 'nla-required' : 'old-security')
  return { confirm, protocol: answer.protocol }
}

/**
 * Order matters: what the server chose is held against what is required of it, then TLS, then its certificate against
 * what an administrator accepted. Nothing of a sign-in has been said when this returns. Throws HandshakeEnd.
 */
export async function negotiate(
  socket: Socket,
  { security, identities }: RdpSecurity & { identities: readonly PinnedIdentity[] },
): Promise<Negotiated> {
  const { confirm, protocol } = await chooseProtocol(socket, ASKED[security])
  const does = securityOf(protocol)
  // A server in the middle that says "no NLA here" would be given the credential itself.
  if (does !== security) throw rdpEnd(refusalOf(does, security))
  const tls = await startTls(socket, 'certificate')
  const { certificate } = tls
  if (!tls.identity || !certificate) throw rdpEnd('not-rdp')
  if (!isPinned(identities, tls.identity)) throw rdpEnd('identity-changed', tls.identity)
  return {
    socket: tls.socket,
    identity: tls.identity,
    certificate,
    confirm,
    algorithms: {
      rdp: security,
      tls: tls.protocol,
      cipher: tls.cipher,
    },
  }
}

/** What a server chose: exactly one protocol. Null for anything that was not asked for. */
export function securityOf(protocol: number): RdpSecurity['security'] | 'standard' | null {
  switch (protocol) {
    case RDP_PROTOCOL.standard:
      return 'standard'
    case RDP_PROTOCOL.tls:
      return 'tls'
    case RDP_PROTOCOL.nla:
    case RDP_PROTOCOL.nlaExtended:
      return 'nla'
    default:
      return null
  }
}

/** Why what a server does is not enough. */
function refusalOf(
  does: ReturnType<typeof securityOf>,
  security: RdpSecurity['security'],
): 'nla-missing' | 'old-security' | 'not-rdp' {
  if (does === null) return 'not-rdp'
  if (security === 'nla') return 'nla-missing'
  return does === 'standard' ? 'old-security' : 'not-rdp'
}
