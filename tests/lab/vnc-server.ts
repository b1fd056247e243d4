import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from './free-port.ts'
import { labMode, missingTools } from './lab.ts'
import { until } from './until.ts'
import { freeDisplay, gone, pictureOf, removeDisplay, socketOf, writePhotograph } from './x-display.ts'

const run = promisify(execFile)

/** null when real VNC servers can be started here; otherwise why not. With SALLYPORT_LAB=required it throws instead. */
export function vncMissing(): string | null {
  if (labMode() === 'off') return 'SALLYPORT_LAB=off'
  const missing = missingTools('tigervnc', 'x11vnc', 'x11-apps', 'xdotool')
  return missing.length > 0 ? `missing: ${missing.join(', ')}` : null
}

export interface LabVnc {
  host: string
  port: number
  display: string
  password: string
  /** DER of the certificate, when the server has one. */
  certificate: Buffer | null
  /** Runs a program on the display and waits for it. */
  run(file: string, ...words: string[]): Promise<string>
  /** Starts a program on the display; it ends with the server. */
  start(file: string, ...words: string[]): ChildProcess
  /** Shows a colourful picture, part gradient and part noise, at the left top. */
  showPhotograph(): Promise<void>
  /** The X server's own picture of the screen. */
  picture(): Promise<{ width: number; height: number; pixels: Uint8Array }>
  log(): string
  /** As a machine that is switched off. */
  kill(): void
  stop(): Promise<void>
}

export interface LabVncOptions {
  geometry?: string
  depth?: 8 | 16 | 24
  /** Of Xtigervnc, as its manual names them. VncAuth by default. */
  security?: string
  /** Makes a new certificate; `TLS` types need none. */
  certificate?: boolean
  port?: number
  /** An x11vnc on the display instead, with these words. */
  x11vnc?: string[]
  extra?: string[]
}

/** A real VNC server on a loopback port with its own X display; `stop` removes all of it. */
export async function startVnc(options: LabVncOptions = {}): Promise<LabVnc> {
  const dir = await mkdtemp(join(tmpdir(), 'sallyport-vnc-'))
  // X servers want this folder, and make it only as root.
  await mkdir('/tmp/.X11-unix', { recursive: true, mode: 0o1777 })
  const password = 'vnc-pw-1'
  await writeFile(join(dir, 'passwd'), await passwordFile(password), { mode: 0o600 })
  const port = options.port ?? (await freePort())
  const display = freeDisplay()
  const children: ChildProcess[] = []
  let log = ''
  const begin = (file: string, words: string[]) => {
    const child = spawn(file, words, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, DISPLAY: display, HOME: dir, XAUTHORITY: join(dir, 'none') },
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-100_000)
    })
    child.on('error', () => {})
    children.push(child)
    return child
  }
  const end = () => {
    for (const child of children) child.kill('SIGKILL')
  }
  const environment = { ...process.env, DISPLAY: display, HOME: dir }
  try {
    let certificate: Buffer | null = null
    if (options.certificate) {
      await run('openssl', [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
        ...['-subj', '/CN=lab-hmi', '-keyout', join(dir, 'key.pem'), '-out', join(dir, 'cert.pem')],
      ])
      certificate = new X509Certificate(await readFile(join(dir, 'cert.pem'))).raw
    }
    const geometry = options.geometry ?? '640x400'
    const depth = options.depth ?? 24
    if (options.x11vnc) {
      begin('/usr/bin/Xvfb', [display, '-screen', '0', `${geometry}x${depth}`, '-nolisten', 'tcp', '-ac'])
      await until(() => existsSync(socketOf(display)), 'Xvfb is up', 20_000)
      begin('/usr/bin/x11vnc', [
        ...['-display', display, '-rfbport', String(port), '-localhost', '-forever', '-shared'],
        ...['-rfbauth', join(dir, 'passwd'), '-noxrecord', '-nosel', ...options.x11vnc],
      ])
    } else
      begin('/usr/bin/Xtigervnc', [
        ...[display, '-geometry', geometry, '-depth', String(depth), '-rfbport', String(port)],
        ...['-localhost=1', '-SecurityTypes', options.security ?? 'VncAuth', '-rfbauth', join(dir, 'passwd')],
        ...['-AlwaysShared=1', '-nolisten', 'tcp', '-ac', '-BlacklistTimeout=0', '-desktop', 'lab'],
        ...(certificate ? [`-X509Cert=${join(dir, 'cert.pem')}`, `-X509Key=${join(dir, 'key.pem')}`] : []),
        ...(options.extra ?? []),
      ])
    const server = children.at(-1)
    await until(
      async () => {
        if (server?.exitCode !== null) throw new Error(`the VNC server did not start: ${log}`)
        return await answers(port)
      },
      'the VNC server listens',
      30_000,
    )
    return {
      host: '127.0.0.1',
      port,
      display,
      password,
      certificate,
      run: async (file, ...words) => (await run(file, words, { env: environment, timeout: 20_000 })).stdout,
      start: (file, ...words) => begin(file, words),
      async showPhotograph() {
        begin('/usr/bin/xwud', ['-in', await writePhotograph(dir), '-geometry', '+0+0'])
      },
      picture: () => pictureOf(environment),
      log: () => log,
      kill: end,
      async stop() {
        end()
        await Promise.all(children.map(gone))
        await rm(dir, { recursive: true, force: true })
        await removeDisplay(display)
      },
    }
  } catch (error) {
    end()
    await rm(dir, { recursive: true, force: true })
    throw error
  }
}

async function passwordFile(password: string): Promise<Buffer> {
  const child = spawn('/usr/bin/tigervncpasswd', ['-f'], { stdio: ['pipe', 'pipe', 'ignore'] })
  const parts: Buffer[] = []
  child.stdout.on('data', (part: Buffer) => parts.push(part))
  child.stdin.end(`${password}\n`)
  await new Promise((done) => child.once('close', done))
  return Buffer.concat(parts)
}

async function answers(port: number): Promise<boolean> {
  return await new Promise((done) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('data', () => done(true)).once('error', () => done(false))
    socket.once('data', () => socket.destroy())
  })
}
