import type { CheckName, Verdict } from '../../../recordings/verify/report.ts'
import type { Plan } from '../fixture.ts'

/**
 * Packages that are whole, and packages that each break one rule: signed again after the change wherever an attacker
 * with that key could have, so that the check in question has to find it. `fails` lists every check that fails, with
 * its first code. The same table makes the frozen vectors.
 */
export interface Case {
  name: string
  plan: Plan
  verdict: Verdict
  fails: Partial<Record<CheckName, string>>
}

export const invalid = (name: string, fails: Case['fails'], plan: Plan): Case => ({
  name,
  plan,
  verdict: 'INVALID',
  fails,
})
export const valid = (name: string, plan: Plan, verdict: Verdict = 'VALID'): Case => ({
  name,
  plan,
  verdict,
  fails: {},
})
