import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { sha256 } from '../domain/canonical.ts'
import type { Secret } from '../domain/secret.ts'
import { writeWhole } from '../keys/key-files.ts'
import { readStatement } from '../keys/statement.ts'
import { runningEmbedded, startEmbedded } from '../store/embedded.ts'
import { type ConnectTo, openDatabase } from '../store/sql.ts'
import { BackupError, type BackupManifest } from './format.ts'
import { seal } from './key-box.ts'
import { dumpTable, listSequences, listTables } from './tables.ts'

export interface BackupOptions {
  dataDir: string
  /** A folder that does not exist yet, or is empty. */
  to: string
  /** Protects the private keys. Without one they are left out, and the backup says so. */
  passphrase?: Secret
  /** DATABASE_URL, when the database is external. */
  ownerUrl?: Secret
  /** The evidence store's folder, listed but not copied. */
  recordingsDir?: string
  now: () => number
}

/** Files of the data folder that go into a backup as they are. */
const PLAIN_FILES = ['checkpoints.log', 'clock-mark', 'audit-journal.ndjson'] as const
const DEADLINE_MS = 6 * 3_600_000

/**
 * Saves a deployment, also beside a running broker: all tables in one snapshot (REPEATABLE READ), the checkpoints,
 * and the keys sealed to a passphrase.
 */
export async function backup(options: BackupOptions): Promise<BackupManifest> {
  const { dataDir, to } = options
  await mkdir(to, { recursive: true, mode: 0o700 })
  if ((await readdir(to)).length > 0) {
    throw new BackupError(
      'backup-target-not-empty',
      `${to} is not empty. Choose a new folder for every backup.`,
    )
  }
  const tablesFolder = path.join(to, 'tables')
  await mkdir(tablesFolder, { mode: 0o700 })
  const statementText = await readFile(path.join(dataDir, 'keys', 'root-statement.json'), 'utf8')
  const files: Record<string, string> = {}
  const keep = async (name: string, content: Buffer | string) => {
    await writeFile(path.join(to, name), content, { mode: 0o600 })
    files[name] = sha256(content).toString('hex')
  }
  // Before the snapshot: a checkpoint newer than the tables would make the restored log look cut.
  for (const name of PLAIN_FILES) {
    const content = await readFile(path.join(dataDir, name)).catch(() => null)
    if (content) await keep(name, content)
  }
  await keep('root-statement.json', statementText)
  if (options.passphrase) await keep('keys.enc', await seal(await packKeys(dataDir), options.passphrase))
  else await keep('KEYS-NOT-INCLUDED.txt', KEYS_LEFT_OUT)
  const recordings = await listRecordings(options.recordingsDir ?? path.join(dataDir, 'recordings'))
  await keep('recordings.txt', recordings.map((file) => `${file.bytes}\t${file.name}\n`).join(''))

  const database = await reach(options)
  const db = openDatabase(database.to, { max: 1, statementTimeoutMs: 0, deadlineMs: DEADLINE_MS })
  try {
    const saved = await db.tx(async (tx) => {
      const tables: BackupManifest['tables'] = []
      for (const table of await listTables(tx)) tables.push(await dumpTable(tx, table, tablesFolder))
      const migrations = await tx<BackupManifest['migrations']>`
        SELECT number, name, checksum FROM schema_migration ORDER BY number`
      const [log] = await tx<{ size: number }[]>`SELECT coalesce(max(idx) + 1, 0) AS size FROM audit.leaf`
      return {
        tables,
        migrations: migrations.map((row) => ({ ...row })),
        sequences: (await listSequences(tx)).map((row) => ({ ...row })),
        logSize: log?.size ?? 0,
      }
    }, 'repeatable read read only')
    const manifest: BackupManifest = {
      v: 1,
      deployment: readStatement(statementText).statement.deployment,
      createdAt: new Date(options.now()).toISOString(),
      ...saved,
      keys: options.passphrase ? 'encrypted' : 'left-out',
      recordings: {
        files: recordings.length,
        bytes: recordings.reduce((sum, file) => sum + file.bytes, 0),
      },
      files,
    }
    await writeWhole(path.join(to, 'backup.json'), `${JSON.stringify(manifest, null, 2)}\n`)
    return manifest
  } finally {
    await db.close()
    await database.stop()
  }
}

const KEYS_LEFT_OUT = `The private keys are NOT in this backup: no passphrase was given.
Without the folder "keys" of the data folder a restore cannot open stored credentials or recordings.
Keep that folder in another safe way, or make the backup again with a passphrase.
`

/** The running broker's database, or the same started for the length of the backup. */
async function reach(options: BackupOptions): Promise<{ to: ConnectTo; stop(): Promise<void> }> {
  if (options.ownerUrl) return { to: { url: options.ownerUrl }, stop: async () => undefined }
  const running = await runningEmbedded(options.dataDir, 'sallyport_owner')
  if (running) return { to: running, stop: async () => undefined }
  const server = await startEmbedded({ dataDir: options.dataDir })
  return { to: server.connection('sallyport_owner'), stop: () => server.stop() }
}

async function packKeys(dataDir: string): Promise<Buffer> {
  const folder = path.join(dataDir, 'keys')
  const packed: Record<string, string> = {}
  for (const name of await readdir(folder)) packed[name] = await readFile(path.join(folder, name), 'utf8')
  return Buffer.from(JSON.stringify(packed))
}

async function listRecordings(folder: string): Promise<{ name: string; bytes: number }[]> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  const found: { name: string; bytes: number }[] = []
  for (const entry of names) {
    if (!entry.isFile()) continue
    const file = path.join(entry.parentPath, entry.name)
    found.push({ name: path.relative(folder, file), bytes: (await stat(file)).size })
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1))
}
