import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Clock } from '../../broker/domain/clock.ts'
import { writePrivate } from '../identity/private-files.ts'

/** Clocks of gateway and broker may differ by so much; a wall clock may step back by so much. */
const APART_MS = 30_000
/** How often the mark is written: a crash forgets no more than this. */
const WRITE_MS = 10_000

const stored = z.strictObject({ highest: z.number() })

/**
 * Compares clocks. The highest wall clock that a broker bore out is kept on disk, so a clock that was set back is noticed over a
 * restart too; while it is behind the mark, or apart from the broker's, no new session opens.
 */
export class ClockGuard {
  readonly #clock: Clock
  readonly #path: string
  #highest: number
  /** A broker's wall clock less this process's monotonic one, which no time server moves. */
  #brokerEpoch: number | null = null
  #written = 0

  private constructor(clock: Clock, path: string, highest: number) {
    this.#clock = clock
    this.#path = path
    this.#highest = highest
  }

  static async open(dataDir: string, clock: Clock): Promise<ClockGuard> {
    const path = join(dataDir, 'clock.json')
    let highest = 0
    try {
      highest = stored.parse(JSON.parse(await readFile(path, 'utf8'))).highest
    } catch {
      // The first start.
    }
    return new ClockGuard(clock, path, highest)
  }

  /** Gateway minus broker now, milliseconds; null before the first broker answered. */
  get offsetMs(): number | null {
    return this.#brokerEpoch === null
      ? null
      : Math.round(this.#clock.wall() - this.#clock.monotonic() - this.#brokerEpoch)
  }

  brokerSays(wall: number): void {
    this.#brokerEpoch = wall - this.#clock.monotonic()
  }

  /** Why no new session may open now, or null. */
  refusal(): 'clock-behind' | 'clock-apart' | null {
    if (this.#clock.wall() < this.#highest - APART_MS) return 'clock-behind'
    const { offsetMs } = this
    if (offsetMs !== null && Math.abs(offsetMs) > APART_MS) return 'clock-apart'
    return null
  }

  /**
   * Raises the mark, only to what a broker bears out: one wrong answer of a time server ("2040") would otherwise deny
   * every session after the clock is right again, for years.
   */
  async tick(): Promise<void> {
    const { offsetMs } = this
    if (offsetMs === null || Math.abs(offsetMs) > APART_MS) return
    const now = this.#clock.wall()
    if (now <= this.#highest || now - this.#written < WRITE_MS) return
    this.#highest = now
    this.#written = now
    await writePrivate(this.#path, JSON.stringify({ highest: now })).catch(() => {})
  }
}
