import type { Clock, Timer } from '../../../broker/domain/clock.ts'
import type { PinnedIdentity } from '../../../broker/domain/grant.ts'
import { HandshakeEnd } from '../handshake/end.ts'
import type { Negotiated } from './negotiate.ts'
import { desktopSize } from './size.ts'

/** Who asks twice in this time means the second. */
const SETTLED_MS = 700

interface Size {
  width: number
  height: number
}

export interface SizeWishHands {
  /** The desktop's size; null while another one cannot be asked for. */
  size(): Size | null
  /** Reaches the asset once more; rejects when it cannot be reached, or is not the one it was. */
  reconnect(signal: AbortSignal): Promise<Negotiated>
  /** There is a connection for the wished size. */
  switch(to: Negotiated, size: Size): void
  /** Something else than the pinned asset answered. */
  identityChanged(seen: PinnedIdentity): void
}

/**
 * The person's wish for another size: the last one counts, and each that is followed is a connection of its own. Until it
 * stands, the desktop that is there is worth more than another size: whatever goes wrong, it stays.
 */
export class SizeWish {
  readonly #clock: Clock
  readonly #hands: SizeWishHands
  #wanted: Size | null = null
  #timer: Timer | null = null
  #dialling: AbortController | null = null
  #isOver = false

  constructor(clock: Clock, hands: SizeWishHands) {
    this.#clock = clock
    this.#hands = hands
  }

  want(width: number, height: number): void {
    if (this.#isOver) return
    this.#wanted = desktopSize(width, height)
    this.#timer?.cancel()
    this.#timer = this.#clock.after(SETTLED_MS, () => {
      this.#timer = null
      this.follow()
    })
  }

  /** The person may not act any more: neither the wish nor what was done for it goes on. */
  forget(): void {
    this.#wanted = null
    this.#timer?.cancel()
    this.#timer = null
    this.#dialling?.abort()
    this.#dialling = null
  }

  stop(): void {
    this.#isOver = true
    this.forget()
  }

  /** Another size may be asked for now, if one is wanted. */
  follow(): void {
    const now = this.#hands.size()
    const wanted = this.#wanted
    if (!wanted || !now || this.#timer || this.#dialling) return
    this.#wanted = null
    if (wanted.width !== now.width || wanted.height !== now.height) void this.#dial(wanted)
  }

  async #dial(size: Size): Promise<void> {
    const dialling = new AbortController()
    this.#dialling = dialling
    let reached: Negotiated
    try {
      reached = await this.#hands.reconnect(dialling.signal)
    } catch (error) {
      if (this.#dialling !== dialling) return
      this.#dialling = null
      if (error instanceof HandshakeEnd && error.seen) this.#hands.identityChanged(error.seen)
      this.follow()
      return
    }
    const isWanted = this.#dialling === dialling
    if (isWanted) this.#dialling = null
    if (isWanted && this.#hands.size()) this.#hands.switch(reached, size)
    else reached.socket.destroy()
  }
}
