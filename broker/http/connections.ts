import type { Server, Socket } from 'node:net'

export interface ConnectionLimits {
  inAll: number
  /** People of a plant, their event streams and session sockets come from one address. */
  perAddress: number
}

export const DEFAULT_CONNECTIONS: ConnectionLimits = { inAll: 4_000, perAddress: 1_000 }

/**
 * Keeps idle connections of strangers from using up descriptors and memory of the process that carries the kill switch
 * (threat 30): counted before TLS, by the peer's address. `trusted` proxies stand for many.
 */
export function limitConnections(server: Server, limits: ConnectionLimits, trusted: readonly string[]): void {
  const open = new Map<string, number>()
  server.maxConnections = limits.inAll
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress
    if (address === undefined || trusted.includes(address)) return
    const mine = (open.get(address) ?? 0) + 1
    if (mine > limits.perAddress) {
      socket.destroy()
      return
    }
    open.set(address, mine)
    socket.once('close', () => {
      const left = (open.get(address) ?? 1) - 1
      if (left > 0) open.set(address, left)
      else open.delete(address)
    })
  })
}
