import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { until } from '../lab/until.ts'

const root = path.join(import.meta.dirname, '..', '..')
export const MAIN = path.join(root, 'main.ts')
/** The pinned Node, whatever runs the tests. */
export const NODE = path.join(root, 'node_modules', 'node', 'bin', 'node')

export interface SallyportProcess {
  readonly pid: number
  stdout(): string
  stderr(): string
  /** Waits for words on standard output. Throws with all that was printed when the process ends before. */
  says(words: string | RegExp, withinMs?: number): Promise<void>
  /** Itself and everything it started, as of now. */
  tree(): Promise<number[]>
  /** Asks it to end and answers with its exit status. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
  ended(): Promise<number | null>
}

export interface ProcessOptions {
  env?: Record<string, string>
  /** Run as this user instead of the tests' own. */
  uid?: number
  /** Words before the command line, such as `ip netns exec NAME`. */
  inside?: readonly string[]
}

/** `sallyport COMMAND`, as `npm start` runs it. Sees nothing of the tests' environment but PATH. */
export function startSallyport(args: readonly string[], options: ProcessOptions = {}): SallyportProcess {
  const node = existsSync(NODE) ? NODE : process.execPath
  const [file = node, ...rest] = [...(options.inside ?? []), node, MAIN, ...args]
  const child = spawn(file, rest, {
    cwd: root,
    env: { PATH: process.env.PATH ?? '', HOME: '/nonexistent', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  })
  return watched(child)
}

function watched(child: ChildProcess): SallyportProcess {
  let out = ''
  let err = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  const end = new Promise<number | null>((resolve) => {
    child.once('error', (error) => {
      err += error.message
      resolve(null)
    })
    // Not `close`: what it started may hold its pipes longer than it lives.
    child.once('exit', (code) => resolve(code))
  })
  let over = false
  void end.then(() => {
    over = true
  })
  const pid = child.pid ?? -1
  return {
    pid,
    stdout: () => out,
    stderr: () => err,
    async says(words, withinMs = 60_000) {
      const met = () => (typeof words === 'string' ? out.includes(words) : words.test(out))
      await until(() => met() || over, `"${words}" on standard output`, withinMs).catch((error: Error) => {
        throw new Error(`${error.message}\n${out}\n${err}`)
      })
      if (!met()) throw new Error(`ended without "${words}"\n${out}\n${err}`)
    },
    tree: () => treeOf(pid),
    async stop(signal = 'SIGTERM') {
      if (!over) child.kill(signal)
      const hard = setTimeout(() => child.kill('SIGKILL'), 30_000)
      const code = await end
      clearTimeout(hard)
      return code
    },
    ended: () => end,
  }
}

/** proc(5): /proc/PID/task/TID/children. */
async function treeOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  const below = await Promise.all(text.split(' ').filter(Boolean).map(Number).map(treeOf))
  return [pid, ...below.flat()]
}

export async function commandOf(pid: number): Promise<string> {
  return (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' ').trim()
}

/** A process that has ended but waits for its parent counts as gone. */
export async function running(pid: number): Promise<boolean> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)
  return text !== null && text.slice(text.lastIndexOf(')') + 2, text.lastIndexOf(')') + 3) !== 'Z'
}
