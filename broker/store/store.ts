import { createHmac } from 'node:crypto'
import { Secret } from '../domain/secret.ts'
import { type EmbeddedPostgres, startEmbedded } from './embedded.ts'
import { certificateRefused } from './external.ts'
import { migrate } from './migrate.ts'
import { type ConnectTo, type Database, openDatabase } from './sql.ts'

export interface StoreOptions {
  dataDir: string
  /** DATABASE_URL: an external PostgreSQL, as the owner of the tables. Embedded when absent. */
  ownerUrl?: Secret
  /** DATABASE_APP_URL: as the application role, when the administrator made it. */
  appUrl?: Secret
  onCrash?: (why: string) => void
  /** Server settings of the embedded PostgreSQL (tests). */
  settings?: Record<string, string>
}

export interface Store {
  /** As the application role. */
  db: Database
  /** How the owner of the tables connects: migrations and backups only. */
  owner: ConnectTo
  /** Null when the database is external. */
  embedded: EmbeddedPostgres | null
  /** Migrations applied by this start. */
  migrated: string[]
  close(): Promise<void>
}

const MIGRATION_DEADLINE_MS = 30 * 60_000

/** Starts or reaches the database, migrates it as its owner, and opens it as the application role. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const embedded = options.ownerUrl ? null : await startEmbedded(options)
  try {
    const owner: ConnectTo = options.ownerUrl
      ? { url: options.ownerUrl }
      : (embedded as EmbeddedPostgres).connection('sallyport_owner')
    const migrated = await migrateAs(owner)
    const db = openDatabase(
      embedded ? embedded.connection('sallyport_app') : await externalApplication(options),
    )
    return {
      db,
      owner,
      embedded,
      migrated,
      async close() {
        await db.close()
        await embedded?.stop()
      },
    }
  } catch (error) {
    await embedded?.stop()
    throw certificateRefused(error) ?? error
  }
}

async function migrateAs(owner: ConnectTo): Promise<string[]> {
  const db = openDatabase(owner, { max: 1, deadlineMs: MIGRATION_DEADLINE_MS })
  try {
    return await migrate(db)
  } finally {
    await db.close()
  }
}

/**
 * The application role on an external database. Without a URL of its own, its password is derived from the owner's,
 * so that several brokers on one database agree without sharing a file; the owner then needs CREATEROLE.
 */
async function externalApplication(options: StoreOptions): Promise<ConnectTo> {
  if (options.appUrl) return { url: options.appUrl }
  const url = new URL((options.ownerUrl as Secret).reveal())
  if (url.password === '') {
    throw new Error(
      'DATABASE_URL has no password. Make the role sallyport_app yourself and set DATABASE_APP_URL (docs/operations).',
    )
  }
  const password = createHmac('sha256', decodeURIComponent(url.password))
    .update('sallyport/app-role/v1')
    .digest('base64url')
  const application = new URL(url)
  application.username = 'sallyport_app'
  application.password = password
  const to: ConnectTo = { url: new Secret(application.href) }
  const trial = openDatabase(to, { max: 1 })
  const works = await trial.ping(5_000)
  await trial.close()
  if (works) return to
  const owner = openDatabase({ url: options.ownerUrl as Secret }, { max: 1 })
  try {
    // Base64url by construction; ALTER ROLE takes no parameters.
    await owner.sql.unsafe(`ALTER ROLE sallyport_app LOGIN PASSWORD '${password}'`)
    await owner.sql.unsafe(
      `GRANT CONNECT ON DATABASE ${JSON.stringify(url.pathname.slice(1))} TO sallyport_app`,
    )
  } finally {
    await owner.close()
  }
  return to
}
