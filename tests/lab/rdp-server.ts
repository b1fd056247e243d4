import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from './free-port.ts'
import { labMode, missingTools } from './lab.ts'
import { until } from './until.ts'
import { gone, pictureOf, startXvfb, writePhotograph } from './x-display.ts'

const run = promisify(execFile)

/** null when FreeRDP's shadow server can be started here; otherwise why not. With SALLYPORT_LAB=required it throws. */
export function shadowMissing(): string | null {
  if (labMode() === 'off') return 'SALLYPORT_LAB=off'
  const missing = missingTools('freerdp-shadow', 'xvfb', 'openbox', 'x11-apps', 'xdotool', 'xclip')
  return missing.length > 0 ? `missing: ${missing.join(', ')}` : null
}

/** A display that tests can look at and work on, beside RDP. */
export interface LabDesktop {
  /** Runs a program on the display and waits for it. */
  run(file: string, ...words: string[]): Promise<string>
  /** Starts a program on the display; it ends with the server. */
  start(file: string, ...words: string[]): ChildProcess
  /** Shows a colourful picture, part gradient and part noise, at the left top. */
  showPhotograph(): Promise<void>
  /** The X server's own picture of the screen. */
  picture(): Promise<{ width: number; height: number; pixels: Uint8Array }>
}

export interface LabRdp {
  host: string
  port: number
  user: string
  password: string
  /** DER of the certificate that the server shows in TLS. */
  certificate: Buffer
  log(): string
  /** As a machine that is switched off. */
  kill(): void
  stop(): Promise<void>
}

export interface LabShadowOptions {
  /**
   * The only security that it accepts: network level authentication (CredSSP), TLS, or RDP's own encryption. With the
   * last two it lets everybody in, whatever the password. nla by default.
   */
  security?: 'nla' | 'tls' | 'rdp'
  geometry?: string
  account?: { user: string; password: string }
  /** Its port; with that of a stopped server: the same machine with a new certificate. */
  port?: number
}

/**
 * FreeRDP's shadow server on a loopback port, with a certificate of its own. It shares an Xvfb display with openbox and
 * an xterm, always in its own size; a client that announces a clipboard is dropped when it pastes.
 */
export async function startShadow(options: LabShadowOptions = {}): Promise<LabRdp & LabDesktop> {
  const { user, password } = options.account ?? { user: 'operator', password: 'rdp-pw-1' }
  const security = options.security ?? 'nla'
  const dir = await mkdtemp(join(tmpdir(), 'sallyport-shadow-'))
  const port = options.port ?? (await freePort())
  // The server makes its certificate in HOME.
  const screen = await startXvfb(options.geometry ?? '640x400', dir)
  const { environment } = screen
  const children: ChildProcess[] = []
  let log = ''
  const begin = (file: string, words: string[]) => {
    const child = spawn(file, words, { stdio: ['ignore', 'pipe', 'pipe'], env: environment })
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        log = (log + text).slice(-100_000)
      })
    child.on('error', () => {})
    children.push(child)
    return child
  }
  const kill = () => {
    for (const child of children) child.kill('SIGKILL')
    screen.kill()
  }
  const stop = async () => {
    kill()
    await Promise.all([...children.map(gone), screen.stop()])
    await rm(dir, { recursive: true, force: true })
  }
  try {
    const { stdout: hash } = await run('winpr-hash', ['-u', user, '-p', password, '-f', 'sam'])
    await writeFile(join(dir, 'sam'), `${hash.trim()}\n`, { mode: 0o600 })
    begin('/usr/bin/openbox', [])
    begin('/usr/bin/xterm', ['-geometry', '80x20+20+20'])
    const server = begin('/usr/bin/stdbuf', [
      // Else it keeps its log to itself.
      ...['-oL', '/usr/bin/freerdp-shadow-cli'],
      ...[`/port:${port}`, '/bind-address:127.0.0.1', `/sec:${security}`],
      ...(security === 'nla' ? [`/sam-file:${join(dir, 'sam')}`, '+auth'] : ['-auth']),
    ])
    await until(
      async () => {
        if (server.exitCode !== null) throw new Error(`the RDP server did not start: ${log}`)
        return await listens(port)
      },
      'the RDP server listens',
      30_000,
    )
    const pem = await readFile(join(dir, '.config/freerdp/shadow/shadow.crt'))
    return {
      host: '127.0.0.1',
      port,
      user,
      password,
      certificate: new X509Certificate(pem).raw,
      run: async (file, ...words) => (await run(file, words, { env: environment, timeout: 20_000 })).stdout,
      start: (file, ...words) => begin(file, words),
      async showPhotograph() {
        begin('/usr/bin/xwud', ['-in', await writePhotograph(dir), '-geometry', '+0+0'])
      },
      picture: () => pictureOf(environment),
      log: () => log,
      kill,
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Whether somebody listens on the port, without a connection: RDP servers keep a worker for each for a while. */
export async function listens(port: number): Promise<boolean> {
  const wanted = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const lines = (await readFile('/proc/net/tcp', 'utf8')).split('\n')
  return lines.some((line) => {
    const [, local, , state] = line.trim().split(/\s+/)
    return local === wanted && state === '0A'
  })
}
