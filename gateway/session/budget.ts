import type { Clock } from '../../broker/domain/clock.ts'

/**
 * A permission's time, held against both clocks: the wall clock says when it ends, and from the moment it arrives it
 * is also a budget on the monotonic clock. Whichever runs out first ends it, so a clock set back gains nothing.
 */
export interface Budget {
  untilWall: number
  untilMonotonic: number
}

/** From a token's `iat` and `exp` (seconds). The budget is never longer than what the token was issued for. */
export function budgetOf(token: { iat: number; exp: number }, clock: Clock): Budget {
  const untilWall = token.exp * 1000
  const left = Math.min(untilWall - clock.wall(), (token.exp - token.iat) * 1000)
  return { untilWall, untilMonotonic: clock.monotonic() + Math.max(0, left) }
}

/** Milliseconds left, 0 when it is over. */
export function left(budget: Budget, clock: Clock): number {
  return Math.max(0, Math.min(budget.untilWall - clock.wall(), budget.untilMonotonic - clock.monotonic()))
}
