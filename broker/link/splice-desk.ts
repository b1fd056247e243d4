import type { Socket } from 'node:net'
import { SPLICE_UPGRADE } from '../contract/link.ts'

/** Splices that wait for their gateway, all together: each holds a browser's socket. */
const WAITING_LIMIT = 500

/**
 * Where a browser's upgrade waits for the connection that its gateway is asked to dial. Each id is random, for one
 * gateway, and used once.
 */
export class SpliceDesk {
  readonly #waiting = new Map<string, { gateway: string; take: (socket: Socket | null) => void }>()

  /** The gateway's socket, after its upgrade was answered; null when it does not come in time or there is no room. */
  await(id: string, gateway: string, timeoutMs: number): { socket: Promise<Socket | null>; cancel(): void } {
    const { promise, resolve } = Promise.withResolvers<Socket | null>()
    const take = (socket: Socket | null) => {
      clearTimeout(timer)
      this.#waiting.delete(id)
      resolve(socket)
    }
    const timer = setTimeout(() => take(null), timeoutMs)
    timer.unref()
    if (this.#waiting.size >= WAITING_LIMIT) take(null)
    else this.#waiting.set(id, { gateway, take })
    return { socket: promise, cancel: () => take(null) }
  }

  /** False when nobody waits for this id, or another gateway was asked. */
  arrive(id: string, gateway: string, socket: Socket): boolean {
    const waiting = this.#waiting.get(id)
    if (waiting?.gateway !== gateway) return false
    socket.setTimeout(0)
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${SPLICE_UPGRADE}\r\n\r\n`,
    )
    waiting.take(socket)
    return true
  }
}
