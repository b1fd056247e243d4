/** Codes of what can be wrong with the log or with a row that it should vouch for. */
export type IntegrityCode =
  | 'row-not-vouched-for'
  | 'entry-not-ours'
  | 'log-entry-missing'
  | 'log-tail-missing'
  | 'log-rewritten'
  | 'checkpoint-not-ours'

/** Somebody other than the broker changed the database. Denies whatever was about to happen; never retried. */
export class IntegrityError extends Error {
  readonly code: IntegrityCode
  /** What it is about: `kind id`, or a place in the log. */
  readonly subject: string

  constructor(code: IntegrityCode, subject: string, message: string) {
    super(message)
    this.name = 'IntegrityError'
    this.code = code
    this.subject = subject
  }
}
