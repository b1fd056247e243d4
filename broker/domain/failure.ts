/**
 * An expected refusal on its way to a person: a stable code, what is wrong, what to do next. Never holds a secret.
 * The HTTP layer turns it into an `ApiError` body; anything else that is thrown is a bug and becomes a plain 500.
 */
export class Failure extends Error {
  readonly code: string
  readonly status: number
  readonly next: string
  readonly reasons: readonly { code: string }[] | undefined
  /** Where in the input it is wrong, as dotted paths. */
  readonly fields: readonly { path: string; message: string }[] | undefined

  constructor(
    status: number,
    code: string,
    message: string,
    next: string,
    reasons?: readonly { code: string }[],
    fields?: readonly { path: string; message: string }[],
  ) {
    super(message)
    this.name = 'Failure'
    this.status = status
    this.code = code
    this.next = next
    this.reasons = reasons
    this.fields = fields
  }
}

/** The same answer for "does not exist" and "not yours": which of the two is nobody's business. */
export function notFound(what: string): Failure {
  return new Failure(
    404,
    'not-found',
    `There is no such ${what}, or it is not yours to see.`,
    'Check the link, or go back to the list.',
  )
}

export function forbidden(message: string, next = 'Ask an administrator of the site.'): Failure {
  return new Failure(403, 'forbidden', message, next)
}

/** Input that is well formed and cannot be meant: the code says what is wrong, the path where. */
export function wrongField(code: string, path: string, message: string, next: string): Failure {
  return new Failure(422, code, message, next, undefined, [{ path, message }])
}

export function conflict(code: string, message: string, next: string): Failure {
  return new Failure(409, code, message, next)
}
