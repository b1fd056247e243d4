import type { Socket } from 'node:net'
import type { Login } from '../../session/source.ts'
import { HandshakeEnd } from './failure.ts'
import { HandshakeReader } from './handshake-reader.ts'
import type { SignIn } from './security.ts'
import { vncAuthAnswer } from './vnc-auth.ts'

/**
 * Fetches the credential and gives the server its answer. Called only after everything about the server has been
 * checked. The credential is wiped before this returns, an answer that holds it when it is written.
 */
export async function signIn(
  socket: Socket,
  way: SignIn,
  account: string,
  fetch: () => Promise<Login | null>,
): Promise<void> {
  if (way === 'none') return
  const challenge = way === 'vnc' ? await new HandshakeReader(socket).read(16) : null
  const login = await fetch().catch(() => null)
  try {
    // A credential for another account is never tried: the account in the grant was approved.
    if (login?.account !== account) throw new HandshakeEnd('credential-refused')
    if (login.kind !== 'password') throw new HandshakeEnd('credential-unusable')
    const password = login.password.reveal()
    if (password.length === 0) throw new HandshakeEnd('credential-unusable')
    if (socket.destroyed) throw new HandshakeEnd('asset-lost')
    if (challenge) socket.write(vncAuthAnswer(challenge, password))
    else {
      const answer = plainAnswer(account, password)
      socket.write(answer, () => answer.fill(0))
    }
  } finally {
    if (login?.kind === 'password') login.password.reveal().fill(0)
    else if (login) {
      login.privateKey.reveal().fill(0)
      login.passphrase?.reveal().fill(0)
    }
  }
}

/** VeNCrypt's Plain: both lengths, then both texts. */
function plainAnswer(account: string, password: Uint8Array): Buffer {
  const name = Buffer.from(account)
  const answer = Buffer.alloc(8 + name.length + password.length)
  answer.writeUInt32BE(name.length, 0)
  answer.writeUInt32BE(password.length, 4)
  answer.set(name, 8)
  answer.set(password, 8 + name.length)
  return answer
}
