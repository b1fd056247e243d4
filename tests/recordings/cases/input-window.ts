import { OPENS } from '../fixture.ts'
import { type Case, invalid } from './case.ts'
import { endsBeforeSecondInput, onSegment } from './change.ts'

/** Check 9: when input was sent. */
export const INPUT_WINDOW: Case[] = [
  invalid(
    'input-after-window',
    { 'input-window': 'input-after-window' },
    {
      grant: (grant) => {
        grant.exp = OPENS / 1000 + 60 + 588
      },
    },
  ),
  invalid(
    'input-after-clock-set-back',
    { 'input-window': 'input-after-window' },
    {
      // The gateway's wall clock jumps back inside the session: the monotonic reckoning from its start still counts.
      grant: (grant) => {
        grant.exp = OPENS / 1000 + 60 + 588
      },
      header: (header) => {
        if (header.segment === 1) header.clock.wall_ms -= 7_200_000
      },
    },
  ),
  invalid(
    'input-between-grants',
    { 'input-window': 'input-after-window' },
    {
      // The first grant was over, and the extension came only after the input.
      extended: true,
      grant: (grant) => {
        grant.exp = OPENS / 1000 + 60 + 400
      },
      laterGrant: (grant) => {
        grant.iat = OPENS / 1000 + 60 + 650
      },
    },
  ),
  invalid(
    'input-after-shortened-grant',
    { 'input-window': 'input-after-window' },
    {
      // A later grant gave less time; the first one's end counts no more.
      extended: true,
      laterGrant: (grant) => {
        grant.exp = OPENS / 1000 + 60 + 400
      },
    },
  ),
  invalid(
    'input-before-window',
    { 'input-window': 'input-before-window' },
    {
      constraints: { opensAt: new Date(OPENS + 120_000).toISOString() },
    },
  ),
  invalid(
    'input-view-only',
    { 'input-window': 'input-view-only' },
    {
      grant: (grant) => {
        grant.viewOnly = true
      },
    },
  ),
  // Sealed, and nobody sees what is in it: longer than a header line it is something that was sent.
  invalid(
    'input-in-header-chunk',
    { 'input-window': 'input-after-window' },
    {
      ...endsBeforeSecondInput,
      segments: onSegment('input', 1, (plan) => {
        plan.chunks.splice(1, 1)
        const [first] = plan.chunks
        const fill = first?.fill
        if (first)
          first.fill = (lines, header) => {
            fill?.(lines, header)
            lines.text('i', first.t0 * 1000, 'reboot\r')
          }
      }),
    },
  ),
  // A clock that is no date is still a number.
  invalid(
    'input-at-no-date',
    { 'input-window': 'input-after-window' },
    { header: (header) => void Object.assign(header.clock, { wall_ms: Number.MAX_SAFE_INTEGER }) },
  ),
]
