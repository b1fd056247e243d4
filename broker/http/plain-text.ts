import { Failure } from '../domain/failure.ts'

/**
 * Refuses text that has no canonical form (a lone surrogate) or that the database cannot hold (NUL), anywhere in what a
 * client sent, before it reaches a hash, a row or a gateway. Names of fields are text too.
 */
export function requirePlainText(value: unknown, path: string): void {
  if (typeof value === 'string') {
    if (value.isWellFormed() && !value.includes('\0')) return
    throw new Failure(
      422,
      'text-not-plain',
      `${path.toWellFormed().replaceAll('\0', '\ufffd')} holds characters that are no text.`,
      'Type it again, without special characters.',
    )
  }
  if (typeof value !== 'object' || value === null) return
  for (const [name, inner] of Object.entries(value)) {
    requirePlainText(name, path)
    requirePlainText(inner, `${path}.${name}`)
  }
}
