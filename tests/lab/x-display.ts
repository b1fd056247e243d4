import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { until } from './until.ts'
import { readXwd, writeXwd } from './xwd.ts'

const run = promisify(execFile)

let displays = 100 + (process.pid % 400) * 10
/** The name of an X display that nobody has now. */
export function freeDisplay(): string {
  for (;;) {
    displays += 1
    if (!existsSync(`/tmp/.X${displays}-lock`) && !existsSync(socketOf(`:${displays}`))) return `:${displays}`
  }
}

export function socketOf(display: string): string {
  return `/tmp/.X11-unix/X${display.slice(1)}`
}

export interface Xvfb {
  /** For programs that shall run on it. */
  environment: NodeJS.ProcessEnv
  kill(): void
  stop(): Promise<void>
}

/** An X server without a screen; `home` is where its programs keep what they keep. */
export async function startXvfb(geometry: string, home: string): Promise<Xvfb> {
  // X servers want this folder, and make it only as root.
  await mkdir('/tmp/.X11-unix', { recursive: true, mode: 0o1777 })
  const display = freeDisplay()
  const words = [display, '-screen', '0', `${geometry}x24`, '-nolisten', 'tcp', '-ac']
  const child = spawn('/usr/bin/Xvfb', words, { stdio: 'ignore' })
  child.on('error', () => {})
  const kill = () => void child.kill('SIGKILL')
  const stop = async () => {
    kill()
    await gone(child)
    await removeDisplay(display)
  }
  try {
    await until(() => existsSync(socketOf(display)), 'Xvfb is up', 20_000)
  } catch (error) {
    await stop()
    throw error
  }
  const environment = { ...process.env, DISPLAY: display, HOME: home, XAUTHORITY: join(home, 'none') }
  return { environment, kill, stop }
}

/** Takes away the files of an X server that was killed. */
export async function removeDisplay(display: string): Promise<void> {
  await rm(`/tmp/.X${display.slice(1)}-lock`, { force: true })
  await rm(socketOf(display), { force: true })
}

/** Settles when the process has ended, or never began. */
export async function gone(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  await new Promise((done) => child.once('exit', done))
}

/** The X server's own picture of its screen. */
export async function pictureOf(environment: NodeJS.ProcessEnv) {
  const { stdout } = await run('xwd', ['-root', '-silent'], {
    env: environment,
    encoding: 'buffer',
    maxBuffer: 64 * 1024 * 1024,
    timeout: 20_000,
  })
  return readXwd(stdout)
}

/** Writes a colourful picture, part gradient and part noise, for `xwud`. Returns its file. */
export async function writePhotograph(folder: string): Promise<string> {
  const file = join(folder, 'photograph.xwd')
  const noise = (x: number, y: number) => ((x * 2654435761 + y * 40503) >>> 7) & 63
  await writeFile(
    file,
    writeXwd(300, 200, (x, y) => [x % 256, (y * 255) / 200, y < 100 ? 128 : noise(x, y) * 4]),
  )
  return file
}
