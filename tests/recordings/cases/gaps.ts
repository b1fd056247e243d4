import { type Case, invalid } from './case.ts'

/** Check 10: what was not recorded. */
export const GAPS: Case[] = [
  invalid('gap-undeclared', { gaps: 'gap-undeclared' }, { manifest: (m) => void m.gaps.splice(0) }),
  invalid(
    'gap-shorter-than-real',
    { gaps: 'gap-undeclared' },
    {
      manifest: (m) => {
        ;(m.gaps[0] as { t1_ms: number }).t1_ms -= 5000
      },
    },
  ),
  invalid(
    'gap-unfounded',
    { gaps: 'gap-unfounded' },
    {
      manifest: (m) => {
        m.gaps.push({ stream: 'input', segment: 0, seq: 1, t0_ms: 0, t1_ms: 5, reason: 'claimed' })
      },
    },
  ),
  invalid(
    'gap-twice',
    { gaps: 'gap-unfounded' },
    { manifest: (m) => void m.gaps.push(...m.gaps.slice(0, 1)) },
  ),
  invalid(
    'truncation-undeclared',
    { gaps: 'gap-undeclared' },
    {
      recovered: true,
      manifest: (m) => {
        m.gaps = m.gaps.filter((gap) => gap.reason !== 'gateway stopped')
      },
    },
  ),
]
