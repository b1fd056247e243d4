import type { AccessPolicy, DenialReason } from '../domain/access-facts.ts'
import { CRITICALITIES, type Criticality } from '../domain/words.ts'

const seconds = (longest: number) => (value: unknown) =>
  typeof value === 'number' && Number.isFinite(value) && value > 0 && value <= longest

/** Every field and what it may hold. A setting that this version does not know must not be read as "allow". */
const FIELDS: { [K in keyof AccessPolicy]: (value: unknown) => boolean } = {
  version: (value) => typeof value === 'string' && value.length > 0,
  ticketMaxAgeSeconds: seconds(86_400),
  stepUpSeconds: seconds(3600),
  recheckSeconds: seconds(60),
  sessionsPerEndpoint: (value) =>
    Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 10,
  passwordApprovals: (value) => typeof value === 'boolean',
  idleSeconds: seconds(86_400),
  watcherFor: (value) =>
    Array.isArray(value) && value.every((item) => CRITICALITIES.includes(item as Criticality)),
}

/** The policy when every known field is there and right and there is no other; otherwise null and a reason. */
export function readPolicy(
  policy: Readonly<Record<string, unknown>>,
  reasons: DenialReason[],
): AccessPolicy | null {
  const unknown = Object.keys(policy).filter((field) => !Object.hasOwn(FIELDS, field))
  const wrong = Object.entries(FIELDS)
    .filter(([field, holds]) => !Object.hasOwn(policy, field) || !holds(policy[field]))
    .map(([field]) => field)
  const fields = [...unknown, ...wrong].sort()
  if (fields.length > 0) {
    reasons.push({ code: 'policy-unknown', fields })
    return null
  }
  return policy as unknown as AccessPolicy
}
