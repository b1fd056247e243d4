import { CHECKS, type CheckName, type Verdict } from '../../../recordings/verify/report.ts'
import type { Plan } from '../fixture.ts'

/**
 * Packages that are whole, and packages that each break one rule: signed again after the change wherever an attacker
 * with that key could have, so that the check in question has to find it. `fails` lists every check that fails, with
 * its first code, `absent` every check that is absent. The same table makes the frozen vectors.
 */
export interface Case {
  name: string
  plan: Plan
  verdict: Verdict
  fails: Partial<Record<CheckName, string>>
  absent: Partial<Record<CheckName, string>>
}

/** Most packages have no witness; nothing else is absent unless the case says so. */
function absentIn(plan: Plan, more: Case['absent'] = {}): Case['absent'] {
  return plan.cosigned ? more : { witness: 'witness-absent', ...more }
}

export const invalid = (name: string, fails: Case['fails'], plan: Plan, absent?: Case['absent']): Case => ({
  name,
  plan,
  verdict: 'INVALID',
  fails,
  absent: absent ?? absentIn(plan),
})

export const valid = (name: string, plan: Plan, absent: Case['absent'] = {}): Case => ({
  name,
  plan,
  verdict: 'VALID',
  fails: {},
  absent: absentIn(plan, absent),
})

/** What is there is vouched for, and what is missing is declared. */
export const truncated = (name: string, plan: Plan): Case => ({
  ...valid(name, plan),
  verdict: 'VALID-TRUNCATED',
})

/** A zip that is refused as a whole. */
export const refused = (name: string, code: string, plan: Plan): Case =>
  invalid(
    name,
    { package: code },
    plan,
    Object.fromEntries(CHECKS.slice(1).map((check) => [check, 'package-unreadable'])),
  )
