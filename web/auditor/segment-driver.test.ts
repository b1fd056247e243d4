import { describe, expect, it } from 'vitest'
import { parseSegment, SegmentDriver } from './segment-driver.ts'
import type { DriverState } from './segment-player.ts'

/** An eight-hour recording of 96 segments of five minutes; each repaints its screen first. */
const FIVE = 300_000
const COUNT = 96
const text = (number: number) =>
  [
    JSON.stringify({ version: 2, width: 80, height: 24 }),
    JSON.stringify([(number * FIVE) / 1000, 'o', `<frame ${number}>`]),
    JSON.stringify([(number * FIVE + 60_000) / 1000, 'o', `<a ${number}>`]),
    JSON.stringify([(number * FIVE + 120_000) / 1000, 'r', '100x30']),
    JSON.stringify([(number * FIVE + 180_000) / 1000, 'o', `<b ${number}>`]),
    '',
  ].join('\n')

function setUp(slow?: (number: number) => Promise<void>) {
  let now = 0
  let timers: { does: () => void; at: number; live: boolean }[] = []
  const reads: number[] = []
  const sent: [string, unknown][] = []
  const states: DriverState[] = []
  const driver = new SegmentDriver(
    {
      durationMs: COUNT * FIVE,
      cols: 80,
      rows: 24,
      segments: Array.from({ length: COUNT }, (_, number) => ({
        number,
        t0Ms: number * FIVE,
        t1Ms: (number + 1) * FIVE,
      })),
    },
    async (number) => {
      reads.push(number)
      await slow?.(number)
      return text(number)
    },
    (state) => states.push(state),
    {
      now: () => now,
      later: (does, ms) => {
        const timer = { does, at: now + ms, live: true }
        timers.push(timer)
        return () => {
          timer.live = false
        }
      },
    },
  )
  const player = driver.attach({ dispatch: (event, data) => sent.push([event, data]) })
  /** Lets time pass in the steps that the driver asks for. */
  const pass = async (ms: number) => {
    const end = now + ms
    while (now < end) {
      const next = timers.filter((timer) => timer.live).sort((a, b) => a.at - b.at)[0]
      if (!next || next.at > end) {
        now = end
        break
      }
      now = Math.max(now, next.at)
      timers = timers.filter((timer) => timer !== next && timer.live)
      next.does()
      for (let turn = 0; turn < 6; turn++) await Promise.resolve()
    }
  }
  const output = () => sent.filter(([event]) => event === 'output').map(([, data]) => data)
  return { driver, player, reads, sent, states, pass, output }
}

describe('the player driver', () => {
  it('opens any point of an eight-hour recording by reading one segment', async () => {
    const { driver, reads, output, sent } = setUp()
    await driver.seek(50 * FIVE + 200_000)
    expect(reads).toEqual([50])
    expect(output().join('')).toBe('<frame 50><a 50><b 50>')
    expect(sent).toContainEqual(['resize', { cols: 100, rows: 30 }])
    await driver.seek(3 * FIVE + 70_000)
    expect(reads).toEqual([50, 3])
    expect(output().slice(-1)).toEqual(['<frame 3><a 3>'])
  })

  it('reads nothing to seek inside the segment it has', async () => {
    const { driver, reads } = setUp()
    await driver.seek(10_000)
    await driver.seek(250_000)
    await driver.seek(90_000)
    expect(reads).toEqual([0])
  })

  it('begins by reading the first segment only', async () => {
    const { player, reads } = setUp()
    await player.init()
    expect(reads).toEqual([0])
    expect(player.getDuration()).toBe((COUNT * FIVE) / 1000)
  })

  it('plays in time, fetches the next segment shortly before it is needed, and goes on in it', async () => {
    const { driver, reads, pass, output } = setUp()
    await driver.seek(0)
    await driver.play()
    await pass(61_000)
    expect(output()).toEqual(['<frame 0>', '<a 0>'])
    await pass(200_000)
    expect(reads).toEqual([0])
    await pass(36_000)
    expect(reads).toEqual([0, 1])
    await pass(5_000)
    expect(output().at(-1)).toBe('<frame 1>')
    expect(reads).toEqual([0, 1])
  })

  it('keeps its place when the speed changes', async () => {
    const { driver, pass } = setUp()
    await driver.seek(0)
    await driver.play()
    await pass(10_000)
    driver.setSpeed(4)
    await pass(10_000)
    expect(driver.timeMs).toBeCloseTo(50_000, -2)
    driver.pause()
    await pass(10_000)
    expect(driver.timeMs).toBeCloseTo(50_000, -2)
  })

  it('steps from change to change, over the ends of segments too', async () => {
    const { driver, output, states } = setUp()
    await driver.seek(FIVE + 100_000)
    await driver.play()
    await driver.step(1)
    expect(states.at(-1)?.playing).toBe(false)
    expect(driver.timeMs).toBe(FIVE + 120_000)
    await driver.step(1)
    expect(output().join('')).toContain('<b 1>')
    await driver.step(1)
    expect(driver.timeMs).toBe(2 * FIVE)
    await driver.step(-1)
    expect(driver.timeMs).toBe(2 * FIVE - 1)
    await driver.step(-1)
    expect(driver.timeMs).toBe(FIVE + 180_000)
  })

  it('passes over long stillness, and shows its last second', async () => {
    const { driver, pass, output } = setUp()
    await driver.seek(0)
    driver.setSkipsIdle(true)
    await driver.play()
    await pass(900)
    expect(output()).toEqual(['<frame 0>'])
    await pass(200)
    expect(output()).toEqual(['<frame 0>', '<a 0>'])
    await pass(3_400)
    expect(output().at(-1)).toBe('<frame 1>')
  })

  it('shows only the last of two seeks that overtake each other', async () => {
    let release: () => void = () => undefined
    const { driver, output } = setUp((number) =>
      number === 7
        ? new Promise((resolve) => {
            release = resolve
          })
        : Promise.resolve(),
    )
    const first = driver.seek(7 * FIVE)
    await driver.seek(9 * FIVE)
    release()
    expect(await first).toBe(false)
    expect(output()).toEqual(['<frame 9>'])
  })

  it('stops at a segment that cannot be read, says so, and can try again', async () => {
    let broken = true
    const { driver, states, reads } = setUp(async () => {
      if (broken) throw new Error('segment-chain')
    })
    expect(await driver.seek(0)).toBe(false)
    expect(states.at(-1)).toMatchObject({ playing: false, error: new Error('segment-chain') })
    broken = false
    expect(await driver.seek(0)).toBe(true)
    expect(reads).toEqual([0, 0])
    expect(states.at(-1)?.error).toBeNull()
  })

  it('ends at the end', async () => {
    const { driver, sent, pass } = setUp()
    await driver.seek(COUNT * FIVE - 1_000)
    await driver.play()
    await pass(2_000)
    expect(sent.at(-1)?.[0]).toBe('ended')
    expect(driver.timeMs).toBe(COUNT * FIVE)
  })
})

describe('a segment', () => {
  it('is read up to its first damaged line', () => {
    expect(parseSegment('{"width":10,"height":5}\n[1,"o","x"]\n[2,"o"').events).toEqual([[1, 'o', 'x']])
    expect(parseSegment('{}\n').cols).toBe(80)
  })
})
