import type { Clock } from '../../../broker/domain/clock.ts'
import type { PinnedIdentity } from '../../../broker/domain/grant.ts'
import type { RdpSecurity } from '../../../broker/domain/rdp.ts'
import { dial } from '../../target/dial.ts'
import { HandshakeEnd } from '../handshake/end.ts'
import { startTls } from '../handshake/start-tls.ts'
import { rdpEnd, rdpFailureOf } from './failure.ts'
import { chooseProtocol, securityOf } from './negotiate.ts'
import { ASKED } from './protocols.ts'

/**
 * How an RDP asset is protected at its best, and its certificate, for an administrator to accept. TLS is finished (so the
 * server has proven that it holds the key) and the connection dropped before anything of a sign-in.
 */
export async function probeRdp(
  address: { host: string; port: number },
  clock: Clock,
  timeoutMs = 10_000,
): Promise<{ ok: true; identity: PinnedIdentity; rdp: RdpSecurity } | { ok: false; code: string }> {
  const dialled = await dial(address, timeoutMs, new AbortController().signal)
  if (!dialled.ok) return { ok: false, code: dialled.code }
  const { socket } = dialled
  socket.on('error', () => {})
  let late = false
  const deadline = clock.after(timeoutMs, () => {
    late = true
    socket.destroy()
  })
  try {
    const { protocol } = await chooseProtocol(socket, ASKED.nla)
    const security = securityOf(protocol)
    if (security === null) throw rdpEnd('not-rdp')
    if (security === 'standard') throw rdpEnd('old-security')
    const { identity } = await startTls(socket, 'certificate')
    if (!identity) throw rdpEnd('not-rdp')
    return {
      ok: true,
      identity,
      rdp: { security },
    }
  } catch (error) {
    if (late) return { ok: false, code: 'timed-out' }
    if (error instanceof HandshakeEnd) return { ok: false, code: rdpFailureOf(error).code }
    throw error
  } finally {
    deadline.cancel()
    socket.destroy()
  }
}
