import { lookup } from 'node:dns/promises'
import { BlockList, connect, isIP, type Socket } from 'node:net'

/** Why an asset's port could not be reached. Each protocol has its own sentence for a code. */
export type DialFailureCode =
  | 'unknown-host'
  | 'address-not-allowed'
  | 'refused'
  | 'unreachable'
  | 'timed-out'
  | 'cancelled'

/** Places that no asset lives at, whatever a name resolves to: unspecified, link-local with cloud metadata, multicast. */
const NEVER = new BlockList()
NEVER.addSubnet('0.0.0.0', 8, 'ipv4')
NEVER.addSubnet('169.254.0.0', 16, 'ipv4')
NEVER.addSubnet('224.0.0.0', 3, 'ipv4')
NEVER.addAddress('::', 'ipv6')
NEVER.addSubnet('fe80::', 10, 'ipv6')
NEVER.addSubnet('ff00::', 8, 'ipv6')
/** And where a *name* must not lead: an inventory entry that means the gateway itself says so by number. */
const NEVER_BY_NAME = new BlockList()
NEVER_BY_NAME.addSubnet('127.0.0.0', 8, 'ipv4')
NEVER_BY_NAME.addAddress('::1', 'ipv6')

const plain = (address: string) => address.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '')
const listed = (list: BlockList, address: string) =>
  list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')

/** Resolves once. What comes back is a number, and nothing resolves again after it (rebinding, threat 19). */
export async function resolveOnce(
  host: string,
): Promise<{ ok: true; ip: string } | { ok: false; code: DialFailureCode }> {
  let ip: string
  const literal = isIP(host) !== 0
  try {
    ip = plain(literal ? host : (await lookup(host, { verbatim: true })).address)
  } catch {
    return { ok: false, code: 'unknown-host' }
  }
  if (listed(NEVER, ip) || (!literal && listed(NEVER_BY_NAME, ip)))
    return { ok: false, code: 'address-not-allowed' }
  return { ok: true, ip }
}

const BY_ERRNO: Record<string, 'refused' | 'unreachable' | 'timed-out'> = {
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EADDRNOTAVAIL: 'unreachable',
  EACCES: 'unreachable',
  ETIMEDOUT: 'timed-out',
}

/** A connected TCP socket to exactly the resolved address, or why not. `signal` gives up at once. */
export async function dial(
  address: { host: string; port: number },
  timeoutMs: number,
  signal: AbortSignal,
): Promise<{ ok: true; socket: Socket } | { ok: false; code: DialFailureCode }> {
  const resolved = await within(resolveOnce(address.host), timeoutMs, signal)
  if (!resolved.ok) return resolved
  if (signal.aborted) return { ok: false, code: 'cancelled' }
  return await new Promise((done) => {
    const socket = connect({
      host: resolved.ip,
      port: address.port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 10_000,
    })
    const finish = (code: DialFailureCode | null) => {
      clearTimeout(deadline)
      signal.removeEventListener('abort', cancel)
      socket.removeListener('error', failed)
      socket.removeListener('connect', connected)
      if (!code) {
        done({ ok: true, socket })
        return
      }
      socket.on('error', () => {})
      socket.destroy()
      done({ ok: false, code })
    }
    const failed = (error: NodeJS.ErrnoException) => finish(BY_ERRNO[error.code ?? ''] ?? 'unreachable')
    const cancel = () => finish('cancelled')
    const connected = () => {
      const reached = plain(socket.remoteAddress ?? '')
      finish(reached === resolved.ip ? null : 'address-not-allowed')
    }
    const deadline = setTimeout(() => finish('timed-out'), timeoutMs)
    socket.once('error', failed)
    socket.once('connect', connected)
    signal.addEventListener('abort', cancel, { once: true })
  })
}

/** The system's resolver has a patience of its own, and cannot be told to stop. */
async function within(
  resolving: ReturnType<typeof resolveOnce>,
  timeoutMs: number,
  signal: AbortSignal,
): ReturnType<typeof resolveOnce> {
  const { promise, resolve } = Promise.withResolvers<Awaited<ReturnType<typeof resolveOnce>>>()
  const give = (code: 'timed-out' | 'cancelled') => () => resolve({ ok: false, code: code })
  const cancel = give('cancelled')
  const timer = setTimeout(give('timed-out'), timeoutMs)
  signal.addEventListener('abort', cancel, { once: true })
  if (signal.aborted) cancel()
  try {
    return await Promise.race([resolving, promise])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', cancel)
  }
}
