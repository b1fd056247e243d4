import type { Socket } from 'node:net'
import type { Clock } from '../../../broker/domain/clock.ts'
import type { PinnedIdentity } from '../../../broker/domain/grant.ts'
import type { Login } from '../../session/source.ts'
import { isPinned } from '../../target/certificate.ts'
import { dial } from '../../target/dial.ts'
import type { DecoderSpares } from '../child/spares.ts'
import type { DesktopAnswer } from '../failure.ts'
import { HandshakeEnd } from '../handshake/end.ts'
import { startTls } from '../handshake/start-tls.ts'
import type { DesktopEvents } from '../source.ts'
import { OpeningFailed } from '../source-end.ts'
import { PICTURES, type Pictures } from './encodings.ts'
import { type VncFailureCode, vncEnd, vncFailure, vncFailureOf } from './failure.ts'
import { agreeOnVersion, enterWay, offeredWays, securityResult } from './negotiate.ts'
import { chooseWay, type SecurityRules } from './security.ts'
import { signIn } from './sign-in.ts'
import { VncSource } from './vnc-source.ts'

export interface VncTarget extends SecurityRules {
  /** From the grant, nowhere else; and so are `identities` and `account`. */
  address: { host: string; port: number }
  account: string
}

export interface VncTimes {
  connectTimeoutMs: number
  /** From the TCP connection to the first word about the screen. */
  handshakeTimeoutMs: number
}

export const VNC_TIMES: VncTimes = { connectTimeoutMs: 10_000, handshakeTimeoutMs: 15_000 }

export interface VncHouse {
  clock: Clock
  children: DecoderSpares
  times?: VncTimes
  pictures?: Pictures
}

/**
 * Opens a desktop over VNC. Order matters: TCP, the way to sign in checked against the rules, TLS with the certificate
 * checked against the grant, and only then is `login` called, which fetches the credential; a server that is not the
 * pinned one never causes it to leave the broker's vault. After the sign-in every byte goes to the decoding child. The
 * source is paused: it asks for its first picture at the first `resume`.
 */
export async function openVnc(
  target: VncTarget,
  login: () => Promise<Login | null>,
  events: DesktopEvents,
  signal: AbortSignal,
  house: VncHouse,
): Promise<DesktopAnswer> {
  const times = house.times ?? VNC_TIMES
  const dialled = await dial(target.address, times.connectTimeoutMs, signal)
  if (!dialled.ok) return { ok: false, failure: vncFailure(dialled.code) }
  const { socket } = dialled
  let stopped: 'timed-out' | 'cancelled' | null = null
  let source: VncSource | null = null
  const stop = (code: 'timed-out' | 'cancelled') => {
    stopped ??= code
    source?.destroy()
    socket.destroy()
  }
  const cancel = () => stop('cancelled')
  const deadline = house.clock.after(times.handshakeTimeoutMs, () => stop('timed-out'))
  signal.addEventListener('abort', cancel, { once: true })
  if (signal.aborted) cancel()
  socket.on('error', () => {})
  try {
    const { secured, ...facts } = await handshake(socket, target, login)
    const child = await house.children.take()
    if (!child) throw vncEnd('decoder-failed')
    source = new VncSource(secured, child, events, house.clock, house.pictures ?? PICTURES)
    if (stopped) source.destroy()
    await source.open()
    return { ok: true, opened: { source, ...facts } }
  } catch (error) {
    source?.destroy()
    socket.destroy()
    if (stopped) return { ok: false, failure: vncFailure(stopped) }
    if (error instanceof HandshakeEnd) return { ok: false, failure: vncFailureOf(error) }
    if (error instanceof OpeningFailed)
      return { ok: false, failure: vncFailure(error.code as VncFailureCode) }
    throw error
  } finally {
    deadline.cancel()
    signal.removeEventListener('abort', cancel)
  }
}

async function handshake(
  socket: Socket,
  target: VncTarget,
  login: () => Promise<Login | null>,
): Promise<{ secured: Socket; identity: PinnedIdentity | null; algorithms: Record<string, string> }> {
  const version = await agreeOnVersion(socket)
  const ways = await offeredWays(socket, version)
  const way = chooseWay(ways, target)
  await enterWay(socket, way, version)
  let secured = socket
  let identity: PinnedIdentity | null = null
  const algorithms: Record<string, string> = {
    rfb: version,
    encryption: way.encryption,
    authentication: way.signIn,
  }
  if (way.encryption !== 'plain') {
    const tls = await startTls(socket, way.encryption === 'x509' ? 'certificate' : 'anonymous')
    secured = tls.socket
    identity = tls.identity
    algorithms.tls = tls.protocol
    algorithms.cipher = tls.cipher
    if (identity && !isPinned(target.identities, identity)) throw vncEnd('identity-changed', identity)
  }
  await signIn(secured, way.signIn, target.account, login)
  await securityResult(secured, way, version)
  return { secured, identity, algorithms }
}
