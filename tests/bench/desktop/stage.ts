import { execFile } from 'node:child_process'
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { until } from '../../lab/until.ts'
import { type LabVnc, startVnc } from '../../lab/vnc-server.ts'

/** The same VNC server and picture for every way: an xterm that fills 1024 x 768 and shows what it is told to. */
export interface Stage {
  vnc: LabVnc
  /** RGBX rows of what is on the screen, which stands still. */
  picture(): Promise<Uint8Array>
  /** A build log at twenty lines a second. */
  scroll(seconds: number): Promise<void>
  stop(): Promise<void>
}

const LINES_PER_SECOND = 20
const ROWS = 57
/** What an xterm on a busy machine may rest in the middle of what it shows. */
const STILL_MS = 400

export async function startStage(): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-stage-'))
  const pipe = join(folder, 'shown')
  await promisify(execFile)('mkfifo', [pipe])
  const vnc = await startVnc({ geometry: '1024x768' })
  let shown: FileHandle | null = null
  let line = 0
  try {
    // What is typed is echoed by the terminal driver alone.
    const shell = `cat ${pipe} & exec cat > /dev/null`
    vnc.start('xterm', '-geometry', `169x${ROWS}+0+0`, '+sb', '-bw', '0', '-e', 'sh', '-c', shell)
    // Both ways, so that it opens before anybody reads.
    shown = await open(pipe, 'r+')
    const write = async () => {
      line += 1
      await shown?.write(logLine(line))
    }
    for (let row = 0; row < ROWS + 5; row++) await write()
    const picture = async () => {
      let before = Buffer.alloc(0)
      let since = performance.now()
      await until(async () => {
        const now = Buffer.from((await vnc.picture()).pixels)
        if (!now.equals(before) || !isText(now)) since = performance.now()
        before = now
        return performance.now() - since > STILL_MS
      }, 'the screen stands still')
      return before
    }
    await picture()
    return {
      vnc,
      picture,
      async scroll(seconds) {
        const began = performance.now()
        for (let due = 1; due <= seconds * LINES_PER_SECOND; due++) {
          await write()
          const wait = began + (due * 1000) / LINES_PER_SECOND - performance.now()
          if (wait > 0) await new Promise((done) => setTimeout(done, wait))
        }
      },
      async stop() {
        await shown?.close()
        await vnc.stop()
        await rm(folder, { recursive: true, force: true })
      },
    }
  } catch (error) {
    await shown?.close()
    await vnc.stop()
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

/** Numbers and words that repeat as a log's do, of changing length, with some colour. */
function logLine(number: number): string {
  const hash = Math.imul(number, 0x9e3779b1) >>> 0
  const text = `[info] compiling module_${hash % 997}.c -O2 -Wall "path/to/file ${hash % 131}" ... ${'#'.repeat(hash % 60)}`
  return `\x1b[3${1 + (number % 6)}m${number}\x1b[m ${text} ${number % 7 ? 'ok' : 'warning: unused variable'}\r\n`
}

/** Whether both its inks are there in some number: an xterm that has been written to. */
function isText(pixels: Buffer): boolean {
  let dark = 0
  for (let at = 0; at < pixels.length; at += 4) if ((pixels[at] ?? 255) < 128) dark += 1
  return dark > 5000 && dark < pixels.length / 8
}
