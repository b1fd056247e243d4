import { describe, expect, it } from 'vitest'
import type { Request } from '../shared/session-status.tsx'
import { groupWork } from './group-work.ts'
import { proposeWindow } from './propose-window.ts'

const H = 3_600_000
const now = Date.UTC(2026, 10, 24, 2)
const iso = (at: number) => new Date(at).toISOString()
const request = (from: number, to: number, more: Partial<Request>): Request =>
  ({
    id: `${from}-${to}`,
    state: 'approved',
    window: { opensAt: iso(now + from), closesAt: iso(now + to) },
    decision: { permitted: false, until: null, lines: [] },
    session: null,
    ...more,
  }) as Request

describe('my work', () => {
  it('is sorted by what to do', () => {
    const open = request(0, H, { decision: { permitted: true, until: null, lines: [] } })
    const ahead = request(H, 2 * H, {})
    const blocked = request(-H, H, {})
    const asked = request(H, 2 * H, { state: 'waiting' })
    const over = request(-2 * H, 0, {})
    const inside = request(-2 * H, -H, { session: { id: 's', state: 'held' } })
    const work = groupWork([over, asked, ahead, open, blocked, inside], now)
    expect(work.now).toEqual([inside, open])
    expect(work.next).toEqual([blocked, ahead])
    expect(work.waiting).toEqual([asked])
    // Half open: at its closing time a window is over.
    expect(work.past).toEqual([over])
  })
})

describe('a proposed window', () => {
  const planned = { plannedStart: iso(now + 5 * H), plannedEnd: iso(now + 12 * H) }
  it('begins with the planned time, four hours at most', () => {
    expect(proposeWindow(planned, null, now)).toEqual({ from: now + 5 * H, to: now + 9 * H })
  })
  it('keeps what fits and begins now inside a running plan', () => {
    const kept = { from: now + 6 * H, to: now + 7 * H }
    expect(proposeWindow(planned, kept, now)).toEqual(kept)
    expect(proposeWindow(planned, null, now + 6 * H + 60_000)).toEqual({
      from: now + 6 * H,
      to: now + 10 * H,
    })
  })
  it('is none without planned time or when it is over', () => {
    expect(proposeWindow({ plannedStart: null, plannedEnd: null }, null, now)).toBeNull()
    expect(proposeWindow(planned, null, now + 12 * H)).toBeNull()
  })
})
