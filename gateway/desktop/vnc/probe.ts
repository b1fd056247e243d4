import type { Clock } from '../../../broker/domain/clock.ts'
import type { Probed } from '../../../broker/domain/vnc.ts'
import { dial } from '../../target/dial.ts'
import { HandshakeEnd } from '../handshake/end.ts'
import { startTls } from '../handshake/start-tls.ts'
import { vncFailureOf } from './failure.ts'
import { agreeOnVersion, enterWay, offeredWays } from './negotiate.ts'
import { chooseWay, securityOf } from './security.ts'

/**
 * How a VNC asset is protected at its best, and its certificate, for an administrator to accept. TLS is finished (so the
 * server has proven that it holds the key) and the connection dropped before anything of a sign-in.
 */
export async function probeVnc(
  address: { host: string; port: number },
  clock: Clock,
  timeoutMs = 10_000,
): Promise<({ ok: true } & Omit<Probed, 'rdp'>) | { ok: false; code: string }> {
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
    const version = await agreeOnVersion(socket)
    const ways = await offeredWays(socket, version)
    const way = chooseWay(ways, { identities: [], security: 'plain', authentication: 'none' })
    const vnc = securityOf(way)
    if (way.encryption !== 'x509') return { ok: true, identity: null, vnc }
    await enterWay(socket, way, version)
    const { identity } = await startTls(socket, 'certificate')
    if (!identity) return { ok: false, code: 'not-vnc' }
    return { ok: true, identity, vnc }
  } catch (error) {
    if (late) return { ok: false, code: 'timed-out' }
    if (error instanceof HandshakeEnd) return { ok: false, code: vncFailureOf(error).code }
    throw error
  } finally {
    deadline.cancel()
    socket.destroy()
  }
}
