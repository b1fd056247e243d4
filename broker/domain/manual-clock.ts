import type { Clock } from './clock.ts'

export interface ManualClock extends Clock {
  /** Moves both clocks on by `ms` and runs what has come due, in order. */
  advance(ms: number): void
  /** Sets the wall clock alone, as an administrator or an attacker would. */
  setWall(ms: number): void
}

/** A clock that moves only when told to. */
export function manualClock(startMs = Date.UTC(2026, 10, 24, 1, 0, 0)): ManualClock {
  let wall = startMs
  let mono = 0
  let due: { at: number; run: () => void }[] = []
  return {
    wall: () => wall,
    monotonic: () => mono,
    after(ms, run) {
      const entry = { at: mono + Math.max(0, ms), run }
      due.push(entry)
      return {
        cancel() {
          due = due.filter((other) => other !== entry)
        },
      }
    },
    advance(ms) {
      const end = mono + ms
      for (;;) {
        const next = due.filter((entry) => entry.at <= end).sort((a, b) => a.at - b.at)[0]
        if (!next) break
        due = due.filter((entry) => entry !== next)
        wall += next.at - mono
        mono = next.at
        next.run()
      }
      wall += end - mono
      mono = end
    },
    setWall(ms) {
      wall = ms
    },
  }
}
