import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { manualClock } from '../../broker/domain/manual-clock.ts'
import { ClockGuard } from './clock-guard.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sallyport-clock-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

it('denies new sessions below the highest clock ever seen, over a restart too', async () => {
  const clock = manualClock()
  const guard = await ClockGuard.open(dir, clock)
  guard.brokerSays(clock.wall())
  await guard.tick()
  expect(guard.refusal()).toBeNull()
  clock.setWall(clock.wall() - 2 * 3_600_000)
  expect(guard.refusal()).toBe('clock-behind')
  expect((await ClockGuard.open(dir, clock)).refusal()).toBe('clock-behind')
})

it('denies new sessions while broker and gateway are apart by more than 30 s', async () => {
  const clock = manualClock()
  const guard = await ClockGuard.open(dir, clock)
  guard.brokerSays(clock.wall() - 29_000)
  expect(guard.refusal()).toBeNull()
  guard.brokerSays(clock.wall() + 31_000)
  expect(guard.refusal()).toBe('clock-apart')
  expect(guard.offsetMs).toBe(-31_000)
})

it('a clock that jumps ahead is noticed at once, and does not move the mark', async () => {
  const clock = manualClock()
  const guard = await ClockGuard.open(dir, clock)
  guard.brokerSays(clock.wall())
  await guard.tick()
  const right = clock.wall()
  clock.setWall(right + 15 * 365 * 86_400_000)
  expect(guard.refusal()).toBe('clock-apart')
  await guard.tick()
  clock.setWall(right)
  expect(guard.refusal()).toBeNull()
  // Before a broker has spoken nothing bears the clock out.
  clock.setWall(right + 15 * 365 * 86_400_000)
  await (await ClockGuard.open(dir, clock)).tick()
  clock.setWall(right)
  expect((await ClockGuard.open(dir, clock)).refusal()).toBeNull()
})
