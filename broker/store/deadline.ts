import type { Sql } from './sql.ts'

/** What the driver's queries have and its types don't tell (postgres 3.4, src/query.js). */
interface DriverQuery {
  executed: boolean
  handle(): Promise<void>
  resolve(value: unknown): void
  reject(error: unknown): void
  cancel(): Promise<unknown> | null
}

/**
 * Gives every single query a deadline: the driver has none, and a server that hangs, or a network that swallows
 * packets, would keep its callers waiting for a quarter of an hour. The query fails with code `deadline` and is
 * cancelled if it can be; whether it took effect is unknown. Transactions have their own deadline.
 */
export function withDeadline(sql: Sql, ms: number): Sql {
  return new Proxy(sql, {
    apply(target, self, args) {
      const made: unknown = Reflect.apply(target as never, self, args)
      if (isQuery(made)) limit(made, ms)
      return made
    },
  })
}

export function late(ms: number): Error {
  return Object.assign(new Error(`the database gave no answer within ${ms} ms`), { code: 'deadline' })
}

function isQuery(value: unknown): value is DriverQuery {
  const candidate = value as Partial<DriverQuery> | null
  return typeof candidate?.handle === 'function' && typeof candidate.reject === 'function'
}

/** A query starts when somebody waits for it; fragments of other queries never do. */
function limit(query: DriverQuery, ms: number): void {
  const { handle, resolve, reject } = query
  query.handle = function start(this: DriverQuery) {
    if (!this.executed) {
      const timer = setTimeout(() => {
        reject(late(ms))
        // Asked on a connection of its own; when that fails too, there is nothing to cancel.
        this.cancel()?.catch(() => undefined)
      }, ms)
      this.resolve = (value) => {
        clearTimeout(timer)
        resolve(value)
      }
      this.reject = (error) => {
        clearTimeout(timer)
        reject(error)
      }
    }
    return handle.call(this)
  }
}
