import { expect, test } from 'vitest'
import { manualClock } from '../../broker/domain/manual-clock.ts'
import { FlushGroups, flushGroupsOf } from './flush-groups.ts'

const EVERY_MS = 1000

function started() {
  const clock = manualClock()
  return { clock, groups: new FlushGroups(clock, EVERY_MS) }
}

/** Joins, and keeps the moments of its flushes. */
function joined({ clock, groups }: ReturnType<typeof started>) {
  const at: number[] = []
  const leave = groups.join(() => at.push(clock.monotonic()))
  return { at, leave }
}

test('never later than with a timer of its own, whenever a member joins', () => {
  const ground = started()
  const members: { joinedAt: number; at: number[] }[] = []
  for (let n = 0; n < 40; n++) {
    members.push({ joinedAt: ground.clock.monotonic(), at: joined(ground).at })
    ground.clock.advance(170)
  }
  ground.clock.advance(5 * EVERY_MS)
  for (const { joinedAt, at } of members) {
    const moments = [joinedAt, ...at, ground.clock.monotonic()]
    for (const [index, moment] of moments.slice(1).entries())
      expect(moment - (moments[index] as number)).toBeLessThanOrEqual(EVERY_MS)
  }
})

test('sixteen share a timer, the next begins another', () => {
  const { clock, groups } = started()
  let timers = 0
  const after = clock.after
  clock.after = (ms, run) => {
    timers += 1
    return after(ms, run)
  }
  for (let n = 0; n < 16; n++) groups.join(() => {})
  expect(timers).toBe(1)
  groups.join(() => {})
  expect(timers).toBe(2)
})

test('who has left is not called any more; with the last one the timer goes', () => {
  const ground = started()
  const [left, stays] = [joined(ground), joined(ground)]
  ground.clock.advance(EVERY_MS)
  left.leave()
  ground.clock.advance(EVERY_MS)
  expect(left.at).toEqual([1000])
  expect(stays.at).toEqual([1000, 2000])
  stays.leave()
  left.leave()
  let timers = 0
  ground.clock.after = () => {
    timers += 1
    return { cancel() {} }
  }
  ground.clock.advance(3 * EVERY_MS)
  expect(timers).toBe(0)
  expect(stays.at).toEqual([1000, 2000])
})

test('a place that was left is taken again', () => {
  const ground = started()
  const members = Array.from({ length: 16 }, () => joined(ground))
  ground.clock.advance(400)
  members[3]?.leave()
  const late = joined(ground)
  ground.clock.advance(600)
  expect(late.at).toEqual([1000])
})

test('the same function may join twice', () => {
  const { clock, groups } = started()
  let calls = 0
  const run = () => {
    calls += 1
  }
  const leave = groups.join(run)
  groups.join(run)
  clock.advance(EVERY_MS)
  expect(calls).toBe(2)
  leave()
  clock.advance(EVERY_MS)
  expect(calls).toBe(3)
})

test('members that leave or join during a round do not harm the others', () => {
  const ground = started()
  const calls: string[] = []
  const leaveSelf = ground.groups.join(() => {
    calls.push('self')
    leaveSelf()
    leaveNext()
    if (calls.length === 1) ground.groups.join(() => calls.push('new'))
  })
  const leaveNext = ground.groups.join(() => calls.push('next'))
  ground.groups.join(() => calls.push('last'))
  ground.clock.advance(EVERY_MS)
  expect(calls).toEqual(['self', 'last', 'new'])
  ground.clock.advance(EVERY_MS)
  expect(calls.slice(3)).toEqual(['last', 'new'])
})

test('all leave in the middle of a round, one joins behind them', () => {
  const ground = started()
  const calls: string[] = []
  const leave = ground.groups.join(() => {
    leave()
    ground.groups.join(() => calls.push(`at ${ground.clock.monotonic()}`))
  })
  ground.clock.advance(3 * EVERY_MS)
  expect(calls).toEqual(['at 2000', 'at 3000'])
})

test('a member that throws does not harm the others, and its error is not lost', () => {
  const ground = started()
  const before = joined(ground)
  const leave = ground.groups.join(() => {
    throw new Error('broken')
  })
  const behind = joined(ground)
  expect(() => ground.clock.advance(EVERY_MS)).toThrow('broken')
  expect([before.at, behind.at]).toEqual([[1000], [1000]])
  const another = ground.groups.join(() => {
    throw new Error('broken too')
  })
  expect(() => ground.clock.advance(EVERY_MS)).toThrow(AggregateError)
  leave()
  another()
  ground.clock.advance(EVERY_MS)
  expect([before.at, behind.at]).toEqual([
    [1000, 2000, 3000],
    [1000, 2000, 3000],
  ])
})

test('recorders of one clock share their groups, other intervals and clocks do not', () => {
  const clock = manualClock()
  expect(flushGroupsOf(clock, 1000)).toBe(flushGroupsOf(clock, 1000))
  expect(flushGroupsOf(clock, 1000)).not.toBe(flushGroupsOf(clock, 500))
  expect(flushGroupsOf(clock, 1000)).not.toBe(flushGroupsOf(manualClock(), 1000))
})
