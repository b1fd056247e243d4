import { describe, expect, it } from 'vitest'
import type { TerminalDown } from '../../broker/contract/terminal.ts'
import { BEGINNING, mayType, mayUse, reduce, type SessionEvent, type SessionPage } from './session-state.ts'

const hello: TerminalDown = {
  type: 'hello',
  session: 's',
  use: 'open',
  asset: 'Robot cell 4',
  account: 'service',
  features: ['clipboard-paste'],
  viewOnly: false,
}
const state = (more: Partial<Extract<TerminalDown, { type: 'state' }>> = {}): TerminalDown => ({
  type: 'state',
  state: 'live',
  inputFrozen: false,
  cause: null,
  by: null,
  remainingMs: 600_000,
  permitEndsAt: 1_000_000,
  end: null,
  message: null,
  ...more,
})
const down = (message: TerminalDown, now = 0): SessionEvent => ({ type: 'down', message, now })
const played = (...events: SessionEvent[]): SessionPage => events.reduce(reduce, BEGINNING)
const live = () => played({ type: 'opened' }, down(hello), down(state(), 1000))

describe('a session page', () => {
  it('types only when connected, live and not frozen', () => {
    expect(mayType(BEGINNING)).toBe(false)
    expect(mayType(live())).toBe(true)
    expect(mayType(reduce(live(), down(state({ state: 'held', inputFrozen: true }))))).toBe(false)
    expect(mayType(reduce(live(), { type: 'lost', code: 1006 }))).toBe(false)
    expect(mayType(played({ type: 'opened' }, down({ ...hello, use: 'watch' }), down(state())))).toBe(false)
    expect(mayType(played({ type: 'opened' }, down({ ...hello, viewOnly: true }), down(state())))).toBe(false)
    expect(mayUse(live(), 'clipboard-paste')).toBe(true)
    expect(mayUse(live(), 'clipboard-copy')).toBe(false)
    expect(mayUse(BEGINNING, 'clipboard-copy')).toBe(false)
  })

  it('counts down on the monotonic clock', () => {
    expect(live().deadline).toBe(601_000)
  })

  it('keeps a warning until more time is given', () => {
    const warned = reduce(live(), down({ type: 'warning', minutes: 5, endsAt: 1_000_000 }))
    expect(reduce(warned, down(state())).warning).not.toBeNull()
    expect(reduce(warned, down(state({ permitEndsAt: 2_800_000 }))).warning).toBeNull()
  })

  it('says who holds it and why', () => {
    const held = reduce(
      live(),
      down(state({ state: 'held', inputFrozen: true, cause: 'Somebody is in the cell.', by: 'J. Vogel' })),
    )
    expect(held).toMatchObject({ state: 'held', cause: 'Somebody is in the cell.', by: 'J. Vogel' })
  })

  it('comes back after a loss, and counts its tries', () => {
    const lost = reduce(reduce(live(), { type: 'lost', code: 1006 }), { type: 'try-failed' })
    expect(lost).toMatchObject({ link: 'lost', tries: 1, state: 'live' })
    expect(reduce(lost, { type: 'connecting' }).link).toBe('lost')
    expect(reduce(lost, { type: 'opened' })).toMatchObject({ link: 'open', tries: 0 })
  })

  it('is over when the session ended, another window took it, or access was withdrawn', () => {
    const ended = reduce(live(), down(state({ state: 'closed', end: 'window-closed', message: 'Over.' })))
    expect(ended.link).toBe('over')
    expect(reduce(ended, { type: 'lost', code: 1005 })).toMatchObject({
      link: 'over',
      end: 'window-closed',
      message: 'Over.',
    })
    expect(reduce(live(), { type: 'lost', code: 4000 }).link).toBe('over')
    expect(reduce(live(), { type: 'lost', code: 4409 }).closedBecause).toBe('replaced')
    const revoked = reduce(live(), { type: 'lost', code: 4410 })
    expect(revoked.closedBecause).toBe('revoked')
    expect(reduce(revoked, { type: 'lost', code: 1006 })).toBe(revoked)
    expect(reduce(revoked, { type: 'opened' }).link).toBe('over')
  })

  it('forgets an idle warning at the next key', () => {
    const idle = reduce(live(), down({ type: 'idle', remainingMs: 60_000 }, 5_000))
    expect(idle.idleEndsAt).toBe(65_000)
    expect(reduce(idle, { type: 'typed' }).idleEndsAt).toBeNull()
  })
})
