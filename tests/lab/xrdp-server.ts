import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from './free-port.ts'
import { labMode, missingTools } from './lab.ts'
import { type LabDesktop, type LabRdp, listens } from './rdp-server.ts'
import { addUser, removeUser } from './throw-away-user.ts'
import { until } from './until.ts'
import { freeDisplay, gone, pictureOf, removeDisplay, socketOf, writePhotograph } from './x-display.ts'

const run = promisify(execFile)

let isolation: boolean | null = null
/** null when xrdp can be started here; otherwise why not. With SALLYPORT_LAB=required it throws instead. */
export function xrdpMissing(): string | null {
  if (labMode() === 'off') return 'SALLYPORT_LAB=off'
  const tools = missingTools('xrdp', 'xorgxrdp', 'openbox', 'xauth', 'x11-apps', 'xdotool', 'xclip')
  if (tools.length > 0) return `missing: ${tools.join(', ')}`
  if (process.getuid?.() !== 0) return 'the xrdp lab adds a throw-away user and so must run as root'
  isolation ??= spawnSync('unshare', [...NAMESPACE, 'true'], { stdio: 'ignore' }).status === 0
  if (isolation) return null
  if (labMode() === 'required')
    throw new Error('the lab is required, but this machine allows no mount namespaces')
  return 'this machine allows no mount namespaces'
}

/** Mounts of its own, and processes of its own: none can outlive the first. */
const NAMESPACE = ['--mount', '--pid', '--fork', '--kill-child=SIGKILL', '--mount-proc']

/** The desktop of the user that has signed in. */
export interface LabXrdpSession extends LabDesktop {
  display: string
  /** Ends it as its user would, by leaving the window manager, and waits until the display has gone. */
  logOff(): Promise<void>
}

export interface LabXrdp extends LabRdp {
  /** The user's session, as soon as there is one; the user has one at most. */
  session(): Promise<LabXrdpSession>
}

export interface LabXrdpOptions {
  /** Most bits for a pixel that the server agrees to. */
  depth?: 8 | 15 | 16 | 24 | 32
  /** `negotiate` takes RDP's own encryption too. tls by default. */
  security?: 'tls' | 'negotiate'
  /** Its port; with that of a stopped server: the same machine with a new certificate. */
  port?: number
  /** Lines of the session's start script before its window manager starts; an xterm by default. */
  programs?: string[]
}

/**
 * xrdp on a loopback port, with a certificate and a throw-away Linux user of its own, in namespaces: a second xrdp on a
 * machine reads the same /etc/xrdp and /run/xrdp otherwise. A client that asks for it (autologon) gets a session of
 * Xorg, with openbox, clipboard (xrdp-chansrv) and an xterm; others see xrdp's own window to sign in.
 */
export async function startXrdp(options: LabXrdpOptions = {}): Promise<LabXrdp> {
  const reason = xrdpMissing()
  if (reason) throw new Error(reason)
  const dir = await mkdtemp(join(tmpdir(), 'sallyport-xrdp-'))
  await chmod(dir, 0o755)
  // Mount points and the X servers' folder; all belong there, and none is in use.
  await mkdir('/tmp/.X11-unix', { recursive: true, mode: 0o1777 })
  await mkdir('/run/xrdp', { recursive: true, mode: 0o755 })
  const home = join(dir, 'home')
  const user = await addUser(home)
  const children: ChildProcess[] = []
  const displayFile = join(home, '.display')
  // What the servers write themselves; their output has the X server's chatter too, and comes late.
  const written = () => ['sesman.log', 'xrdp.log'].map((file) => textOf(join(dir, file))).join('')
  let output = ''
  let lastWords: string | null = null
  const log = () => lastWords ?? written() + output
  const begin = (file: string, words: string[], env: NodeJS.ProcessEnv) => {
    const child = spawn(file, words, { stdio: ['ignore', 'pipe', 'pipe'], env })
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-100_000)
      })
    child.on('error', () => {})
    children.push(child)
    return child
  }
  const kill = () => {
    for (const child of children) child.kill('SIGKILL')
  }
  const stop = async () => {
    kill()
    await Promise.all(children.map(gone))
    const display = await displayIn(displayFile)
    if (display) await removeDisplay(display)
    await removeUser(user.name)
    lastWords ??= log()
    await rm(dir, { recursive: true, force: true })
  }
  try {
    await writeFile(join(home, '.bashrc'), "PS1='$ '\n")
    const port = options.port ?? (await freePort())
    const first = freeDisplay()
    await configure(dir, {
      port,
      sesmanPort: await freePort(),
      firstDisplay: Number(first.slice(1)),
      options,
    })
    const certificate = new X509Certificate(await readFile(join(dir, 'etc/cert.pem'))).raw
    const server = begin('unshare', [...NAMESPACE, '/bin/sh', join(dir, 'inside.sh')], {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      LANG: 'C.UTF-8',
    })
    await until(
      async () => {
        if (server.exitCode !== null) throw new Error(`xrdp did not start: ${log()}`)
        return await listens(port)
      },
      'xrdp listens',
      30_000,
    )
    // xrdp-chansrv writes it as its first act.
    const clipboardLog = (display: string) =>
      join(home, `.local/share/xrdp/xrdp-chansrv.${display.slice(1)}.log`)
    const session = async (): Promise<LabXrdpSession> => {
      let display = ''
      const environment = () => ({
        ...process.env,
        DISPLAY: display,
        HOME: home,
        XAUTHORITY: join(home, '.Xauthority'),
      })
      await until(
        async () => {
          if (server.exitCode !== null || server.signalCode !== null) throw new Error('xrdp has ended')
          display = (await displayIn(displayFile)) ?? ''
          if (!existsSync(socketOf(display)) || !existsSync(clipboardLog(display))) return false
          return await run('xset', ['q'], { env: environment(), timeout: 5000 }).then(
            () => true,
            () => false,
          )
        },
        'the session has a display and a clipboard',
        60_000,
      )
      const env = environment()
      return {
        display,
        run: async (file, ...words) => (await run(file, words, { env, timeout: 20_000 })).stdout,
        start: (file, ...words) => begin(file, words, env),
        async showPhotograph() {
          begin('/usr/bin/xwud', ['-in', await writePhotograph(dir), '-geometry', '+0+0'], env)
        },
        picture: () => pictureOf(env),
        async logOff() {
          const ended = `, display ${display}.0, `
          const endings = () =>
            written()
              .split('\n')
              .filter((line) => line.includes('terminated session') && line.includes(ended)).length
          const before = endings()
          await rm(displayFile, { force: true })
          await run('/usr/bin/openbox', ['--exit'], { env, timeout: 20_000 })
          // Until then xrdp would take a new client to the display that is no more.
          await until(() => endings() > before, 'the session has ended', 30_000)
        },
      }
    }
    return {
      host: '127.0.0.1',
      port,
      user: user.name,
      password: user.password,
      certificate,
      session,
      log,
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

async function displayIn(file: string): Promise<string | null> {
  const text = await readFile(file, 'utf8').catch(() => '')
  return /^(:\d+)(\.0)?\n$/.exec(text)?.[1] ?? null
}

interface Configuration {
  port: number
  sesmanPort: number
  firstDisplay: number
  options: LabXrdpOptions
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
  await writeFile(
    join(etc, 'startwm.sh'),
    [
      '#!/bin/sh',
      'cd',
      'echo "$DISPLAY" > .display',
      "xsetroot -solid '#1f6f54'",
      ...programs,
      'exec openbox',
      '',
    ].join('\n'),
    { mode: 0o755 },
  )
  await writeFile(
    join(dir, 'inside.sh'),
    [
      'set -e',
      `mount --bind ${etc} /etc/xrdp`,
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
