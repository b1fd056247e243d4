import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from './free-port.ts'
import { addUser, removeUser } from './throw-away-user.ts'

const run = promisify(execFile)

export interface LabSshd {
  host: string
  port: number
  user: string
  password: string
  /** OpenSSH format, accepted for `user`. */
  privateKey: string
  /** Of the host keys, as OpenSSH prints them. */
  fingerprints: { algorithm: string; fingerprint: string }[]
  /** What sshd wrote with -e, for assertions about attempts. */
  log(): string
  /** Pids of the sshd processes that serve connections. */
  connections(): Promise<number[]>
  /** Kills everything that serves a connection, as a machine that is switched off does. */
  cut(): Promise<void>
  stop(): Promise<void>
}

export interface LabSshdOptions {
  /** Which ways to log in; all by default. */
  password?: boolean
  keyboardInteractive?: boolean
  publicKey?: boolean
  /** Appended to sshd_config. */
  extra?: string[]
  /** Port to listen on; a free one by default (to start a changed host on the same port). */
  port?: number
  /** A network namespace to run in, with the command that enters it. On the loopback of the tests' own by default. */
  inside?: { command: readonly string[]; address: string }
}

/** null when a real sshd can be started here; otherwise why not. With SALLYPORT_LAB=required it throws instead. */
export function opensshMissing(): string | null {
  const reason = missing()
  if (reason && process.env.SALLYPORT_LAB === 'required')
    throw new Error(`SALLYPORT_LAB=required, but ${reason}`)
  return reason
}

function missing(): string | null {
  if (process.env.SALLYPORT_LAB === 'off') return 'SALLYPORT_LAB=off'
  if (process.platform !== 'linux') return 'the SSH lab needs Linux'
  for (const file of ['/usr/sbin/sshd', '/usr/bin/ssh-keygen', '/usr/sbin/useradd', '/usr/sbin/chpasswd'])
    if (!existsSync(file)) return `${file} is missing (Debian package openssh-server)`
  if (process.getuid?.() !== 0) return 'the SSH lab adds a throw-away user and so must run as root'
  return null
}

/** A real OpenSSH server on a loopback port with its own host keys and a throw-away user; `stop` removes all of it. */
export async function startOpenssh(options: LabSshdOptions = {}): Promise<LabSshd> {
  const reason = opensshMissing()
  if (reason) throw new Error(reason)
  const dir = await mkdtemp(join(tmpdir(), 'sallyport-sshd-'))
  await chmod(dir, 0o755)
  await mkdir('/run/sshd', { recursive: true, mode: 0o755 })
  const home = join(dir, 'home')
  const { name: user, password } = await addUser(home)
  try {
    await writeFile(join(home, '.bashrc'), "PS1='$ '\n")
    await writeFile(join(home, '.hushlogin'), '')
    for (const type of ['ed25519', 'ecdsa'])
      await run('ssh-keygen', ['-q', '-t', type, '-N', '', '-f', join(dir, `host_${type}`)])
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'lab', '-f', join(dir, 'user')])
    await writeFile(join(dir, 'authorized_keys'), await readFile(join(dir, 'user.pub')), { mode: 0o644 })
    const port = options.port ?? (await freePort())
    const host = options.inside?.address ?? '127.0.0.1'
    const yes = (value: boolean | undefined) => (value === false ? 'no' : 'yes')
    const keyboard = options.keyboardInteractive === true
    await writeFile(
      join(dir, 'config'),
      [
        `Port ${port}`,
        `ListenAddress ${host}`,
        'PidFile none',
        'UsePAM yes',
        `HostKey ${dir}/host_ed25519`,
        `HostKey ${dir}/host_ecdsa`,
        `AuthorizedKeysFile ${dir}/authorized_keys`,
        'StrictModes no',
        `PasswordAuthentication ${keyboard ? 'no' : yes(options.password)}`,
        `KbdInteractiveAuthentication ${keyboard ? 'yes' : 'no'}`,
        `PubkeyAuthentication ${yes(options.publicKey)}`,
        `AllowUsers ${user}`,
        'MaxStartups 200',
        'PrintMotd no',
        'PrintLastLog no',
        'LogLevel VERBOSE',
        'AcceptEnv nothing',
        ...(options.extra ?? []),
        '',
      ].join('\n'),
    )
    const command = [
      ...(options.inside?.command ?? []),
      '/usr/sbin/sshd',
      '-D',
      '-e',
      '-f',
      join(dir, 'config'),
    ]
    const child = spawn(command[0] ?? '', command.slice(1), {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let log = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-200_000)
    })
    const gone = new Promise<void>((done) => child.once('exit', () => done()))
    await listening(
      options.inside ? null : port,
      () => child.exitCode === null,
      () => log,
    )
    const fingerprints = await Promise.all(
      ['ed25519', 'ecdsa'].map(async (type) =>
        fingerprint(await readFile(join(dir, `host_${type}.pub`), 'utf8')),
      ),
    )
    return {
      host,
      port,
      user,
      password,
      privateKey: await readFile(join(dir, 'user'), 'utf8'),
      fingerprints,
      log: () => log,
      connections: () => childrenOf(child.pid ?? -1),
      async cut() {
        for (const pid of await descendantsOf(child.pid ?? -1)) signal(pid)
      },
      async stop() {
        for (const pid of await descendantsOf(child.pid ?? -1)) signal(pid)
        child.kill('SIGKILL')
        await gone
        await removeUser(user)
        await rm(dir, { recursive: true, force: true })
      },
    }
  } catch (error) {
    await removeUser(user)
    await rm(dir, { recursive: true, force: true })
    throw error
  }
}

function signal(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // Already gone.
  }
}

async function childrenOf(pid: number): Promise<number[]> {
  try {
    const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
    return text.split(' ').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

async function descendantsOf(pid: number): Promise<number[]> {
  const children = await childrenOf(pid)
  const below = await Promise.all(children.map(descendantsOf))
  return [...children, ...below.flat()]
}

function fingerprint(publicKey: string): { algorithm: string; fingerprint: string } {
  const [algorithm = '', blob = ''] = publicKey.split(' ')
  const digest = createHash('sha256').update(Buffer.from(blob, 'base64')).digest('base64').replace(/=+$/, '')
  return { algorithm, fingerprint: `SHA256:${digest}` }
}

/** Without a port that can be dialled from here, its own word counts. */
async function listening(port: number | null, alive: () => boolean, log: () => string): Promise<void> {
  const deadline = Date.now() + 10_000
  while (Date.now() < deadline) {
    if (!alive()) throw new Error(`sshd did not start: ${log()}`)
    const up = await new Promise<boolean>((done) => {
      if (port === null) {
        done(/Server listening on/.test(log()))
        return
      }
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () => done(true)).once('error', () => done(false))
      socket.once('connect', () => socket.destroy())
    })
    if (up) return
    await new Promise((done) => setTimeout(done, 20))
  }
  throw new Error(`sshd did not listen in 10 s: ${log()}`)
}
