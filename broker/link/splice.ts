import type { Socket } from 'node:net'

export interface SpliceLimits {
  /** No byte on a leg for so long ends both. The gateway's pings keep a quiet terminal alive. Milliseconds. */
  idleMs: number
  /** After the first leg has ended, both are destroyed once so long passes without a byte moving. Milliseconds. */
  lingerMs: number
}

export const SPLICE_LIMITS: SpliceLimits = { idleMs: 60_000, lingerMs: 5_000 }

export type SpliceEnd = 'ended' | 'broken' | 'idle' | 'lingered'

/**
 * Pipes two sockets into each other, with back-pressure both ways and nothing parsed. `pipe()` alone is not enough:
 * sockets of an http.Server may be half-open, so a peer that never answers a FIN would keep its leg for ever; pipe
 * carries no errors; and two stalled legs, which nobody reads, would not notice a death.
 *
 * Resolves when both legs are gone; whoever must end it earlier destroys one. destroy(), never resetAndDestroy(): the latter throws away what a TLS socket still has to say.
 */
export function splice(
  browser: Socket,
  gateway: Socket,
  limits: SpliceLimits = SPLICE_LIMITS,
): Promise<SpliceEnd> {
  const { promise: closed, resolve } = Promise.withResolvers<SpliceEnd>()
  let why: SpliceEnd | null = null
  let open = 2
  let linger: NodeJS.Timeout | undefined

  const both = (reason: SpliceEnd) => {
    why ??= reason
    browser.destroy()
    gateway.destroy()
  }

  const moved = () =>
    browser.bytesWritten + gateway.bytesWritten - browser.writableLength - gateway.writableLength
  const lingerOn = () => {
    if (linger) return
    let last = moved()
    linger = setInterval(() => {
      const now = moved()
      if (now === last) both('lingered')
      last = now
    }, limits.lingerMs)
    linger.unref()
  }

  const link = (from: Socket, to: Socket) => {
    from.setNoDelay(true)
    from.setKeepAlive(true, 15_000)
    from.setTimeout(limits.idleMs, () => both('idle'))
    from.on('error', () => undefined)
    from.once('end', lingerOn)
    from.once('close', (failed) => {
      open -= 1
      if (failed || !from.readableEnded) both('broken')
      else {
        to.end()
        lingerOn()
      }
      if (open === 0) {
        clearInterval(linger)
        resolve(why ?? 'ended')
      }
    })
    from.pipe(to)
  }
  link(browser, gateway)
  link(gateway, browser)
  // A leg that died before we listened emits nothing more.
  if (browser.destroyed || gateway.destroyed) {
    both('broken')
    resolve('broken')
  }
  return closed
}
