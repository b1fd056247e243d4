import type { TerminalDown, TerminalUp } from '../../broker/contract/terminal.ts'

/** One browser's socket as the session sees it. `WebSocketBrowser` is the real one. */
export interface Browser {
  send(bytes: Uint8Array): void
  tell(message: TerminalDown): void
  /** Bytes that are sent but not yet on their way. */
  readonly queued: number
  /** Stops and goes on reading from the browser: the asset is slower than the typing. */
  pause(): void
  resume(): void
  /** A close frame, then the socket after a moment. */
  close(code: number, reason: string): void
  /** The socket at once. */
  destroy(): void
  listen(listener: BrowserListener): void
}

export interface BrowserListener {
  message(message: TerminalUp): void
  bytes(bytes: Buffer): void
  /** Once. */
  closed(): void
}
