import type { Socket } from 'node:net'
import { HandshakeEnd } from './end.ts'

/** The most that any answer of a handshake needs at once. */
const MAX_READ = 1024

/**
 * Reads exact counts from a socket and leaves the rest there: what follows belongs to TLS or to the decoding child. Only
 * the few short answers of the handshake are read here.
 */
export class HandshakeReader {
  readonly #socket: Socket

  constructor(socket: Socket) {
    this.#socket = socket
    socket.pause()
  }

  async read(count: number): Promise<Buffer> {
    if (count > MAX_READ) throw new HandshakeEnd('not-understood')
    let held = Buffer.alloc(0)
    while (held.length < count) {
      // Everything is taken out: a socket that still holds a piece would say "readable" again and again at once.
      const bytes: Buffer | null = this.#socket.read()
      if (bytes) held = Buffer.concat([held, bytes])
      else if (this.#socket.readableEnded || this.#socket.destroyed) throw new HandshakeEnd('asset-lost')
      else await this.#more()
    }
    if (held.length > count) this.#socket.unshift(held.subarray(count))
    return held.subarray(0, count)
  }

  async u8(): Promise<number> {
    return (await this.read(1)).readUInt8()
  }

  async u32(): Promise<number> {
    return (await this.read(4)).readUInt32BE()
  }

  async #more(): Promise<void> {
    const socket = this.#socket
    await new Promise<void>((done) => {
      const next = () => {
        for (const event of ['readable', 'end', 'close', 'error']) socket.removeListener(event, next)
        done()
      }
      for (const event of ['readable', 'end', 'close', 'error']) socket.once(event, next)
    })
  }
}
