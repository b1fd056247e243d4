import { z } from 'zod'
import { text } from '../../broker/contract/audit-entry.ts'
import { STREAMS } from '../../broker/domain/words.ts'

/** Field types that the evidence schemas share. */
export const u32 = z.number().int().min(0).max(0xffff_ffff)
/** A count or instant in a JSON document: an exact integer in every language. */
export const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
export const word = (max: number) => text(max).min(1)
export const stream = z.enum(STREAMS)

/** First complaint of a failed schema as "path: message"; an unknown field is named. */
export function complaint(error: z.ZodError): string {
  const issue = error.issues[0]
  if (!issue) return 'does not match its schema'
  const path = issue.path.map(String).join('.')
  return `${path === '' ? 'document' : path}: ${issue.message}`
}

/** Whether a schema failed because of a field it does not know: a reason of its own. */
export function hasUnknownField(error: z.ZodError): boolean {
  return error.issues.some((issue) => issue.code === 'unrecognized_keys')
}
