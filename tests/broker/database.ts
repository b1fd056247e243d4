import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Secret } from '../../broker/domain/secret.ts'
import { type EmbeddedPostgres, startEmbedded } from '../../broker/store/embedded.ts'
import { migrate } from '../../broker/store/migrate.ts'
import { type ConnectTo, type Database, openDatabase } from '../../broker/store/sql.ts'
import { NO_POWER_CUT, readyDatabase } from '../lab/ready-database.ts'

export interface TestCluster {
  /** Data folder; removed by `close`. */
  dataDir: string
  server: EmbeddedPostgres
  /** A new database with all migrations applied, made from a template in some 50 ms. */
  database(): Promise<TestDatabase>
  close(): Promise<void>
}

export interface TestDatabase {
  /** As the application role. */
  db: Database
  /** As the owner of the tables: the database administrator of the tests. */
  owner: Database
  /** A further pool of connections of the application role (a second broker). */
  another(): Database
  connection(role: 'sallyport_owner' | 'sallyport_app'): ConnectTo
}

/** Connections of a test database's pool. */
export const POOL = 6

/** A real embedded PostgreSQL in a temporary folder: about a second. Start one per test file. */
export async function startCluster(settings: Record<string, string> = NO_POWER_CUT): Promise<TestCluster> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'sallyport-test-'))
  // A copy is not on the disk yet: who wants it there would wait for all of it at the first recovery.
  if (settings === NO_POWER_CUT) await readyDatabase(dataDir)
  const server = await startEmbedded({
    dataDir,
    settings: { ...settings, max_connections: '100' },
  })
  const open: Database[] = []
  const template = openDatabase(server.connection('sallyport_owner'), { max: 1, deadlineMs: 60_000 })
  await migrate(template)
  await template.close()
  const admin = openDatabase(server.connection('postgres', 'postgres'), { max: 1 })
  return {
    dataDir,
    server,
    async database() {
      const name = `test_${randomUUID().replaceAll('-', '')}`
      await admin.sql.unsafe(`CREATE DATABASE ${name} TEMPLATE sallyport OWNER sallyport_owner`)
      const connect = (role: 'sallyport_owner' | 'sallyport_app', max: number) => {
        const db = openDatabase(server.connection(role, name), { max })
        open.push(db)
        return db
      }
      return {
        db: connect('sallyport_app', POOL),
        owner: connect('sallyport_owner', 2),
        another: () => connect('sallyport_app', 4),
        connection: (role) => server.connection(role, name),
      }
    },
    async close() {
      await Promise.all(open.map((db) => db.close()))
      await admin.close()
      await server.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/** A key for tests that need one and don't care which. */
export function testMacKey(): Secret<Buffer> {
  return new Secret(Buffer.alloc(32, 7))
}
