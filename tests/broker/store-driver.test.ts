import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Database, DatabaseUnavailable, type Tx } from '../../broker/store/sql.ts'
import { until } from '../lab/until.ts'
import { startCluster, type TestCluster, type TestDatabase } from './database.ts'

/**
 * The driver writes to a socket that is gone when a transaction's connection dies, from a callback that nobody can
 * catch: the whole broker would end with its database. Vitest reports such an exception as a failure of the run.
 */
describe('a connection that dies inside a transaction', () => {
  let cluster: TestCluster
  let database: TestDatabase
  let other: Database
  beforeAll(async () => {
    cluster = await startCluster()
    database = await cluster.database()
    other = database.another()
  })
  afterAll(() => cluster.close())

  const kill = async (tx: Tx) => {
    const [row] = await tx<{ pid: number }[]>`SELECT pg_backend_pid() AS pid`
    await terminate(row?.pid)
  }
  /** Ends a connection's backend and waits until it is gone. */
  const terminate = async (pid = 0) => {
    await other.sql`SELECT pg_terminate_backend(${pid})`
    await until(async () => !(await backend(pid)), 'its backend is gone')
    // What the driver does on hearing of it is done too, whatever it throws.
    await turn()
  }
  const backend = async (pid: number) => {
    const [row] = await other.sql<{ query: string }[]>`
      SELECT query FROM pg_stat_activity WHERE pid = ${pid} AND state = 'active'
      UNION ALL SELECT '' FROM pg_stat_activity WHERE pid = ${pid}`
    return row
  }
  const turn = () => new Promise((resolve) => setTimeout(resolve, 50))

  it('before the next statement', async () => {
    await expect(
      database.db.tx(async (tx) => {
        await kill(tx)
        await tx`SELECT 2`
      }),
    ).rejects.toThrow(DatabaseUnavailable)
    await turn()
  })

  it('while a statement runs', async () => {
    await expect(
      database.db.tx(async (tx) => {
        const [row] = await tx<{ pid: number }[]>`SELECT pg_backend_pid() AS pid`
        const running = tx`SELECT pg_sleep(600)`.execute()
        const killed = until(
          async () => (await backend(row?.pid ?? 0))?.query.includes('pg_sleep') === true,
          'it runs',
        ).then(() => terminate(row?.pid))
        await Promise.all([running, killed])
      }),
    ).rejects.toThrow(DatabaseUnavailable)
    await turn()
  })

  it('before the commit, and when the work fails by itself', async () => {
    await expect(database.db.tx(kill)).rejects.toThrow(DatabaseUnavailable)
    await turn()
    await expect(
      database.db.tx(async (tx) => {
        await kill(tx)
        throw new Error('something else')
      }),
    ).rejects.toThrow()
    await turn()
  })

  it('the pool serves on', async () => {
    for (let n = 0; n < 20; n++)
      expect(await database.db.tx((tx) => tx<{ n: number }[]>`SELECT ${n}::int AS n`)).toMatchObject([{ n }])
  })
})
