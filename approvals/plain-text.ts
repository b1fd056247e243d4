import { Failure } from '../broker/domain/failure.ts'

/**
 * Refuses text that has no canonical form (a lone surrogate) or that the database cannot hold (NUL), anywhere in a
 * body, before it reaches a hash or a row.
 */
export function requirePlainText(body: unknown, path = 'body'): void {
  if (typeof body === 'string') {
    if (body.isWellFormed() && !body.includes('\0')) return
    throw new Failure(
      422,
      'text-not-plain',
      `${path} holds characters that are no text.`,
      'Type it again, without special characters.',
    )
  }
  if (typeof body !== 'object' || body === null) return
  for (const [name, value] of Object.entries(body)) requirePlainText(value, `${path}.${name}`)
}
