import type { Clock } from '../domain/clock.ts'

export interface Rate {
  /** How many at once. */
  burst: number
  perSecond: number
}

/**
 * Token buckets by key, in a map of bounded size. When it is full the bucket that was idle longest goes: a flood of
 * addresses costs memory up to the bound, and a bucket that is dropped was the fullest of all.
 */
export class RateLimiter {
  readonly #rate: Rate
  readonly #clock: Clock
  readonly #maxKeys: number
  readonly #buckets = new Map<string, { tokens: number; at: number }>()

  constructor(rate: Rate, clock: Clock, maxKeys = 20_000) {
    this.#rate = rate
    this.#clock = clock
    this.#maxKeys = maxKeys
  }

  /** Takes `cost` tokens, one without it. 0 when it may pass, otherwise the seconds to wait (at least 1). */
  take(key: string, cost = 1): number {
    const now = this.#clock.monotonic()
    const old = this.#buckets.get(key)
    const { burst, perSecond } = this.#rate
    const tokens = old ? Math.min(burst, old.tokens + ((now - old.at) / 1000) * perSecond) : burst
    // Delete and set again keeps the map in order of last use.
    this.#buckets.delete(key)
    if (tokens < cost) {
      this.#buckets.set(key, { tokens, at: now })
      return Math.max(1, Math.ceil((cost - tokens) / perSecond))
    }
    if (this.#buckets.size >= this.#maxKeys) {
      const oldest = this.#buckets.keys().next()
      if (!oldest.done) this.#buckets.delete(oldest.value)
    }
    this.#buckets.set(key, { tokens: tokens - cost, at: now })
    return 0
  }

  get size(): number {
    return this.#buckets.size
  }
}

export interface Limits {
  /** Per address, before anything else is looked at. */
  address: Rate
  /** Per address for the routes that sign in. A shift of a plant comes from one address. */
  signIn: Rate
  /** Per signed-in person. */
  person: Rate
  /** Per sign-in for stop and hold: a bucket of its own, so that other traffic never uses it up (threat 30). */
  urgent: Rate
}

export const DEFAULT_LIMITS: Limits = {
  address: { burst: 400, perSecond: 60 },
  signIn: { burst: 60, perSecond: 2 },
  person: { burst: 200, perSecond: 30 },
  urgent: { burst: 30, perSecond: 5 },
}
