import { describe, expect, it } from 'vitest'
import { endingOf } from './ending-of.ts'

describe('what a denied renewal does', () => {
  it('the gravest reason counts, whatever the order', () => {
    const lock = { code: 'site-locked', since: 0, by: 'Olga' } as const
    const leaver = { code: 'person-disabled' } as const
    const ticket = { code: 'ticket-not-approved', key: 'CHG1', state: 'closed' } as const
    const over = { code: 'window-over', closedAt: 0 } as const
    const missing = { code: 'approvals-missing', have: 0, need: 1, roles: [] } as const
    expect(endingOf([over])).toEqual({ command: 'end', end: 'window-closed' })
    expect(endingOf([over, { ...ticket }])).toEqual({ command: 'end', end: 'ticket-closed' })
    expect(endingOf([over, ticket, { ...missing, roles: [] }])).toEqual({
      command: 'end',
      end: 'approval-withdrawn',
    })
    expect(endingOf([ticket, leaver, over])).toEqual({ command: 'revoke', end: 'identity-revoked' })
    expect(endingOf([leaver, lock])).toEqual({ command: 'stop', end: 'site-locked' })
  })

  it('no reason is no permission either', () => {
    expect(endingOf([])).toEqual({ command: 'end', end: 'approval-withdrawn' })
  })
})
