import { execFile } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { startEmbedded } from '../../broker/store/embedded.ts'
import { migrate } from '../../broker/store/migrate.ts'
import { reachable, runAs } from '../../broker/store/postgres-binaries.ts'
import { openDatabase } from '../../broker/store/sql.ts'

const run = promisify(execFile)
const root = path.join(import.meta.dirname, '..', '..')
const store = path.join(root, 'broker', 'store')

/** A test survives no power cut, unless it is about one. */
export const NO_POWER_CUT: Record<string, string> = {
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
}

/**
 * Puts a database into a data folder that has none: as the product makes it at a first start, migrated and stopped. It
 * was made once for these sources; copying it takes a tenth of what initdb and the migrations do. Not for tests of a
 * first start. All copies have the same passwords.
 */
export async function readyDatabase(dataDir: string): Promise<void> {
  const folder = path.resolve(dataDir)
  const who = runAs()
  await mkdir(folder, { recursive: true, mode: 0o700 })
  if (existsSync(path.join(folder, 'database.json'))) return
  // Where the product would put its database somewhere else, it makes its own.
  if (who && !(await reachable(path.dirname(folder), who))) return
  const made = await madeOnce()
  const cluster = path.join(folder, 'postgres')
  await copy(path.join(made, 'postgres'), cluster)
  if (who) await chmod(folder, 0o711)
  const file = JSON.parse(await readFile(path.join(made, 'database.json'), 'utf8')) as object
  await writeFile(path.join(folder, 'database.json'), JSON.stringify({ ...file, cluster }), { mode: 0o600 })
}

async function madeOnce(): Promise<string> {
  const kept = path.join(root, 'node_modules', '.cache', 'sallyport-database')
  const place = path.join(kept, await fingerprint())
  if (existsSync(place)) return place
  const home = await mkdtemp(path.join(tmpdir(), 'sallyport-made-once-'))
  const half = `${place}.${randomUUID()}`
  try {
    await chmod(home, 0o711)
    const dataDir = path.join(home, 'data')
    const server = await startEmbedded({ dataDir, settings: NO_POWER_CUT })
    try {
      const owner = openDatabase(server.connection('sallyport_owner'), { max: 1, deadlineMs: 60_000 })
      await migrate(owner)
      await owner.close()
    } finally {
      await server.stop()
    }
    await rm(path.join(dataDir, 'postgres', 'log'), { recursive: true, force: true })
    await mkdir(kept, { recursive: true })
    await copy(dataDir, half)
    // Two test files may make one at the same time: the first one's counts.
    await rename(half, place).catch(async (error) => {
      if (!existsSync(place)) throw error
    })
  } finally {
    await rm(half, { recursive: true, force: true })
    await rm(home, { recursive: true, force: true })
  }
  return place
}

/** Of everything that what is made depends on. */
async function fingerprint(): Promise<string> {
  const hash = createHash('sha256').update(`${process.getuid?.()} ${process.arch}`)
  const migrations = (await readdir(path.join(store, 'migrations'))).map((name) => `migrations/${name}`)
  for (const name of [...migrations.sort(), 'embedded.ts', 'migrate.ts', 'postgres-binaries.ts'])
    hash.update(name).update(await readFile(path.join(store, name)))
  hash.update(await readFile(path.join(root, 'package-lock.json')))
  return hash.digest('hex').slice(0, 16)
}

/** Owners and modes too: PostgreSQL refuses a folder that is not its own. */
async function copy(from: string, to: string): Promise<void> {
  await run('cp', ['-a', '--reflink=auto', from, to])
}
