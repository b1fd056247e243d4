import type { Canvas } from './canvas.ts'

/** The asset's side of a desktop session: pixels out, keys and pointer in, and a socket that can be taken away. */
export interface DesktopSource {
  /**
   * `keysym` as RFC 6143 section 7.5.4; `scancode` as the QEMU extended key event says it (XT set 1, 0xe0 prefix as
   * bit 7), null when the browser did not know.
   */
  key(down: boolean, keysym: number, scancode: number | null): void
  /** `buttons` as RFC 6143 section 7.5.5: bit 0 left ... bits 3 to 6 wheel, bits 7 and 8 back and forward. */
  pointer(x: number, y: number, buttons: number): void
  /** Text for the asset's clipboard. The session has checked that the grant allows it. */
  clipboard(text: string): void
  /** Asks for another size; what came of it is painted as `Canvas.resize`. */
  resize(width: number, height: number): void
  /** Asks for no more pictures; what is on its way may still be painted. */
  pause(): void
  resume(): void
  /** Whether a key is known to the asset by its place, or by its symbol alone. */
  readonly takesScancodes: boolean
  /** Bytes that came from the asset. */
  readonly received: number
  /** Bytes of input that the asset has not taken. */
  readonly backlog: number
  /** Politely, where the protocol has a way. */
  end(): void
  /** The asset's socket is closed and the decoding child is gone when this returns (or as good as: SIGKILL sent). */
  destroy(): void
}

/** Reasons that a desktop source ends with. `protocol-violation`: what the asset sent breaks its protocol or our limits. */
export type DesktopEndCode =
  | 'asset-lost'
  | 'shell-ended'
  | 'identity-changed'
  | 'protocol-violation'
  /** The decoding child died, ran over its memory or did not answer. */
  | 'decoder-failed'

export interface DesktopEvents {
  canvas: Canvas
  /** Text that the asset put into its clipboard. */
  clipboard(text: string): void
  bell(): void
  /** Input flows again after `backlog` had grown. */
  drain(): void
  /** Once, after which nothing else comes. `message`: for the log, never with secrets or addresses. */
  closed(code: DesktopEndCode, message: string): void
}
