import type { Clock } from '../../broker/domain/clock.ts'
import type { PinnedIdentity } from '../../broker/domain/grant.ts'
import type { SessionEnd } from '../../broker/domain/words.ts'
import type { AssetEvents, Medium, Seat } from './medium.ts'
import type { SessionPorts } from './ports.ts'

/** Each refused channel is an entry in the log: an asset that goes on trying is not let to fill it (threat 32). */
const MOST_REFUSED_CHANNELS = 20
/** An asset that doesn't answer a polite end loses its socket after this. */
const PARTING_MS = 2500

export interface AssetHost<S extends Seat> {
  session: string
  clock: Clock
  medium: Medium<S>
  /** Fingerprints that the grant names. */
  expected(): string[]
  report: SessionPorts<S>['report']
  mark(text: string): void
  isEnding(): boolean
  finish(end: SessionEnd, message: string | null): void
}

/** The connection to the asset: reached once, watched for what it must not do, and taken away. */
export class AssetSide<S extends Seat> {
  readonly #host: AssetHost<S>
  readonly #abort = new AbortController()
  readonly #gone = Promise.withResolvers<void>()
  #refusedChannels = 0
  #closedAfterMs: number | null = null

  constructor(host: AssetHost<S>) {
    this.#host = host
  }

  /** From the cause of the end to the socket being closed, ms. */
  get closedAfterMs(): number | null {
    return this.#closedAfterMs
  }

  /** Null when the session is over: before it was reached, or because it was not. */
  async reach(): Promise<{ identity: PinnedIdentity | null; algorithms: Record<string, string> } | null> {
    const { medium } = this.#host
    const answer = await medium.reach(this.#events(), this.#abort.signal)
    if (this.#host.isEnding()) {
      medium.destroy()
      return null
    }
    if (answer.ok) return answer
    if (answer.seen) this.#identityChanged(answer.seen.fingerprint)
    this.#host.finish(answer.end, answer.message)
    return null
  }

  #events(): AssetEvents {
    return {
      channelRefused: (channel) => this.#channelRefused(channel),
      identityChanged: (seen) => {
        if (!this.#host.isEnding()) this.#identityChanged(seen.fingerprint)
      },
      closed: (end, { seen, message = null } = {}) => {
        if (seen && !this.#host.isEnding()) this.#identityChanged(seen.fingerprint)
        this.#host.finish(end, message)
        this.#gone.resolve()
      },
    }
  }

  #channelRefused(channel: string): void {
    const { session, clock } = this.#host
    if (this.#host.isEnding()) return
    this.#refusedChannels += 1
    if (this.#refusedChannels > MOST_REFUSED_CHANNELS) {
      this.#host.finish('protocol-violation', 'The asset kept trying to open channels of its own.')
      return
    }
    this.#host.mark(`refused: the asset tried to open ${channel}`)
    this.#host.report({ kind: 'channel-refused', session, channel, at: clock.wall() })
  }

  #identityChanged(seen: string): void {
    const { session, clock, expected } = this.#host
    this.#host.report({ kind: 'identity-changed', session, expected: expected(), seen, at: clock.wall() })
  }

  /** Politely; `partWith` waits for it. */
  end(): void {
    this.#abort.abort()
    this.#host.medium.end()
  }

  /** The socket is closed when this returns. */
  drop(since: number): void {
    this.#abort.abort()
    this.#host.medium.destroy()
    this.#closedAfterMs ??= Math.max(0, this.#host.clock.monotonic() - since)
  }

  /** Waits for a polite end, not for long. */
  async partWith(since: number): Promise<void> {
    if (this.#host.medium.isOpen) {
      const late = Promise.withResolvers<void>()
      const timer = this.#host.clock.after(PARTING_MS, () => late.resolve())
      await Promise.race([this.#gone.promise, late.promise])
      timer.cancel()
    }
    this.drop(since)
  }
}
