import type { Clock, Timer } from '../../broker/domain/clock.ts'

/**
 * Members of one group. A flush wakes the loop, a thread for the write and one for the sync; sessions that flush
 * together share that, and it costs more than the flush. More than these would hold up somebody's echo.
 */
const GROUP_LIMIT = 16

interface Member {
  readonly run: () => void
}

interface Group {
  readonly members: Set<Member>
  timer: Timer
}

/**
 * One timer for some sessions each, instead of one for each session. A member is called every `everyMs`, the first
 * time perhaps earlier: it never waits longer than with a timer of its own.
 */
export class FlushGroups {
  readonly #clock: Clock
  readonly #everyMs: number
  readonly #groups = new Set<Group>()

  constructor(clock: Clock, everyMs: number) {
    this.#clock = clock
    this.#everyMs = everyMs
  }

  /**
   * Calls `run` at every flush from now on; returns how to leave, which may happen in the middle of a round. What a
   * member throws is thrown on after its round, so that the others lose nothing by it.
   */
  join(run: () => void): () => void {
    const group = this.#withRoom() ?? this.#begin()
    const member = { run }
    group.members.add(member)
    return () => {
      group.members.delete(member)
      if (group.members.size > 0) return
      group.timer.cancel()
      this.#groups.delete(group)
    }
  }

  #withRoom(): Group | undefined {
    for (const group of this.#groups) if (group.members.size < GROUP_LIMIT) return group
    return undefined
  }

  #begin(): Group {
    const arm = () =>
      this.#clock.after(this.#everyMs, () => {
        group.timer = arm()
        round(group)
      })
    const group: Group = { members: new Set(), timer: arm() }
    this.#groups.add(group)
    return group
  }
}

function round({ members }: Group): void {
  const errors: unknown[] = []
  for (const { run } of members) {
    try {
      run()
    } catch (error) {
      errors.push(error)
    }
  }
  if (errors.length > 0) throw errors.length === 1 ? errors[0] : new AggregateError(errors, 'flushes failed')
}

const groups = new WeakMap<Clock, Map<number, FlushGroups>>()

/** The groups of all recorders that share a clock, which is all of a thread. */
export function flushGroupsOf(clock: Clock, everyMs: number): FlushGroups {
  const ofClock = groups.get(clock) ?? new Map<number, FlushGroups>()
  groups.set(clock, ofClock)
  const found = ofClock.get(everyMs) ?? new FlushGroups(clock, everyMs)
  ofClock.set(everyMs, found)
  return found
}
