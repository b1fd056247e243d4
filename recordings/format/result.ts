/**
 * An expected ending of reading or checking evidence. `code` is one of the stable reasons that
 * docs/evidence-format.md lists; `message` says what is wrong, for a person.
 */
export interface Fault {
  ok: false
  code: string
  message: string
}
export type Result<T> = { ok: true; value: T } | Fault

export function good<T>(value: T): { ok: true; value: T } {
  return { ok: true, value }
}

export function fault(code: string, message: string): Fault {
  return { ok: false, code, message }
}
