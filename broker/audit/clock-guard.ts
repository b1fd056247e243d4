import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { AuditEntry } from '../contract/audit-entry.ts'
import type { Clock, Timer } from '../domain/clock.ts'
import { writeWhole } from '../keys/key-files.ts'
import type { Database } from '../store/sql.ts'
import { clearAlarm, openAlarm } from './alarms.ts'
import { BROKER } from './event.ts'
import type { AuditLog } from './log.ts'

/** `behind-mark`: below the highest wall clock ever seen; `apart`: more than 30 s from the database's clock. */
export type ClockGuardState = 'ok' | 'behind-mark' | 'apart'

/** Differences up to this are normal between machines that keep time over a network. */
export const CLOCK_TOLERANCE_MS = 30_000
const CHECK_MS = 10_000
const AGREE = 'The clocks agree.'

export interface ClockGuardOptions {
  clock: Clock
  db: Database
  /** data folder: the mark is kept there and in the database, so that neither alone can be put back. */
  dataDir: string
  /** Called when the state changes: an audit event, and new sessions are denied until it is `ok` again. */
  onChange?: (state: ClockGuardState, detail: string) => void
  /** Called with the state until it resolves: the alarm, for which the database must be there. */
  settle?: (state: ClockGuardState, detail: string) => Promise<void>
}

/**
 * Makes every change of the guard an audit event and an alarm. `audit` is asked for when the event happens: the log
 * needs the guard to open, so it comes second; what happens before it is there is told by the next change.
 */
export function clockEvents(
  db: Database,
  audit: () => Pick<AuditLog, 'recordAlways'> | null,
  onError: (error: unknown) => void,
): Required<Pick<ClockGuardOptions, 'onChange' | 'settle'>> {
  return {
    onChange: (state, detail) => {
      const entry = audit()?.recordAlways({
        action: state === 'ok' ? 'clock.resolved' : 'clock.anomaly',
        actor: BROKER,
        result: state === 'ok' ? 'ok' : 'failed',
        reason: detail,
        details: { state },
      })
      entry?.catch(onError)
    },
    settle: async (state, detail) => {
      if (state === 'ok') await clearAlarm(db.sql, 'clock', 'broker', detail)
      else
        await openAlarm(
          db.sql,
          'clock',
          'broker',
          `${detail} New sessions are refused until it is right again.`,
        )
    },
  }
}

export interface ClockGuard {
  state(): ClockGuardState
  /** The state as an audit entry says it. */
  entryState(): AuditEntry['clock']
  /** Compares now; the loop does so every 10 s. */
  check(): Promise<ClockGuardState>
  /**
   * An administrator says that the clock is right although the mark is ahead of it (it once stood in the future).
   * Takes the present wall clock as the mark; refused while the clocks are apart. Record it as an audit entry.
   */
  resolve(): Promise<boolean>
  close(): Promise<void>
}

/** Opens the guard and makes the first comparison, so that no session opens on an unchecked clock. */
export async function openClockGuard(options: ClockGuardOptions): Promise<ClockGuard> {
  const guard = new Guard(options)
  await guard.open()
  return guard
}

class Guard implements ClockGuard {
  readonly #options: ClockGuardOptions
  readonly #file: string
  #mark = 0
  #written = 0
  #state: ClockGuardState = 'ok'
  #compared = false
  /** What the alarm does not say yet. At the start perhaps that of a former run, which is over. */
  #unsettled: { state: ClockGuardState; detail: string } | null = { state: 'ok', detail: AGREE }
  #timer: Timer | null = null
  #closed = false
  #checking: Promise<ClockGuardState> | null = null

  constructor(options: ClockGuardOptions) {
    this.#options = options
    this.#file = path.join(options.dataDir, 'clock-mark')
  }

  async open(): Promise<void> {
    const text = await readFile(this.#file, 'utf8').catch(() => '0')
    const value = Number(text.trim())
    this.#mark = Number.isSafeInteger(value) ? value : 0
    await this.check()
  }

  state(): ClockGuardState {
    // Between two comparisons the clock may have been set back: that much needs no database.
    return this.#state === 'ok' && this.#behind(this.#options.clock.wall()) ? 'behind-mark' : this.#state
  }

  entryState(): AuditEntry['clock'] {
    if (this.state() !== 'ok') return 'suspect'
    return this.#compared ? 'ok' : 'unknown'
  }

  check(): Promise<ClockGuardState> {
    this.#checking ??= this.#round().finally(() => {
      this.#checking = null
      this.#arm()
    })
    return this.#checking
  }

  async resolve(): Promise<boolean> {
    await this.check()
    if (this.#state === 'apart') return false
    const wall = this.#options.clock.wall()
    await this.#options.db.sql`
      INSERT INTO clock_mark (wall_ms) VALUES (${wall}) ON CONFLICT (one) DO UPDATE SET wall_ms = ${wall}`
    await writeWhole(this.#file, `${wall}\n`)
    this.#mark = wall
    this.#written = wall
    this.#become('ok', 'An administrator confirmed the clock.')
    await this.#settle()
    return true
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    await this.#checking?.catch(() => undefined)
  }

  async #round(): Promise<ClockGuardState> {
    const state = await this.#compare()
    await this.#settle()
    return state
  }

  /** A database that is away is asked again with the next comparison. */
  async #settle(): Promise<void> {
    const owed = this.#unsettled
    if (!owed || !this.#options.settle) return
    try {
      await this.#options.settle(owed.state, owed.detail)
      if (this.#unsettled === owed) this.#unsettled = null
    } catch {
      // Told elsewhere: the database is down.
    }
  }

  async #compare(): Promise<ClockGuardState> {
    const { clock, db } = this.#options
    let database: number | null = null
    try {
      const asked = clock.wall()
      const [row] = await db.sql<{ now: number; mark: number }[]>`
        SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now,
          coalesce((SELECT wall_ms FROM clock_mark), 0) AS mark`
      if (row) {
        // The answer's age lies between the two readings; half of it is the best guess.
        database = row.now - (asked + clock.wall()) / 2
        this.#mark = Math.max(this.#mark, row.mark)
        this.#compared = true
      }
    } catch {
      // The database is down: that is told elsewhere, and the mark still counts.
    }
    const wall = clock.wall()
    if (this.#behind(wall)) {
      this.#become('behind-mark', `The clock is ${seconds(this.#mark - wall)} s behind the latest time seen.`)
    } else if (database !== null && Math.abs(database) > CLOCK_TOLERANCE_MS) {
      this.#become('apart', `The database's clock differs by ${seconds(database)} s.`)
    } else if (database !== null || this.#state === 'behind-mark') {
      this.#become('ok', AGREE)
    }
    // A clock that is wrong must not raise the mark: one jump to 2040 would lock everybody out.
    if (this.#state === 'ok' && database !== null) await this.#raise(wall)
    return this.#state
  }

  async #raise(wall: number): Promise<void> {
    this.#mark = Math.max(this.#mark, wall)
    if (this.#mark - this.#written < CHECK_MS) return
    this.#written = this.#mark
    await writeWhole(this.#file, `${this.#mark}\n`)
    await this.#options.db.sql`
      INSERT INTO clock_mark (wall_ms) VALUES (${this.#mark})
      ON CONFLICT (one) DO UPDATE SET wall_ms = greatest(clock_mark.wall_ms, excluded.wall_ms)`
  }

  #behind(wall: number): boolean {
    return wall < this.#mark - CLOCK_TOLERANCE_MS
  }

  #become(state: ClockGuardState, detail: string): void {
    if (state === this.#state) return
    this.#state = state
    this.#unsettled = { state, detail }
    this.#options.onChange?.(state, detail)
  }

  #arm(): void {
    if (this.#closed) return
    this.#timer?.cancel()
    this.#timer = this.#options.clock.after(CHECK_MS, () => {
      this.check().catch(() => undefined)
    })
  }
}

function seconds(ms: number): number {
  return Math.round(ms / 1000)
}
