import { describe, expect, it } from 'vitest'
import { city, countdown, fromWall, instantTimes, length, relative, toWall, windowTimes } from './time.ts'

const now = '2026-11-20T12:00:00.000Z'
describe('times for two places', () => {
  it('says plant and viewer as the design writes them', () => {
    const times = windowTimes(
      '2026-11-24T01:00:00.000Z',
      '2026-11-24T05:00:00.000Z',
      'Europe/Berlin',
      'America/Chicago',
      now,
    )
    expect(times.text).toBe('Tue 24 Nov, 02:00–06:00 plant (Berlin) / 19:00–23:00 Mon yours (Chicago)')
  })

  it('names each day of a window that crosses midnight', () => {
    const times = windowTimes(
      '2026-11-24T21:00:00.000Z',
      '2026-11-25T01:00:00.000Z',
      'Europe/Berlin',
      'Asia/Tokyo',
      now,
    )
    expect(times.plant).toBe('Tue 24 Nov, 22:00–02:00 Wed plant (Berlin)')
    expect(times.yours).toBe('06:00–10:00 Wed yours (Tokyo)')
    const split = windowTimes(
      '2026-11-24T21:00:00.000Z',
      '2026-11-25T07:00:00.000Z',
      'Europe/Berlin',
      'America/Chicago',
      now,
    )
    expect(split.yours).toBe('15:00–01:00 Wed yours (Chicago)')
  })

  it('says so when both clocks show the same, and keeps another year', () => {
    expect(instantTimes('2027-01-04T01:00:00.000Z', 'Europe/Berlin', 'Europe/Vienna', now)).toEqual({
      plant: 'Mon 4 Jan 2027, 02:00 plant (Berlin)',
      yours: null,
      text: 'Mon 4 Jan 2027, 02:00 plant (Berlin) (same as yours)',
    })
    expect(instantTimes('2026-11-24T01:00:00.000Z', 'Europe/Berlin', 'America/Chicago', now).text).toBe(
      'Tue 24 Nov, 02:00 plant (Berlin) / 19:00 Mon yours (Chicago)',
    )
  })

  it('names a city', () => {
    expect(city('America/Argentina/Buenos_Aires')).toBe('Buenos Aires')
  })
})

describe('wall clocks', () => {
  it('go there and back', () => {
    for (const at of ['2026-03-29T00:30:00.000Z', '2026-07-01T10:15:00.000Z', '2026-12-31T23:45:00.000Z'])
      expect(fromWall(toWall(at, 'Europe/Berlin'), 'Europe/Berlin')).toBe(at)
  })
  it('move a skipped time forward and take the first of a repeated one', () => {
    expect(fromWall('2026-03-29T02:30', 'Europe/Berlin')).toBe('2026-03-29T01:30:00.000Z')
    expect(fromWall('2026-10-25T02:30', 'Europe/Berlin')).toBe('2026-10-25T00:30:00.000Z')
  })
  it('refuse what is no time', () => {
    expect(fromWall('', 'Europe/Berlin')).toBeNull()
    expect(fromWall('tomorrow', 'Europe/Berlin')).toBeNull()
  })
})

describe('lengths', () => {
  it('are read at a glance', () => {
    expect(length(38_000)).toBe('38 s')
    expect(length(250_000)).toBe('4 min 10 s')
    expect(length(8_040_000)).toBe('2 h 14 min')
    expect(length(-5)).toBe('0 s')
    expect(countdown(249_001)).toBe('04:10')
    expect(countdown(3_849_000)).toBe('1:04:09')
    expect(relative('2026-11-20T14:14:00.000Z', now)).toBe('in 2 h 14 min')
    expect(relative('2026-11-20T11:55:00.000Z', now)).toBe('5 min ago')
    expect(relative('2026-11-20T11:59:50.000Z', now)).toBe('now')
    expect(relative('2027-03-20T11:00:00.000Z', now)).toBe('in 120 days')
    expect(relative('2026-11-18T11:00:00.000Z', now)).toBe('2 days ago')
  })
})
