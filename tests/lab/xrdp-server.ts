import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { labMode, missingTools } from './lab.ts'
import type { LabDesktop, LabRdp } from './rdp-server.ts'
import { until } from './until.ts'
import { gone, pictureOf, socketOf, writePhotograph } from './x-display.ts'
import { startXrdpMachine, type XrdpOptions, xrdpMachineMissing } from './xrdp-machine.ts'

const run = promisify(execFile)

/** null when tests can start xrdp here; otherwise why not. With SALLYPORT_LAB=required it throws instead. */
export function xrdpMissing(): string | null {
  if (labMode() === 'off') return 'SALLYPORT_LAB=off'
  const tools = missingTools('x11-apps', 'xdotool', 'xclip')
  const reason = tools.length > 0 ? `missing: ${tools.join(', ')}` : xrdpMachineMissing()
  if (reason && labMode() === 'required') throw new Error(`the lab is required, but for xrdp: ${reason}`)
  return reason
}

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

/** An xrdp whose desktop tests can look at and work on, beside RDP: with clipboard (xrdp-chansrv) and an xterm. */
export async function startXrdp(options: XrdpOptions = {}): Promise<LabXrdp> {
  const machine = await startXrdpMachine(options)
  const { dir, home } = machine
  const children: ChildProcess[] = []
  const begin = (file: string, words: string[], env: NodeJS.ProcessEnv) => {
    const child = spawn(file, words, { stdio: 'ignore', env })
    child.on('error', () => {})
    children.push(child)
    return child
  }
  const kill = () => {
    machine.kill()
    for (const child of children) child.kill('SIGKILL')
  }
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
        if (machine.hasEnded()) throw new Error('xrdp has ended')
        display = (await machine.display()) ?? ''
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
          machine
            .written()
            .split('\n')
            .filter((line) => line.includes('terminated session') && line.includes(ended)).length
        const before = endings()
        await machine.forgetDisplay()
        await run('/usr/bin/openbox', ['--exit'], { env, timeout: 20_000 })
        // Until then xrdp would take a new client to the display that is no more.
        await until(() => endings() > before, 'the session has ended', 30_000)
      },
    }
  }
  return {
    ...machine,
    session,
    kill,
    async stop() {
      kill()
      await Promise.all(children.map(gone))
      await machine.stop()
    },
  }
}
