import fc from 'fast-check'
import { expect, it } from 'vitest'
import { instantAt, isTimeZone, occurrences, sayWindow } from './windows.ts'

const BERLIN = 'Europe/Berlin'
const HOUR = 3_600_000
const everyNight = { weekdays: [1, 2, 3, 4, 5, 6, 7], from: '02:00', to: '06:00' }
const iso = (at: number) => new Date(at).toISOString()

it('02:00-06:00 stays 02:00-06:00 over both changes of time', () => {
  const spring = occurrences(everyNight, BERLIN, Date.UTC(2026, 2, 28), Date.UTC(2026, 2, 31))
  expect(spring.map((window) => [iso(window.opensAt), iso(window.closesAt)])).toEqual([
    ['2026-03-28T01:00:00.000Z', '2026-03-28T05:00:00.000Z'],
    // 02:00 does not exist: the clocks go from 02:00 to 03:00, which is 01:00 UTC.
    ['2026-03-29T01:00:00.000Z', '2026-03-29T04:00:00.000Z'],
    ['2026-03-30T00:00:00.000Z', '2026-03-30T04:00:00.000Z'],
  ])
  const autumn = occurrences(everyNight, BERLIN, Date.UTC(2026, 9, 24, 12), Date.UTC(2026, 9, 26))
  // 02:00 is shown twice; the first one counts, and the wall's four hours are five.
  expect(autumn.map((window) => [iso(window.opensAt), iso(window.closesAt)])).toEqual([
    ['2026-10-25T00:00:00.000Z', '2026-10-25T05:00:00.000Z'],
  ])
})

it('a skipped time is moved after the change, a repeated one is the first', () => {
  expect(iso(instantAt('2026-03-29', '02:30', BERLIN))).toBe('2026-03-29T01:30:00.000Z')
  expect(iso(instantAt('2026-10-25', '02:30', BERLIN))).toBe('2026-10-25T00:30:00.000Z')
})

it('a window that lies inside the skipped hour keeps its length or is left out, never reversed', () => {
  const inside = occurrences(
    { weekdays: [7], from: '02:15', to: '02:45' },
    BERLIN,
    Date.UTC(2026, 2, 29),
    Date.UTC(2026, 2, 30),
  )
  expect(inside.map((window) => iso(window.opensAt))).toEqual(['2026-03-29T01:15:00.000Z'])
  const across = occurrences(
    { weekdays: [7], from: '02:30', to: '03:00' },
    BERLIN,
    Date.UTC(2026, 2, 29),
    Date.UTC(2026, 2, 30),
  )
  expect(across).toEqual([])
})

it('a night window reaches into the next day and is found from there', () => {
  const night = { weekdays: [1], from: '22:00', to: '02:00' }
  const tuesdayMorning = Date.UTC(2026, 10, 24, 0, 30)
  expect(
    occurrences(night, BERLIN, tuesdayMorning, tuesdayMorning + HOUR).map((w) => iso(w.opensAt)),
  ).toEqual(['2026-11-23T21:00:00.000Z'])
})

it('says a window the way a plant reads it', () => {
  const opensAt = Date.UTC(2026, 10, 24, 1)
  expect(sayWindow({ opensAt, closesAt: opensAt + 4 * HOUR }, BERLIN)).toBe(
    'Tue 24 Nov 2026, 02:00-06:00 (Europe/Berlin, UTC+01:00)',
  )
  expect(sayWindow({ opensAt, closesAt: opensAt + 4 * HOUR }, 'America/Chicago')).toBe(
    'Mon 23 Nov 2026, 19:00-23:00 (America/Chicago, UTC-06:00)',
  )
  expect(sayWindow({ opensAt: Date.UTC(2026, 9, 24, 23), closesAt: Date.UTC(2026, 9, 25, 2) }, BERLIN)).toBe(
    'Sun 25 Oct 2026, 01:00-03:00 (Europe/Berlin, UTC+02:00 to UTC+01:00)',
  )
})

it('windows of one rule never overlap and lie in order, anywhere in the year', () => {
  const zones = fc.constantFrom(BERLIN, 'America/Chicago', 'Australia/Lord_Howe', 'Asia/Kolkata', 'UTC')
  fc.assert(
    fc.property(zones, fc.integer({ min: 0, max: 360 }), fc.nat(23), fc.nat(23), (zone, day, from, to) => {
      const rule = { weekdays: [1, 2, 3, 4, 5, 6, 7], from: time(from), to: time(to) }
      const start = Date.UTC(2026, 0, 1) + day * 24 * HOUR
      const found = occurrences(rule, zone, start, start + 5 * 24 * HOUR)
      found.forEach((window, i) => {
        expect(window.opensAt).toBeLessThan(window.closesAt)
        const next = found[i + 1]
        if (next && from !== to) expect(window.closesAt).toBeLessThanOrEqual(next.opensAt + HOUR)
      })
    }),
    { numRuns: 50 },
  )
})

it('knows time zones', () => {
  expect(isTimeZone(BERLIN)).toBe(true)
  expect(isTimeZone('Europe/Nowhere')).toBe(false)
})

const time = (hour: number) => `${String(hour).padStart(2, '0')}:00`
