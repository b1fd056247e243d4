import { z } from 'zod'
import { instant, text, uuid } from '../contract/audit-entry.ts'

/**
 * root-statement.json: which keys are in use, in one JWS by the offline root. The broker starts only with the keys that
 * it names. What an auditor works with (keys.json, docs/evidence-format.md) is made from it: auditor-trust.ts.
 */
export const STATEMENT_TYP = 'sallyport-root-statement+jws'

const coordinate = z.string().regex(/^[A-Za-z0-9_-]{43}$/, '32 bytes in base64url')
const kid = z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'an RFC 7638 thumbprint')
const index = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)

export const statedKey = z.strictObject({
  kid,
  use: z.enum(['log', 'broker', 'replay', 'input', 'escrow']),
  /** Public JWK: Ed25519 for log and broker, ECDH on P-256 for the others. */
  jwk: z.discriminatedUnion('kty', [
    z.strictObject({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: coordinate }),
    z.strictObject({ kty: z.literal('EC'), crv: z.literal('P-256'), x: coordinate, y: coordinate }),
  ]),
  /** Valid for entries and checkpoints from this audit index on, and before `until` (null: still valid). */
  from: index,
  until: index.nullable(),
})

export const rootStatement = z.strictObject({
  v: z.literal(1),
  deployment: uuid,
  /** Grows by one with every statement; the highest one counts. */
  serial: z.number().int().min(1),
  issued: instant,
  keys: z.array(statedKey).min(1).max(256),
  /** Log epochs in order. A later one begins where a restore did, and names the last checkpoint before it. */
  epochs: z
    .array(
      z.strictObject({
        epoch: z.number().int().min(0),
        /** The last known checkpoint (C2SP note) of the epoch before; null for epoch 0. */
        follows: text(8192).nullable(),
        reason: text(500).nullable(),
      }),
    )
    .min(1)
    .max(256),
})

export const statementFile = z.strictObject({
  v: z.literal(1),
  /** The root's public key (Ed25519). */
  root: z.strictObject({ kid, x: coordinate }),
  /** Compact JWS of the statement, typ "sallyport-root-statement+jws", by the root. */
  statement: z.string().max(262_144),
})

export type StatementFile = z.infer<typeof statementFile>
export type RootStatement = z.infer<typeof rootStatement>
export type StatedKey = z.infer<typeof statedKey>
