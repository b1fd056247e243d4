import type { Keyboard } from '../../broker/contract/keyboards.ts'
import type { PinnedIdentity } from '../../broker/domain/grant.ts'
import type { Canvas } from './canvas.ts'

/** What the person's desk is like, for an asset that makes its desktop to measure. */
export interface Desk {
  /** The room on their screen. */
  size: { width: number; height: number } | null
  keyboard: Keyboard
}

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
  /** Whether the desktop is this session's own, so that it may have the size that its person wants. */
  readonly isOwnSize: boolean
  /** Asks for another size; what came of it is painted as `Canvas.resize`. */
  resize(width: number, height: number): void
  /** The person may not act any more: what they asked for and has not come does not come. */
  keepSize(): void
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
  /** Somebody else has the asset's one desktop now. */
  | 'taken-over'
  /** The asset's administrator or a policy of its own ended it. */
  | 'dismissed'
  | 'identity-changed'
  | 'protocol-violation'
  /** The decoding child died, ran over its memory or did not answer. */
  | 'decoder-failed'

export interface DesktopEvents {
  canvas: Canvas
  /** Text that the asset put into its clipboard. */
  clipboard(text: string): void
  bell(): void
  /** Something else than the pinned asset answered where the source wanted one more connection; it goes on without. */
  identityChanged(seen: PinnedIdentity): void
  /** Input flows again after `backlog` had grown. */
  drain(): void
  /** Once, after which nothing else comes. `message`: for the log, never with secrets or addresses. */
  closed(code: DesktopEndCode, message: string): void
}
