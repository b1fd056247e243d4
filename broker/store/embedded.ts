import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  chmod,
  chown,
  link,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readFile,
  readlink,
  rename,
  rm,
  rmdir,
  stat,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Secret } from '../domain/secret.ts'
import { findBinaries, type RunAs, reachable, runAs } from './postgres-binaries.ts'
import type { ConnectTo } from './sql.ts'

/** Superuser (roles and databases only), owner of the tables (migrations), application. */
export type EmbeddedRole = 'postgres' | 'sallyport_owner' | 'sallyport_app'

export interface EmbeddedOptions {
  /** The deployment's data folder; the cluster goes to `postgres/` below it. */
  dataDir: string
  /** Extra server settings (`-c name=value`); tests switch fsync off. */
  settings?: Record<string, string>
  /** Called when postgres ends without having been asked to. The words say what it printed last. */
  onCrash?: (why: string) => void
}

export interface EmbeddedPostgres {
  connection(role: EmbeddedRole, database?: string): ConnectTo
  /** Process id of the postmaster, null when it is not running. */
  pid(): number | null
  /** Starts it again after a stop or a crash, on the same socket folder. */
  start(): Promise<void>
  /** Fast shutdown: transactions in flight are rolled back, then a checkpoint. */
  stop(): Promise<void>
}

/** database.json: where the cluster is and the passwords of its roles. Mode 0600, written once. */
interface DatabaseFile {
  cluster: string
  passwords: Record<EmbeddedRole, string>
}

const DATABASE = 'sallyport'
const START_DEADLINE_MS = 60_000
const STOP_DEADLINE_MS = 20_000

export class EmbeddedPostgresError extends Error {
  readonly code: 'data-folder-in-use' | 'database-start-failed' | 'database-init-failed'
  constructor(code: EmbeddedPostgresError['code'], message: string) {
    super(message)
    this.code = code
  }
}

/**
 * Starts the embedded PostgreSQL of a data folder, making it on the first start. It listens on a Unix socket only,
 * with a password (SCRAM) for every role, so that other users of the machine have no way in.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const who = runAs()
  const dataDir = path.resolve(options.dataDir)
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const release = await claim(dataDir)
  let server: Server | null = null
  try {
    const file = await databaseFile(dataDir, who)
    const binaries = await findBinaries(path.dirname(file.cluster), who)
    if (!(await hasCluster(file.cluster))) await initialise(binaries.initdb, file, who)
    await endOrphan(file.cluster)
    server = new Server(binaries.postgres, file, who, options, release)
    await server.start()
    await server.provision()
    return server
  } catch (error) {
    await server?.stop()
    await release()
    throw error
  }
}

/**
 * How to reach the database of a data folder that another process has started (the backup command beside a
 * running broker), or null when none is running.
 */
export async function runningEmbedded(dataDir: string, role: EmbeddedRole): Promise<ConnectTo | null> {
  const file = await readDatabaseFile(path.resolve(dataDir))
  if (!file) return null
  const lines = await postmasterFile(file.cluster)
  if (!lines || !(await isPostmaster(lines.pid, file.cluster))) return null
  return connectTo(lines.socketDir, file, role, DATABASE)
}

class Server implements EmbeddedPostgres {
  readonly #binary: string
  readonly #file: DatabaseFile
  readonly #who: RunAs | null
  readonly #options: EmbeddedOptions
  #release: (() => Promise<void>) | null
  #child: ChildProcess | null = null
  #exited: Promise<void> = Promise.resolve()
  #socketDir: string | null = null
  #stopping = false
  #lastWords = ''

  constructor(
    binary: string,
    file: DatabaseFile,
    who: RunAs | null,
    options: EmbeddedOptions,
    release: () => Promise<void>,
  ) {
    this.#binary = binary
    this.#file = file
    this.#who = who
    this.#options = options
    this.#release = release
  }

  connection(role: EmbeddedRole, database = DATABASE): ConnectTo {
    if (!this.#socketDir) throw new Error('PostgreSQL has not been started')
    return connectTo(this.#socketDir, this.#file, role, database)
  }

  pid(): number | null {
    return this.#child?.pid ?? null
  }

  async start(): Promise<void> {
    if (this.#child) return
    this.#release ??= await claim(path.resolve(this.#options.dataDir))
    this.#stopping = false
    this.#lastWords = ''
    if (this.#socketDir) await makeSocketFolder(this.#socketDir, this.#who)
    else this.#socketDir = await socketFolder(this.#file.cluster, this.#who)
    const settings: Record<string, string> = {
      listen_addresses: '',
      unix_socket_directories: this.#socketDir,
      unix_socket_permissions: '0700',
      max_connections: '60',
      password_encryption: 'scram-sha-256',
      // A week of daily files, overwritten in turn. Terse: no row values in error details.
      logging_collector: 'on',
      log_directory: 'log',
      log_filename: 'postgresql-%a.log',
      log_truncate_on_rotation: 'on',
      log_rotation_age: '1d',
      log_rotation_size: '0',
      log_error_verbosity: 'terse',
      timezone: 'UTC',
      log_timezone: 'UTC',
      ...this.#options.settings,
    }
    const args = ['-D', this.#file.cluster]
    for (const [name, value] of Object.entries(settings)) args.push('-c', `${name}=${value}`)
    const child = spawn(this.#binary, args, {
      cwd: this.#file.cluster,
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
      // A Ctrl-C in the terminal goes to the whole process group; the broker must be able to finish first.
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
      ...(this.#who ?? {}),
    })
    this.#child = child
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#lastWords = (this.#lastWords + text).slice(-2000)
    })
    const onProcessExit = () => child.kill('SIGINT')
    process.once('exit', onProcessExit)
    this.#exited = new Promise((resolve) => {
      const ended = (why: string) => {
        if (this.#child !== child) return
        this.#child = null
        process.off('exit', onProcessExit)
        resolve()
        if (!this.#stopping) this.#options.onCrash?.(`${why}. ${this.#lastWords}`.trim())
      }
      child.once('error', (error) => ended(`postgres could not be started: ${error.message}`))
      child.once('exit', (code, signal) => ended(`postgres ended (${signal ?? `status ${code}`})`))
    })
    await this.#untilReady(child)
  }

  async stop(): Promise<void> {
    this.#stopping = true
    const child = this.#child
    if (child) {
      child.kill('SIGINT')
      const timer = setTimeout(() => child.kill('SIGQUIT'), STOP_DEADLINE_MS)
      await this.#exited
      clearTimeout(timer)
    }
    // Fails, as it should, when anything is left in it.
    if (this.#socketDir) await rmdir(this.#socketDir).catch(() => undefined)
    await this.#release?.()
    this.#release = null
  }

  /** Creates the roles and the database; passwords are literals because CREATE ROLE takes no parameters. */
  async provision(): Promise<void> {
    const { openDatabase } = await import('./sql.ts')
    const admin = openDatabase(this.connection('postgres', 'postgres'), { max: 1 })
    try {
      for (const role of ['sallyport_owner', 'sallyport_app'] as const) {
        const [found] = await admin.sql`SELECT 1 FROM pg_roles WHERE rolname = ${role}`
        // Base64url by construction, so it cannot leave the literal.
        const password = this.#file.passwords[role]
        if (!found) {
          await admin.sql.unsafe(
            `CREATE ROLE ${role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '${password}'`,
          )
        }
      }
      const [database] = await admin.sql`SELECT 1 FROM pg_database WHERE datname = ${DATABASE}`
      if (!database) {
        await admin.sql.unsafe(`CREATE DATABASE ${DATABASE} OWNER sallyport_owner`)
        await admin.sql.unsafe(`REVOKE ALL ON DATABASE ${DATABASE} FROM PUBLIC`)
        await admin.sql.unsafe(`GRANT CONNECT ON DATABASE ${DATABASE} TO sallyport_app`)
      }
    } finally {
      await admin.close()
    }
  }

  async #untilReady(child: ChildProcess): Promise<void> {
    const deadline = performance.now() + START_DEADLINE_MS
    while (performance.now() < deadline) {
      if (this.#child !== child) {
        throw new EmbeddedPostgresError(
          'database-start-failed',
          `PostgreSQL did not start. ${this.#lastWords} See ${path.join(this.#file.cluster, 'log')}.`,
        )
      }
      const lines = await postmasterFile(this.#file.cluster)
      if (lines && lines.pid === child.pid && lines.status === 'ready') return
      await delay(20)
    }
    this.#stopping = true
    child.kill('SIGQUIT')
    throw new EmbeddedPostgresError(
      'database-start-failed',
      `PostgreSQL was not ready after ${START_DEADLINE_MS / 1000} s. See ${path.join(this.#file.cluster, 'log')}.`,
    )
  }
}

function connectTo(socketDir: string, file: DatabaseFile, role: EmbeddedRole, database: string): ConnectTo {
  return {
    path: path.join(socketDir, '.s.PGSQL.5432'),
    database,
    username: role,
    password: new Secret(file.passwords[role]),
  }
}

/**
 * One broker per data folder. The lock names the process and when it started, so a lock left by a kill -9 (or by
 * a container that reuses process ids) is not taken for a living broker.
 */
async function claim(dataDir: string): Promise<() => Promise<void>> {
  const lock = path.join(dataDir, 'database.lock')
  const mine = `${process.pid} ${await startTime(process.pid)}\n`
  for (let attempt = 0; attempt < 5; attempt++) {
    try {
      const handle = await open(lock, 'wx', 0o600)
      await handle.writeFile(mine)
      await handle.close()
      return async () => {
        if ((await readFile(lock, 'utf8').catch(() => '')) === mine) await rm(lock, { force: true })
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const holder = await readFile(lock, 'utf8').catch(() => '')
    if (holder === '') {
      // Another process is between creating the file and writing its name.
      await delay(50)
      if ((await readFile(lock, 'utf8').catch(() => null)) !== '') continue
    }
    const [pid, started] = holder.trim().split(' ')
    if (pid && started && started === (await startTime(Number(pid)))) {
      throw new EmbeddedPostgresError(
        'data-folder-in-use',
        `The data folder ${dataDir} is in use by process ${pid}. Stop it, or choose another folder.`,
      )
    }
    // Only one of several that see the stale lock moves it away; whoever moved a fresh one puts it back.
    const aside = `${lock}.${process.pid}`
    await rename(lock, aside).catch(() => undefined)
    if ((await readFile(aside, 'utf8').catch(() => holder)) !== holder) {
      await link(aside, lock).catch(() => undefined)
    }
    await rm(aside, { force: true })
  }
  throw new EmbeddedPostgresError(
    'data-folder-in-use',
    `The data folder ${dataDir} is being claimed by others.`,
  )
}

/** Start time of a process in clock ticks since boot (proc(5), field 22 of stat), or null when it is gone. */
async function startTime(pid: number): Promise<string | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)
  // The command name stands in parentheses and may hold anything; fields are counted after the last one.
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null
}

async function databaseFile(dataDir: string, who: RunAs | null): Promise<DatabaseFile> {
  const known = await readDatabaseFile(dataDir)
  if (known) return known
  const password = () => randomBytes(24).toString('base64url')
  const file: DatabaseFile = {
    cluster: path.join(await clusterParent(dataDir, who), 'postgres'),
    passwords: { postgres: password(), sallyport_owner: password(), sallyport_app: password() },
  }
  // Left by a data folder that was deleted (only in /var/lib): its passwords are gone with it.
  if (await hasCluster(file.cluster)) {
    await rename(file.cluster, `${file.cluster}.left-${randomBytes(4).toString('hex')}`)
  }
  const target = path.join(dataDir, 'database.json')
  const handle = await open(`${target}.new`, 'w', 0o600)
  await handle.writeFile(`${JSON.stringify(file, null, 2)}\n`)
  await handle.sync()
  await handle.close()
  await rename(`${target}.new`, target)
  return file
}

async function readDatabaseFile(dataDir: string): Promise<DatabaseFile | null> {
  const text = await readFile(path.join(dataDir, 'database.json'), 'utf8').catch(() => null)
  return text === null ? null : (JSON.parse(text) as DatabaseFile)
}

/**
 * Where the cluster goes. As root it must be reachable for the unprivileged id: the data folder gets the x bit for
 * others (its files stay 0600); when a folder above forbids it (data below /root), a folder of its own in /var/lib.
 */
async function clusterParent(dataDir: string, who: RunAs | null): Promise<string> {
  if (!who) return dataDir
  if (await reachable(path.dirname(dataDir), who)) {
    await chmod(dataDir, 0o711)
    return dataDir
  }
  const name = createHash('sha256').update(dataDir).digest('hex').slice(0, 12)
  const parent = path.join('/var/lib/sallyport', name)
  await mkdir(parent, { recursive: true, mode: 0o711 })
  await chmod(parent, 0o711)
  return parent
}

async function hasCluster(cluster: string): Promise<boolean> {
  return stat(path.join(cluster, 'PG_VERSION')).then(
    () => true,
    () => false,
  )
}

async function initialise(initdb: string, file: DatabaseFile, who: RunAs | null): Promise<void> {
  // A first start that was cut off leaves a folder without PG_VERSION's siblings: initdb works beside and is renamed.
  const half = `${file.cluster}.new`
  await rm(half, { recursive: true, force: true })
  await mkdir(half, { recursive: true, mode: 0o700 })
  const passwordFile = `${half}.password`
  await rm(passwordFile, { force: true })
  const handle = await open(passwordFile, 'wx', 0o600)
  await handle.writeFile(`${file.passwords.postgres}\n`)
  await handle.close()
  if (who) {
    await chown(half, who.uid, who.gid)
    await chown(passwordFile, who.uid, who.gid)
  }
  try {
    const args = [
      ['-D', half],
      ['-U', 'postgres'],
      ['--pwfile', passwordFile],
      ['--auth', 'scram-sha-256'],
      ['--encoding', 'UTF8'],
      ['--locale-provider', 'builtin'],
      ['--builtin-locale', 'C.UTF-8'],
      ['--locale', 'C'],
    ].flat()
    const { code, output } = await run(initdb, args, who)
    if (code !== 0) throw new EmbeddedPostgresError('database-init-failed', `initdb failed: ${output}`)
    await rename(half, file.cluster)
  } finally {
    await rm(passwordFile, { force: true })
  }
}

function run(command: string, args: string[], who: RunAs | null): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: '/',
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(who ?? {}),
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-4000)
      })
    }
    child.once('error', (error) => resolve({ code: 1, output: error.message }))
    child.once('close', (code) => resolve({ code: code ?? 1, output: output.trim() }))
  })
}

/**
 * A kill -9 of the broker leaves its postgres running: it is stopped properly first. A postmaster.pid whose process
 * is gone, or is something else by now, is removed; PostgreSQL itself would refuse on a reused process id.
 */
async function endOrphan(cluster: string): Promise<void> {
  const pid = (await postmasterFile(cluster))?.pid
  if (pid === undefined) return
  if (await isPostmaster(pid, cluster)) {
    process.kill(pid, 'SIGINT')
    const deadline = performance.now() + STOP_DEADLINE_MS
    while (await isPostmaster(pid, cluster)) {
      if (performance.now() > deadline) process.kill(pid, 'SIGQUIT')
      await delay(50)
    }
    return
  }
  await rm(path.join(cluster, 'postmaster.pid'), { force: true })
}

async function isPostmaster(pid: number, cluster: string): Promise<boolean> {
  const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => null)
  return cwd === cluster
}

/** postmaster.pid: line 1 process id, 5 socket folder, 8 status (PostgreSQL documentation, file "postmaster.pid"). */
async function postmasterFile(
  cluster: string,
): Promise<{ pid: number; socketDir: string; status: string } | null> {
  const text = await readFile(path.join(cluster, 'postmaster.pid'), 'utf8').catch(() => null)
  if (text === null) return null
  const lines = text.split('\n')
  const pid = Number(lines[0])
  if (!Number.isInteger(pid) || pid <= 0) return null
  return { pid, socketDir: lines[4] ?? '', status: (lines[7] ?? '').trim() }
}

/** A Unix socket's path may have 107 bytes (unix(7)); deep data folders get a private folder in the temp folder. */
async function socketFolder(cluster: string, who: RunAs | null): Promise<string> {
  const beside = path.join(path.dirname(cluster), 'socket')
  const tooLong = Buffer.byteLength(path.join(beside, '.s.PGSQL.5432.lock')) > 107
  const folder = tooLong ? await mkdtemp(path.join(tmpdir(), 'sallyport-')) : beside
  await makeSocketFolder(folder, who)
  return folder
}

/** Only the server's own id (and root) may enter. A folder that somebody else made in the meantime is refused. */
async function makeSocketFolder(folder: string, who: RunAs | null): Promise<void> {
  await mkdir(folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  const { uid } = await lstat(folder)
  const me = process.getuid?.() ?? uid
  if (uid !== me && uid !== who?.uid) {
    throw new EmbeddedPostgresError(
      'database-start-failed',
      `The folder ${folder} belongs to user ${uid}. Remove it.`,
    )
  }
  if (who) await chown(folder, who.uid, who.gid)
  await chmod(folder, 0o700)
}
