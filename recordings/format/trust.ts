import { z } from 'zod'
import { base64url } from '../../broker/contract/approval-record.ts'
import { uuid } from '../../broker/contract/audit-entry.ts'
import { complaint, count, word } from './fields.ts'
import { parseJson } from './json.ts'
import { fault, good, type Result } from './result.ts'

/**
 * keys.json: what an auditor trusts, got by another way than the package. It describes one log (one epoch). Keys are
 * valid by log index, not by clock: from `from_index` (inclusive) to `to_index` (exclusive, null = still valid).
 */
const ed25519 = base64url(32).refine(
  (value) => value.length === 43,
  'a raw Ed25519 key: 43 base64url characters',
)
const validity = { from_index: count, to_index: count.nullable() }

export const trustFile = z.strictObject({
  v: z.literal(1),
  deployment: uuid,
  /** WebAuthn relying party: approvals count only from these origins. */
  rp: z.strictObject({ id: word(253), origins: z.array(word(300)).min(1).max(16) }),
  log: z.strictObject({
    origin: word(200),
    keys: z
      .array(z.strictObject({ x: ed25519, ...validity }))
      .min(1)
      .max(64),
  }),
  /** Signers of JWS. `gateway` is the gateway's id for use "gateway", null for "broker". */
  keys: z
    .array(
      z
        .strictObject({
          kid: word(200),
          use: z.enum(['broker', 'gateway']),
          gateway: uuid.nullable(),
          x: ed25519,
          ...validity,
        })
        .refine((key) => (key.use === 'gateway') === (key.gateway !== null), 'gateway is for gateway keys'),
    )
    .max(10_000),
  witnesses: z.array(z.strictObject({ name: word(200), x: ed25519 })).max(16),
  /** Signed checkpoints that the auditor kept from earlier: the log must still contain them. */
  checkpoints: z.array(word(65_536)).max(64),
})
export type TrustFile = z.infer<typeof trustFile>
export type TrustKey = TrustFile['keys'][number]

/** Codes: trust-malformed. */
export function parseTrust(json: string): Result<TrustFile> {
  let value: unknown
  try {
    value = parseJson(json)
  } catch {
    return fault('trust-malformed', 'the trust file is not JSON')
  }
  const parsed = trustFile.safeParse(value)
  if (!parsed.success) return fault('trust-malformed', `trust file, ${complaint(parsed.error)}`)
  const twice = ambiguousKey(parsed.data.keys)
  return twice
    ? fault(
        'trust-malformed',
        `trust file, two ${twice.use} keys "${twice.kid}" count at the same place of the log`,
      )
    : good(parsed.data)
}

/** One kid of one use (and gateway) stands for one key at each place of the log. */
function ambiguousKey(keys: readonly TrustKey[]): TrustKey | undefined {
  const byName = new Map<string, TrustKey[]>()
  for (const key of keys) {
    if (key.to_index !== null && key.to_index <= key.from_index) continue
    const name = JSON.stringify([key.use, key.gateway, key.kid])
    byName.set(name, [...(byName.get(name) ?? []), key])
  }
  for (const same of byName.values()) {
    const sorted = same.toSorted((a, b) => a.from_index - b.from_index)
    const found = sorted.find((key, at) => {
      const before = sorted[at - 1]
      return before !== undefined && (before.to_index === null || before.to_index > key.from_index)
    })
    if (found) return found
  }
  return undefined
}

/** Whether a key counts for what stands at `index` of the log. */
export function validAt(key: { from_index: number; to_index: number | null }, index: number): boolean {
  return key.from_index <= index && (key.to_index === null || index < key.to_index)
}

/** The key with this kid that counts at `index`; kids may be reused over time, so validity chooses. */
export function findKey(
  trust: TrustFile,
  kid: string,
  use: TrustKey['use'],
  index: number,
): TrustKey | undefined {
  return trust.keys.find((key) => key.kid === kid && key.use === use && validAt(key, index))
}
