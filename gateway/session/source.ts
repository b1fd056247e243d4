import type { Secret } from '../../broker/domain/secret.ts'

/**
 * The asset's side of a terminal session: bytes out, bytes in, and a socket that can be taken away at once. It starts
 * paused.
 */
export interface TerminalSource {
  /** False when the asset is behind; go on after `onDrain`. */
  write(bytes: Uint8Array): boolean
  /** Bytes written that the asset has not taken. */
  readonly backlog: number
  resize(cols: number, rows: number): void
  /** Stops reading; the asset's socket fills up and its program waits. */
  pause(): void
  resume(): void
  /** Closes the shell politely, then the socket. */
  end(): void
  /** The socket is closed when this returns. */
  destroy(): void
}

export interface SourceEvents {
  output(bytes: Buffer): void
  drain(): void
  /** The asset tried to open something of its own; it was refused. */
  channelRefused(channel: string): void
  /** Once, after which nothing else comes. `seen`: what the asset showed, only with identity-changed. */
  closed(
    code: 'asset-lost' | 'shell-ended' | 'identity-changed',
    seen?: { algorithm: string; fingerprint: string },
  ): void
}

/** What logs in at the asset. Held only between the one fetch and the log-in. */
export type Login =
  | { kind: 'password'; account: string; password: Secret<Buffer> }
  | { kind: 'private-key'; account: string; privateKey: Secret<Buffer>; passphrase: Secret<Buffer> | null }
