import type { Clock } from '../../../broker/domain/clock.ts'
import type { PinnedIdentity } from '../../../broker/domain/grant.ts'
import type { RdpSecurity } from '../../../broker/domain/rdp.ts'
import type { Login } from '../../session/source.ts'
import { dial } from '../../target/dial.ts'
import type { DecoderSpares } from '../child/spares.ts'
import type { DesktopAnswer } from '../failure.ts'
import { HandshakeEnd } from '../handshake/end.ts'
import { passwordFor } from '../login.ts'
import type { Desk, DesktopEvents } from '../source.ts'
import { OpeningFailed } from '../source-end.ts'
import { type RdpFailureCode, rdpEnd, rdpFailure, rdpFailureOf } from './failure.ts'
import { KEYBOARD_LAYOUTS } from './keyboard-layouts.ts'
import { type Negotiated, negotiate } from './negotiate.ts'
import { type RdpStart, writeStart } from './rdp-frames.ts'
import { RdpSource } from './rdp-source.ts'
import { desktopSize } from './size.ts'

export interface RdpTarget extends RdpSecurity {
  /** From the grant, nowhere else; and so are `identities` and `account`. */
  address: { host: string; port: number }
  identities: readonly PinnedIdentity[]
  /** `user`, `DOMAIN\user` or `user@domain`. */
  account: string
  /** Which ways text may go; without any, the server is offered no clipboard. */
  clipboard: { in: boolean; out: boolean }
}

export interface RdpTimes {
  connectTimeoutMs: number
  /** From the TCP connection to the end of the sign-in. A server that says nothing never ends it. */
  handshakeTimeoutMs: number
}

/** Windows takes its time for a first sign-in of the day. */
export const RDP_TIMES: RdpTimes = { connectTimeoutMs: 10_000, handshakeTimeoutMs: 30_000 }

export interface RdpHouse {
  clock: Clock
  children: DecoderSpares
  times?: RdpTimes
  depth?: RdpStart['depth']
}

/**
 * Opens a desktop over RDP. Order matters: TCP, what the server chose checked against what is required, TLS with the
 * certificate checked against the grant, and only then is `login` called, which fetches the credential; a server that is
 * not the pinned one, or does less than it should, never causes it to leave the broker's vault. The source is paused:
 * nothing is painted before the first `resume` but its size.
 */
export async function openRdp(
  target: RdpTarget,
  desk: Desk,
  login: () => Promise<Login | null>,
  events: DesktopEvents,
  signal: AbortSignal,
  house: RdpHouse,
): Promise<DesktopAnswer> {
  const { clock, children, times = RDP_TIMES } = house
  let source: RdpSource | null = null
  let reached: Negotiated | null = null
  let stopped: 'timed-out' | 'cancelled' | null = null
  const attempt = new AbortController()
  const stop = (code: 'timed-out' | 'cancelled') => {
    stopped ??= code
    attempt.abort()
    source?.destroy()
    reached?.socket.destroy()
  }
  const cancel = () => stop('cancelled')
  const deadline = clock.after(times.connectTimeoutMs + times.handshakeTimeoutMs, () => stop('timed-out'))
  signal.addEventListener('abort', cancel, { once: true })
  if (signal.aborted) cancel()
  try {
    reached = await reach(target, clock, times, attempt.signal)
    const password = await passwordFor(target.account, login)
    const child = await children.take()
    if (!child) {
      password.fill(0)
      throw rdpEnd('decoder-failed')
    }
    source = new RdpSource(reached.socket, child, events, {
      clock,
      keyboardLayout: KEYBOARD_LAYOUTS[desk.keyboard],
      reconnect: (again) => reach(target, clock, times, again),
      reconnectTimeoutMs: times.connectTimeoutMs + times.handshakeTimeoutMs,
    })
    if (stopped) source.destroy()
    const start = writeStart(startOf(target, desk, reached, house.depth ?? 32), password)
    password.fill(0)
    await source.open(start)
    return { ok: true, opened: { source, identity: reached.identity, algorithms: reached.algorithms } }
  } catch (error) {
    source?.destroy()
    reached?.socket.destroy()
    if (stopped) return { ok: false, failure: rdpFailure(stopped) }
    if (error instanceof HandshakeEnd) return { ok: false, failure: rdpFailureOf(error) }
    if (error instanceof OpeningFailed)
      return { ok: false, failure: rdpFailure(error.code as RdpFailureCode) }
    throw error
  } finally {
    deadline.cancel()
    signal.removeEventListener('abort', cancel)
  }
}

/** A checked connection; rejects with HandshakeEnd. `signal` gives up at once. */
async function reach(
  target: RdpTarget,
  clock: Clock,
  times: RdpTimes,
  signal: AbortSignal,
): Promise<Negotiated> {
  const dialled = await dial(target.address, times.connectTimeoutMs, signal)
  if (!dialled.ok) throw rdpEnd(dialled.code)
  const { socket } = dialled
  socket.on('error', () => {})
  let isLate = false
  const end = () => socket.destroy()
  const deadline = clock.after(times.handshakeTimeoutMs, () => {
    isLate = true
    end()
  })
  signal.addEventListener('abort', end, { once: true })
  if (signal.aborted) end()
  try {
    return await negotiate(socket, target)
  } catch (error) {
    end()
    throw isLate ? rdpEnd('timed-out') : error
  } finally {
    deadline.cancel()
    signal.removeEventListener('abort', end)
  }
}

function startOf(
  { account, security, clipboard }: RdpTarget,
  { size, keyboard }: Desk,
  { confirm, certificate }: Negotiated,
  depth: RdpStart['depth'],
): RdpStart {
  const slash = account.indexOf('\\')
  return {
    user: account.slice(slash + 1),
    domain: slash < 0 ? '' : account.slice(0, slash),
    nla: security === 'nla',
    keyboardLayout: KEYBOARD_LAYOUTS[keyboard],
    depth,
    clipboard,
    ...desktopSize(size?.width, size?.height),
    confirm: confirm.toString('base64'),
    certificate: certificate.toString('base64'),
  }
}
