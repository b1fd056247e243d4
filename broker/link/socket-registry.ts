/** A browser's socket, from the moment its upgrade was admitted. */
export interface BrowserSocket {
  session: string
  person: string
  signIn: string
  close(): void
}

/** Finds browsers' sockets by session, person and sign-in, so that a revocation closes them at once (threat 39). */
export class SocketRegistry {
  readonly #open = new Set<BrowserSocket>()

  add(socket: BrowserSocket): () => void {
    this.#open.add(socket)
    return () => this.#open.delete(socket)
  }

  countOf(person: string): number {
    let count = 0
    for (const socket of this.#open) if (socket.person === person) count += 1
    return count
  }

  /** Closes what matches; answers how many. */
  close(which: (socket: BrowserSocket) => boolean): number {
    let count = 0
    for (const socket of [...this.#open]) {
      if (!which(socket)) continue
      count += 1
      socket.close()
    }
    return count
  }

  get size(): number {
    return this.#open.size
  }
}
