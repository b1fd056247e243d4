import type { FrameHeader } from '../format/frame.ts'
import type { SegmentHeader } from '../format/header.ts'
import type { Findings } from './report.ts'

const CHECK = 'input-window'
/** Gateway and broker may be this far apart before new sessions are denied. */
const CLOCK_TOLERANCE_MS = 30_000

/** What the grants and approvals allow, from check 8. Milliseconds since the epoch. */
export interface InputWindow {
  opensAtMs: number
  /** The last moment of input: the latest grant's end, a signed grace included, and one second for rounding. */
  limitMs: number
  viewOnly: boolean
}

/** The input stream's times; its content stays sealed. */
export class InputTimes {
  #start: SegmentHeader['clock'] | null = null
  #firstMs: number | null = null
  #lastMs: number | null = null

  /** Called for every segment; screen segment 0 comes first and gives the session's own start. */
  segment(header: SegmentHeader): void {
    if (header.stream === 'screen' && header.segment === 0) this.#start = header.clock
  }

  /** Chunk 0 of an input segment holds its header line only; every other chunk with content was sent by someone. */
  frame(header: SegmentHeader, frame: FrameHeader): void {
    if (frame.seq === 0 || frame.plainLength === 0) return
    this.#firstMs ??= this.#wall(header, frame.t0Ms)
    this.#firstMs = Math.min(this.#firstMs, this.#wall(header, frame.t0Ms))
    this.#lastMs = Math.max(this.#lastMs ?? 0, this.#wall(header, frame.t1Ms))
  }

  /** The later of two reckonings: a wall clock set back during the session gains nothing. */
  #wall({ clock }: SegmentHeader, t: number): number {
    const own = clock.wall_ms + t - clock.t_ms
    return this.#start ? Math.max(own, this.#start.wall_ms + t - this.#start.t_ms) : own
  }

  /** Check 9. Returns the time of the last input, or null. */
  finish(window: InputWindow | null, findings: Findings): number | null {
    if (this.#firstMs === null || this.#lastMs === null) {
      findings.passed(CHECK, 'nothing was sent to the asset')
      return null
    }
    const place = `input stream at ${new Date(this.#lastMs).toISOString()}`
    if (!window) {
      findings.fail(
        CHECK,
        'input-window-unknown',
        place,
        'there is input, but no readable grant with its approval',
      )
    } else if (window.viewOnly) {
      findings.fail(CHECK, 'input-view-only', place, 'there is input in a view-only session')
    } else {
      if (this.#firstMs < window.opensAtMs - CLOCK_TOLERANCE_MS) {
        const opens = new Date(window.opensAtMs).toISOString()
        findings.fail(CHECK, 'input-before-window', place, `input began before the window opened at ${opens}`)
      }
      if (this.#lastMs > window.limitMs) {
        const limit = new Date(window.limitMs).toISOString()
        findings.fail(CHECK, 'input-after-window', place, `input went on after ${limit}`)
      }
    }
    findings.passed(CHECK, `the last input was at ${new Date(this.#lastMs).toISOString()}, inside the window`)
    return this.#lastMs
  }
}
