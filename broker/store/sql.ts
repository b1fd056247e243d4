import { setTimeout as pause } from 'node:timers/promises'
import postgres from 'postgres'
import type { Secret } from '../domain/secret.ts'
import { late, withDeadline } from './deadline.ts'
import { externalDatabase } from './external.ts'

/** int8 comes as a number: indexes and counts here stay far below 2^53, and a larger one throws. */
type Types = { bigint: number }
export type Sql = postgres.Sql<Types>
export type Tx = postgres.TransactionSql<Types>
/** What runs a query: the pool or a transaction. */
export type Query = Sql | Tx

/** A URL (external PostgreSQL) or the embedded one's socket. */
export type ConnectTo =
  | { url: Secret }
  | { path: string; database: string; username: string; password: Secret }

export interface DatabaseOptions {
  /** Connections in the pool. */
  max?: number
  /** Longest time one statement may take on the server, milliseconds. */
  statementTimeoutMs?: number
  /** Longest time a query or a transaction may take as the caller sees it, milliseconds; then it fails as unavailable. */
  deadlineMs?: number
}

export interface Subscription {
  close(): Promise<void>
}

export interface Database {
  /** For single statements. Errors are the driver's; `unavailable(error)` tells whether the database is down. */
  readonly sql: Sql
  /**
   * One transaction; rolled back when `work` throws. Throws DatabaseUnavailable when the database is down. All but "read
   * committed" run `work` again from its beginning, for some seconds, when somebody else changed the same meanwhile
   * (`overtaken`): it must do nothing outside of its transaction that may not be done twice.
   */
  tx<T>(work: (tx: Tx) => Promise<T>, isolation?: Isolation): Promise<T>
  /**
   * Calls `onNotify` for every NOTIFY on `channel`. `onReady` runs after every (re)connection: what was sent
   * meanwhile is lost, so a listener looks for itself then.
   */
  listen(channel: string, onNotify: (payload: string) => void, onReady?: () => void): Promise<Subscription>
  notify(channel: string, payload?: string): Promise<void>
  /** Answers within `ms`, also when the server hangs. */
  ping(ms?: number): Promise<boolean>
  close(): Promise<void>
}

export type Isolation = 'read committed' | 'repeatable read' | 'serializable' | 'repeatable read read only'

/** The database cannot be reached or does not answer in time. Nothing was changed, or it is unknown whether it was. */
export class DatabaseUnavailable extends Error {
  readonly code = 'database-unavailable'
  constructor(cause: unknown) {
    super('The database does not answer. New sessions are refused until it does; running ones go on.', {
      cause,
    })
    this.name = 'DatabaseUnavailable'
  }
}

/** For so long a transaction that was overtaken is begun again. */
const AGAIN_MS = 5_000

export function openDatabase(to: ConnectTo, options: DatabaseOptions = {}): Database {
  const statementTimeout = options.statementTimeoutMs ?? 15_000
  const deadline = options.deadlineMs ?? 20_000
  const settings: postgres.Options<{ bigint: postgres.PostgresType<number> }> = {
    max: options.max ?? 8,
    connect_timeout: 5,
    idle_timeout: 300,
    // The driver's own back-off grows to 20 s; a plant's database that is back should be used at once.
    backoff: (attempt) => Math.min(0.05 * 2 ** attempt, 1),
    onnotice: () => undefined,
    connection: {
      application_name: 'sallyport',
      statement_timeout: statementTimeout,
      lock_timeout: Math.min(statementTimeout, 10_000),
      idle_in_transaction_session_timeout: 30_000,
    },
    types: {
      bigint: {
        to: 20,
        from: [20],
        serialize: (value: number) => String(value),
        parse: (text: string) => {
          const value = Number(text)
          if (!Number.isSafeInteger(value)) throw new RangeError(`int8 out of range: ${text}`)
          return value
        },
      },
    },
  }
  const pool = connect(to, settings)
  const sql = withDeadline(pool, deadline)
  return {
    sql,
    async tx(work, isolation = 'read committed') {
      const began = performance.now()
      for (let attempt = 1; ; attempt += 1) {
        try {
          // The driver's type unwraps arrays of promises; what `work` gives is already awaited.
          return (await within(
            deadline,
            survivingBegin(sql, `isolation level ${isolation.replace(' read only', ', read only')}`, work),
          )) as Awaited<ReturnType<typeof work>>
        } catch (error) {
          if (unavailable(error)) throw new DatabaseUnavailable(error)
          const again = isolation !== 'read committed' && overtaken(error)
          if (!again || performance.now() - began > AGAIN_MS) throw error
        }
        // Uneven, so that those who met do not meet again.
        await pause(Math.random() * Math.min(2 ** attempt, 100))
      }
    },
    async listen(channel, onNotify, onReady) {
      try {
        const { unlisten } = await sql.listen(channel, onNotify, onReady)
        return { close: unlisten }
      } catch (error) {
        throw unavailable(error) ? new DatabaseUnavailable(error) : error
      }
    },
    async notify(channel, payload = '') {
      await sql.notify(channel, payload)
    },
    async ping(ms = 2_000) {
      try {
        await within(ms, sql`SELECT 1`)
        return true
      } catch {
        return false
      }
    },
    async close() {
      await sql.end({ timeout: 5 })
    },
  }
}

function connect(to: ConnectTo, settings: postgres.Options<{ bigint: postgres.PostgresType<number> }>): Sql {
  if ('url' in to) {
    const { url, ssl } = externalDatabase(to.url)
    return postgres(url, { ...settings, ssl })
  }
  return postgres({
    ...settings,
    path: to.path,
    database: to.database,
    username: to.username,
    password: to.password.reveal(),
  })
}

/**
 * The driver's `begin`, for connections that die. After that it would still write ROLLBACK or COMMIT (and whatever the
 * work sends) to a socket that is null, from a callback that nobody can catch (porsager/postgres issues 1154, 1208):
 * the process would end with its database. So work whose connection is gone neither settles nor sends any more;
 * `begin` has been rejected already.
 */
function survivingBegin<T>(sql: Sql, options: string, work: (tx: Tx) => Promise<T>): Promise<unknown> {
  const state = { over: false }
  const begun = sql.begin(options, async (tx) => {
    try {
      const result = await work(whileItLasts(tx, state))
      if (!state.over) return result
    } catch (error) {
      if (!state.over && !connectionLost(error)) throw error
    }
    return await new Promise<never>(() => undefined)
  })
  const over = () => {
    state.over = true
  }
  begun.then(over, over)
  return begun
}

function whileItLasts(tx: Tx, state: { over: boolean }): Tx {
  const check = () => {
    if (state.over) throw new DatabaseUnavailable(new Error('the transaction is over'))
  }
  return new Proxy(tx, {
    apply(target, self, args) {
      check()
      return Reflect.apply(target as never, self, args)
    },
    get(target, name) {
      check()
      return Reflect.get(target, name, target)
    },
  })
}

/** The server has closed the connection, or is about to: nothing may be sent on it any more. */
function connectionLost(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && (/^(CONNECTION_|08|57P0)/.test(code) || CLOSED.has(code))
}

const CLOSED = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT'])

const DOWN = new Set([
  'CONNECTION_CLOSED',
  'CONNECTION_ENDED',
  'CONNECTION_DESTROYED',
  'CONNECT_TIMEOUT',
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'deadline',
  // SQLSTATE class 57: shutdown, crash, starting; 53: too many connections, out of memory, disk full
  '57P01',
  '57P02',
  '57P03',
  '53000',
  '53100',
  '53200',
  '53300',
  // read-only transaction: the primary has been demoted
  '25006',
])

/** Whether an error means that the database is down or unreachable, rather than that the statement was wrong. */
export function unavailable(error: unknown): boolean {
  if (error instanceof DatabaseUnavailable) return true
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && (DOWN.has(code) || code.startsWith('08'))
}

/** What a transaction read has been changed since, as this process knows from elsewhere: it has to read again. */
export class Overtaken extends Error {
  /** SQLSTATE serialization_failure, as the server's own. */
  readonly code = '40001'
}

/** Whether a transaction failed only because another one changed the same at that moment. */
export function overtaken(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code
  // 40001 serialization_failure, 40P01 deadlock_detected
  return code === '40001' || code === '40P01'
}

/** SQLSTATE of a unique violation, with the constraint's name: the expected ending of two people at once. */
export function uniqueViolation(error: unknown): string | null {
  const { code, constraint_name } = (error ?? {}) as { code?: string; constraint_name?: string }
  return code === '23505' ? (constraint_name ?? '') : null
}

/** The driver knows no deadline of its own, and a stopped server keeps its sockets open for ever. */
async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late(ms)), ms)
  })
  try {
    return await Promise.race([work, tooLate])
  } finally {
    clearTimeout(timer)
  }
}
