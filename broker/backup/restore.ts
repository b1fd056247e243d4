import { cp, mkdir, readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import type { JWK } from 'jose'
import { z } from 'zod'
import { openCheckpointFile } from '../audit/checkpoint-file.ts'
import { IntegrityError } from '../audit/integrity.ts'
import { verifyAgainst } from '../audit/verify-log.ts'
import { logOrigin, parseCheckpoint } from '../contract/checkpoint.ts'
import { sha256 } from '../domain/canonical.ts'
import { newId } from '../domain/ids.ts'
import type { Secret } from '../domain/secret.ts'
import { exists, writeWhole } from '../keys/key-files.ts'
import { beginEpoch, type DeploymentKeys, openKeys } from '../keys/keys.ts'
import { startEmbedded } from '../store/embedded.ts'
import { migrate, readMigrations } from '../store/migrate.ts'
import { type ConnectTo, type Database, openDatabase } from '../store/sql.ts'
import { BackupError, type BackupManifest, backupManifest } from './format.ts'
import { open as openBox } from './key-box.ts'
import { noteRestore } from './restore-guard.ts'
import { loadTables } from './tables.ts'

export interface RestoreOptions {
  from: string
  /** An empty or absent data folder; one that holds the folder `keys` alone, when the backup was made without keys. */
  dataDir: string
  passphrase?: Secret
  /** DATABASE_URL of an empty external database. */
  ownerUrl?: Secret
  /**
   * A checkpoints.log that is newer than the backup (saved from the lost machine). When the restored log lacks
   * entries it names, the restore stops, unless `root` is given.
   */
  newerCheckpoints?: string
  /** The offline root's private part: begins a new log epoch that names the last known checkpoint. */
  root?: Secret<JWK>
  now: () => number
}

export interface Restored {
  deployment: string
  logSize: number
  /** The new epoch, when entries were lost; null when the log is whole. */
  newEpoch: number | null
  /** Entries that the last known checkpoint covers and the backup does not have. */
  lostEntries: number
}

const DEADLINE_MS = 6 * 3_600_000

/** Puts a backup into an empty data folder and holds the restored log against its checkpoints. */
export async function restore(options: RestoreOptions): Promise<Restored> {
  const manifest = await readBackup(options.from)
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 })
  const there = (await readdir(options.dataDir)).filter(
    (name) => name !== 'keys' || manifest.keys === 'encrypted',
  )
  if (there.length > 0) {
    throw new BackupError(
      'data-folder-not-empty',
      `${options.dataDir} is not empty (${there.slice(0, 3).join(', ')}).`,
    )
  }
  await restoreKeys(options, manifest)
  for (const name of Object.keys(manifest.files)) {
    if (name === 'checkpoints.log' || name === 'clock-mark' || name === 'audit-journal.ndjson') {
      await writeWhole(
        path.join(options.dataDir, name),
        await readFile(path.join(options.from, name), 'utf8'),
      )
    }
  }
  const keys = await openKeys(options.dataDir, options.now())
  if (keys.deployment !== manifest.deployment) {
    throw new BackupError(
      'keys-missing',
      `These keys belong to deployment ${keys.deployment}, not to the backup's.`,
    )
  }
  const server = options.ownerUrl ? null : await startEmbedded({ dataDir: options.dataDir })
  const to: ConnectTo = options.ownerUrl
    ? { url: options.ownerUrl }
    : (server as NonNullable<typeof server>).connection('sallyport_owner')
  const db = openDatabase(to, { max: 2, statementTimeoutMs: 0, deadlineMs: DEADLINE_MS })
  try {
    await restoreTables(db, manifest, options.from)
    await endWhatIsOut(db, options.now(), manifest, options.dataDir)
    return await judge(db, keys, manifest, options)
  } finally {
    await db.close()
    await server?.stop()
  }
}

async function readBackup(folder: string): Promise<BackupManifest> {
  const text = await readFile(path.join(folder, 'backup.json'), 'utf8').catch(() => null)
  if (text === null)
    throw new BackupError('backup-malformed', `${folder} has no backup.json: it is not a whole backup.`)
  const parsed = backupManifest.safeParse(JSON.parse(text))
  if (!parsed.success)
    throw new BackupError('backup-malformed', `backup.json: ${z.prettifyError(parsed.error)}`)
  for (const [name, hash] of Object.entries(parsed.data.files)) {
    if (path.basename(name) !== name) throw new BackupError('backup-malformed', `backup.json names ${name}.`)
    const content = await readFile(path.join(folder, name)).catch(() => Buffer.alloc(0))
    if (sha256(content).toString('hex') !== hash) {
      throw new BackupError('backup-damaged', `${name} is not the file that was saved.`)
    }
  }
  return parsed.data
}

async function restoreKeys(options: RestoreOptions, manifest: BackupManifest): Promise<void> {
  const folder = path.join(options.dataDir, 'keys')
  if (manifest.keys === 'left-out') {
    if (await exists(folder)) return
    throw new BackupError(
      'keys-missing',
      `This backup was made without keys. Put the saved folder "keys" into ${options.dataDir} first.`,
    )
  }
  if (!options.passphrase)
    throw new BackupError('backup-passphrase', 'The keys are sealed: give the passphrase.')
  const box = await openBox(await readFile(path.join(options.from, 'keys.enc')), options.passphrase)
  const packed = z.record(z.string(), z.string()).parse(JSON.parse(box.toString('utf8')))
  await mkdir(folder, { mode: 0o700 })
  for (const [name, content] of Object.entries(packed)) {
    if (path.basename(name) !== name) throw new BackupError('backup-malformed', `keys.enc names ${name}.`)
    await writeWhole(path.join(folder, name), content, name === 'root-statement.json' ? 0o644 : 0o600)
  }
}

/** Migrates to the backup's own version, loads its rows, then migrates on to this version. */
async function restoreTables(db: Database, manifest: BackupManifest, from: string): Promise<void> {
  const all = await readMigrations()
  const then = manifest.migrations.map((saved) => {
    const file = all.find((one) => one.number === saved.number)
    if (file?.checksum === saved.checksum) return file
    throw new BackupError(
      'backup-newer',
      `The backup needs migration ${saved.name}, which this version does not have. Restore with the version that made it.`,
    )
  })
  await migrate(db, then)
  const [used] = await db.sql`SELECT 1 FROM audit.entry LIMIT 1`
  if (used)
    throw new BackupError(
      'data-folder-not-empty',
      'The database is in use already. Restore into an empty one.',
    )
  await db.tx((tx) => loadTables(tx, manifest, path.join(from, 'tables')))
  await migrate(db, all)
}

/**
 * What people and machines carry since before the backup opens nothing: it may have been taken away afterwards, and the
 * restored log would vouch for it again. What else was taken away is for an administrator to say.
 */
async function endWhatIsOut(
  db: Database,
  nowMs: number,
  manifest: BackupManifest,
  dataDir: string,
): Promise<void> {
  const now = new Date(nowMs)
  await db.tx(async (tx) => {
    await tx`UPDATE sign_in SET ended_at = ${now}, ended_because = 'restored' WHERE ended_at IS NULL`
    await tx`UPDATE set_up_link SET expires_at = least(expires_at, ${now}) WHERE used_at IS NULL`
    await tx`UPDATE enrolment_token SET expires_at = least(expires_at, ${now}) WHERE used_at IS NULL`
    await noteRestore(tx, dataDir, { id: newId(nowMs), at: nowMs, backupAt: Date.parse(manifest.createdAt) })
  })
}

/** Holds the restored log against the newest checkpoint that anybody knows. */
async function judge(
  db: Database,
  keys: DeploymentKeys,
  manifest: BackupManifest,
  options: RestoreOptions,
): Promise<Restored> {
  const epoch = keys.statement.epochs.at(-1)?.epoch ?? 0
  const origin = logOrigin(keys.deployment, epoch)
  const logKey = {
    publicKey: keys.log.publicKey,
    sign: (data: Uint8Array) => keys.log.sign(data),
    earlier: keys.formerLogKeys,
  }
  const check = (fileNote: string | null) =>
    verifyAgainst(db, { origin, epoch, fileNote, logKey, macKey: keys.auditMac })
  const own = await lastNote(path.join(options.dataDir, 'checkpoints.log'), origin)
  // The backup in itself must be whole; only what came after it may be missing.
  await check(own)
  if (options.newerCheckpoints && !(await exists(options.newerCheckpoints))) {
    throw new BackupError('backup-malformed', `There is no file ${options.newerCheckpoints}.`)
  }
  const newer = options.newerCheckpoints ? await lastNote(options.newerCheckpoints, origin) : null
  const whole = { deployment: keys.deployment, logSize: manifest.logSize, newEpoch: null, lostEntries: 0 }
  if (newer === null) return whole
  try {
    await check(newer)
    return whole
  } catch (error) {
    if (!(error instanceof IntegrityError) || error.code !== 'log-tail-missing' || !options.root) throw error
  }
  const lost = (parseCheckpoint(newer)?.size ?? manifest.logSize) - manifest.logSize
  const newEpoch = await beginEpoch(
    options.dataDir,
    options.root,
    newer,
    `Restored from the backup of ${manifest.createdAt}; ${lost} entries of the log are lost.`,
    options.now(),
  )
  // The lost machine's checkpoints stay beside the new ones: they are evidence of what is missing.
  if (options.newerCheckpoints) {
    await cp(options.newerCheckpoints, path.join(options.dataDir, `checkpoints.epoch-${epoch}.log`))
  }
  return { ...whole, newEpoch, lostEntries: lost }
}

async function lastNote(file: string, origin: string): Promise<string | null> {
  const opened = await openCheckpointFile(file)
  const note = opened.last(origin)
  await opened.close()
  return note
}
