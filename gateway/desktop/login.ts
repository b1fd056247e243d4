import type { Login } from '../session/source.ts'
import { HandshakeEnd } from './handshake/end.ts'

/**
 * Fetches the credential: a password of this very account, the caller's to wipe. Called only after everything about the
 * server has been checked. Throws HandshakeEnd.
 */
export async function passwordFor(account: string, fetch: () => Promise<Login | null>): Promise<Buffer> {
  const login = await fetch().catch(() => null)
  // A credential for another account is never tried: the account in the grant was approved.
  if (login?.kind === 'password' && login.account === account && login.password.reveal().length > 0)
    return login.password.reveal()
  const isOurs = login?.account === account
  if (login?.kind === 'password') login.password.reveal().fill(0)
  else if (login) {
    login.privateKey.reveal().fill(0)
    login.passphrase?.reveal().fill(0)
  }
  throw new HandshakeEnd(isOurs ? 'credential-unusable' : 'credential-refused')
}
