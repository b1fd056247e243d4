import type { Socket } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import type { PinnedIdentity } from '../../../broker/domain/grant.ts'
import { describeCertificate } from '../../target/certificate.ts'
import { HandshakeEnd } from './end.ts'

export interface Secured {
  socket: TLSSocket
  /** null for anonymous Diffie-Hellman. */
  identity: PinnedIdentity | null
  /** Of the identity, in DER. */
  certificate: Buffer | null
  cipher: string
  protocol: string
}

/**
 * TLS as VeNCrypt and RDP want it. The certificate is not judged here and by no authority: the caller compares it with what an
 * administrator accepted. The anonymous form exists up to TLS 1.2 only, and OpenSSL has it at security level 0 alone.
 */
export async function startTls(socket: Socket, form: 'certificate' | 'anonymous'): Promise<Secured> {
  // Nothing may have been said in the clear that would count as said inside.
  if (socket.readableLength > 0) throw new HandshakeEnd('not-understood')
  const secured = connect({
    socket,
    minVersion: 'TLSv1.2',
    rejectUnauthorized: false,
    ...(form === 'anonymous'
      ? { maxVersion: 'TLSv1.2', ciphers: 'aNULL+AESGCM:aNULL+AES256:aNULL+AES128:!eNULL:@SECLEVEL=0' }
      : {}),
  })
  secured.on('error', () => {})
  await new Promise<void>((done, failed) => {
    secured.once('secureConnect', done)
    secured.once('error', () => failed(new HandshakeEnd('not-understood')))
    secured.once('close', () => failed(new HandshakeEnd('asset-lost')))
  })
  secured.disableRenegotiation()
  const certificate = form === 'certificate' ? secured.getPeerX509Certificate() : null
  if (form === 'certificate' && !certificate) throw new HandshakeEnd('not-understood')
  return {
    socket: secured,
    identity: certificate ? describeCertificate(certificate.raw) : null,
    certificate: certificate?.raw ?? null,
    cipher: secured.getCipher().name,
    protocol: secured.getProtocol() ?? 'unknown',
  }
}
