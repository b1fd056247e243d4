import { z } from 'zod'
import { sha256Hex, uuid } from '../../broker/contract/audit-entry.ts'

/** `session.json`: what the manifest of a recovered recording must say and no segment header does. */
export const sessionRecord = z.strictObject({
  v: z.literal(1),
  deployment: uuid,
  site: uuid,
  gateway: uuid,
  recording: uuid,
  session: uuid,
  /** JWS hashes of the session's grants, by serial. */
  grants: z.array(sha256Hex).min(1).max(256),
  approvals: z.array(sha256Hex).max(256),
  ticket: sha256Hex.nullable(),
})
export type SessionRecord = z.infer<typeof sessionRecord>
