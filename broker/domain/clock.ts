/**
 * Time is injected everywhere, so that logic is tested with a manual clock and no test sleeps.
 * `wall` answers "what time is it" (milliseconds since the epoch, may jump); `monotonic` answers "how long
 * since" (milliseconds from an arbitrary start, never jumps). A permit is held against both: whichever runs
 * out first ends it, so setting a clock back gains nothing.
 */
export interface Clock {
  wall(): number
  monotonic(): number
  /** Calls `run` once after `ms` on the monotonic clock. Any length: longer than 24.8 days does not misfire. */
  after(ms: number, run: () => void): Timer
}

export interface Timer {
  cancel(): void
}

/** setTimeout keeps a signed 32-bit count of milliseconds and fires at once above it. */
const LONGEST_TIMEOUT = 2 ** 31 - 1

export const systemClock: Clock = {
  wall: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, run) {
    const due = performance.now() + ms
    let handle: NodeJS.Timeout
    const arm = () => {
      const left = due - performance.now()
      handle =
        left > LONGEST_TIMEOUT
          ? setTimeout(arm, LONGEST_TIMEOUT)
          : setTimeout(run, Math.max(0, Math.ceil(left)))
      handle.unref()
    }
    arm()
    return { cancel: () => clearTimeout(handle) }
  },
}
