import { execFile, spawn, spawnSync } from 'node:child_process'
import { randomBytes, randomInt, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from './free-port.ts'
import { missingPackages } from './lab.ts'
import { type LabRdp, listens } from './rdp-server.ts'
import { until } from './until.ts'
import { freeDisplay, gone, removeDisplay } from './x-display.ts'

const run = promisify(execFile)

/** Mounts of its own, and processes of its own: none can outlive the first, and that one not who started it. */
const NAMESPACE = [
  ...['setpriv', '--pdeathsig', 'KILL', 'unshare'],
  ...['--mount', '--pid', '--fork', '--kill-child=SIGKILL', '--mount-proc'],
]

let isolation: boolean | null = null
/** null when xrdp can be started here; otherwise what is missing. */
export function xrdpMachineMissing(): string | null {
  const packages = missingPackages('xrdp', 'xorgxrdp', 'openbox', 'xauth', 'xterm', 'xsetroot', 'openssl')
  if (packages.length > 0) return `missing Debian packages: ${packages.join(' ')}`
  if (process.getuid?.() !== 0) return 'mounts of its own need root'
  const [file = '', ...words] = NAMESPACE
  isolation ??= spawnSync(file, [...words, 'true'], { stdio: 'ignore' }).status === 0
  return isolation ? null : 'this machine allows no mount namespaces'
}

export interface XrdpOptions {
  /** Most bits for a pixel that the server agrees to. */
  depth?: 8 | 15 | 16 | 24 | 32
  /** `negotiate` takes RDP's own encryption too. tls by default. */
  security?: 'tls' | 'negotiate'
  /** Its port; with that of a stopped server: the same machine with a new certificate. */
  port?: number
  /** The name of its only user; a random one by default. */
  user?: string
  /** Text files in the user's home, which the user can read and not change. */
  files?: Record<string, string>
  /** Lines of a shell script that runs when the session's window manager has started; an xterm by default. */
  programs?: readonly string[]
}

export interface XrdpMachine extends LabRdp {
  /** A folder that goes with the machine, and in it the user's home. */
  dir: string
  home: string
  /** The display that a session has written down last. */
  display(): Promise<string | null>
  /** Forgets it. */
  forgetDisplay(): Promise<void>
  /** What the servers have written to their logs. */
  written(): string
  hasEnded(): boolean
}

/**
 * xrdp on a loopback port, with a certificate and one Linux user of its own, in namespaces: a second xrdp on a machine
 * reads the same /etc/xrdp and /run/xrdp otherwise, and nobody else shall be able to sign in. This machine's own users and
 * settings are never written to. A client that asks for it (autologon) gets a session of Xorg with openbox; others see
 * xrdp's own window to sign in. It ends with the process that started it, however that one ends.
 */
export async function startXrdpMachine(options: XrdpOptions = {}): Promise<XrdpMachine> {
  const reason = xrdpMachineMissing()
  if (reason) throw new Error(reason)
  const dir = await mkdtemp(join(tmpdir(), 'sallyport-xrdp-'))
  await chmod(dir, 0o755)
  // Mount points and the X servers' folder; all belong there, and none is in use.
  await mkdir('/tmp/.X11-unix', { recursive: true, mode: 0o1777 })
  await mkdir('/run/xrdp', { recursive: true, mode: 0o755 })
  const home = join(dir, 'home')
  const displayFile = join(home, '.display')
  // What the servers write themselves; their output has the X server's chatter too, and comes late.
  const written = () => ['sesman.log', 'xrdp.log'].map((file) => textOf(join(dir, file))).join('')
  let output = ''
  let lastWords: string | null = null
  const log = () => lastWords ?? written() + output
  let server: ReturnType<typeof spawn> | null = null
  const hasEnded = () => server !== null && (server.exitCode !== null || server.signalCode !== null)
  const kill = () => void server?.kill('SIGKILL')
  const display = async () => {
    const text = await readFile(displayFile, 'utf8').catch(() => '')
    return /^(:\d+)(\.0)?\n$/.exec(text)?.[1] ?? null
  }
  const stop = async () => {
    kill()
    if (server) await gone(server)
    const last = await display()
    if (last) await removeDisplay(last)
    lastWords ??= log()
    await rm(dir, { recursive: true, force: true })
  }
  try {
    const user = options.user ?? `sp${randomBytes(5).toString('hex')}`
    const password = randomBytes(12).toString('base64url')
    const id = await writeUsers(dir, { name: user, password, home })
    await mkdir(home, { mode: 0o700 })
    for (const [name, text] of Object.entries({ '.bashrc': "PS1='$ '\n", ...options.files })) {
      await mkdir(dirname(join(home, name)), { recursive: true })
      await writeFile(join(home, name), text)
    }
    await chown(home, id, id)
    const port = options.port ?? (await freePort())
    const first = freeDisplay()
    await configure(dir, {
      port,
      sesmanPort: await freePort(),
      firstDisplay: Number(first.slice(1)),
      options,
    })
    const certificate = new X509Certificate(await readFile(join(dir, 'etc/cert.pem'))).raw
    const [file = '', ...words] = [...NAMESPACE, '/bin/sh', join(dir, 'inside.sh')]
    const child = spawn(file, words, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' },
      // A Ctrl-C in a terminal is for who started it, who then ends this in order.
      detached: true,
    })
    server = child
    child.on('error', () => {})
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-100_000)
      })
    await until(
      async () => {
        if (hasEnded()) throw new Error(`xrdp did not start: ${log()}`)
        return await listens(port)
      },
      'xrdp listens',
      30_000,
    )
    return {
      host: '127.0.0.1',
      port,
      user,
      password,
      certificate,
      dir,
      home,
      display,
      forgetDisplay: () => rm(displayFile, { force: true }),
      written,
      log,
      hasEnded,
      kill,
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

function textOf(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8') : ''
}

/** The users of the machine: those of this one without their passwords, and the one that may sign in. Returns its id. */
async function writeUsers(
  dir: string,
  user: { name: string; password: string; home: string },
): Promise<number> {
  const others = async (file: string) =>
    (await readFile(file, 'utf8')).split('\n').filter((line) => line && !line.startsWith(`${user.name}:`))
  const users = await others('/etc/passwd')
  const groups = await others('/etc/group')
  const taken = new Set([...users, ...groups].map((line) => Number(line.split(':')[2])))
  let id = 0
  do id = randomInt(40_000, 60_000)
  while (taken.has(id))
  const hash = run('openssl', ['passwd', '-6', '-stdin'])
  hash.child.stdin?.end(`${user.password}\n`)
  const { stdout } = await hash
  const write = (file: string, lines: readonly string[], mode: number) =>
    writeFile(join(dir, file), `${lines.join('\n')}\n`, { mode })
  await write('passwd', [...users, `${user.name}:x:${id}:${id}::${user.home}:/bin/bash`], 0o644)
  await write('group', [...groups, `${user.name}:x:${id}:`], 0o644)
  await write('shadow', [`${user.name}:${stdout.trim()}:19000:0:99999:7:::`], 0o600)
  return id
}

interface Configuration {
  port: number
  sesmanPort: number
  firstDisplay: number
  options: XrdpOptions
}

/** Writes what the servers read, as changes of what the package has installed. */
async function configure(dir: string, wanted: Configuration): Promise<void> {
  const etc = join(dir, 'etc')
  await cp('/etc/xrdp', etc, { recursive: true })
  await rm(join(etc, 'cert.pem'))
  await rm(join(etc, 'key.pem'))
  await run('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=lab-xrdp'],
    ...['-keyout', join(etc, 'key.pem'), '-out', join(etc, 'cert.pem')],
  ])
  const logging = { EnableSyslog: 'false' }
  await change(join(etc, 'xrdp.ini'), {
    Globals: {
      port: `tcp://127.0.0.1:${wanted.port}`,
      security_layer: wanted.options.security ?? 'tls',
      certificate: join(etc, 'cert.pem'),
      key_file: join(etc, 'key.pem'),
      autorun: 'Xorg',
      max_bpp: String(wanted.options.depth ?? 32),
    },
    Logging: { ...logging, LogFile: join(dir, 'xrdp.log') },
  })
  await change(join(etc, 'sesman.ini'), {
    Globals: { ListenPort: String(wanted.sesmanPort), EnableUserWindowManager: 'false' },
    Sessions: { X11DisplayOffset: String(wanted.firstDisplay) },
    Logging: { ...logging, LogFile: join(dir, 'sesman.log') },
    Chansrv: { EnableFuseMount: 'false' },
    ChansrvLogging: logging,
  })
  const programs = wanted.options.programs ?? ['xterm -geometry 80x20+20+20 &']
  await writeFile(join(etc, 'programs.sh'), `${programs.join('\n')}\n`)
  await writeFile(
    join(etc, 'startwm.sh'),
    [
      '#!/bin/sh',
      'cd',
      'echo "$DISPLAY" > .display',
      "xsetroot -solid '#1f6f54'",
      // Not before it is there: windows would not know how large they may be.
      `exec openbox --startup '/bin/sh ${join(etc, 'programs.sh')}'`,
      '',
    ].join('\n'),
    { mode: 0o755 },
  )
  const machine = join(dir, 'machine')
  await mkdir(machine)
  await writeFile(
    join(dir, 'inside.sh'),
    [
      'set -e',
      // A whole /etc of its own: a file that is mounted over another is lost when somebody replaces that one.
      `mount -t tmpfs -o mode=0755 tmpfs ${machine}`,
      `cp -a /etc/. ${machine}`,
      `rm -rf ${machine}/xrdp`,
      `cp -a ${etc} ${machine}/xrdp`,
      `cp ${dir}/passwd ${dir}/group ${dir}/shadow ${machine}`,
      `mount --bind ${machine} /etc`,
      'mount -t tmpfs tmpfs /run/xrdp',
      'mkdir -m 1777 /run/xrdp/sockdir',
      'xrdp-sesman --nodaemon &',
      // The first process of the namespace: everything ends with it.
      'xrdp --nodaemon',
      '',
    ].join('\n'),
  )
}

/** Sets keys in the sections of an .ini file, in place of what it says of them. */
async function change(file: string, sections: Record<string, Record<string, string>>): Promise<void> {
  let at = ''
  const lines: string[] = []
  for (const line of (await readFile(file, 'utf8')).split('\n')) {
    const section = /^\[(.+)\]$/.exec(line)?.[1]
    if (section !== undefined) {
      at = section
      lines.push(line, ...Object.entries(sections[at] ?? {}).map(([key, value]) => `${key}=${value}`))
      continue
    }
    const key = /^(\w+)\s*=/.exec(line)?.[1]
    if (key === undefined || sections[at]?.[key] === undefined) lines.push(line)
  }
  for (const section of Object.keys(sections))
    if (!lines.includes(`[${section}]`)) throw new Error(`${file} has no section [${section}]`)
  await writeFile(file, lines.join('\n'))
}
