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
