import type { Socket } from 'node:net'
import type { Login } from '../../session/source.ts'
import { HandshakeReader } from '../handshake/reader.ts'
import { passwordFor } from '../login.ts'
import { vncEnd } from './failure.ts'
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
  const password = await passwordFor(account, fetch)
  try {
    if (socket.destroyed) throw vncEnd('asset-lost')
    if (challenge) socket.write(vncAuthAnswer(challenge, password))
    else {
      const answer = plainAnswer(account, password)
      socket.write(answer, () => answer.fill(0))
    }
  } finally {
    password.fill(0)
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
