import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { labMode } from './lab.ts'
import { until } from './until.ts'

const run = promisify(execFile)
const IP = '/usr/sbin/ip'

/** null when network namespaces can be made here; otherwise why not. With SALLYPORT_LAB=required it throws instead. */
export async function netnsMissing(): Promise<string | null> {
  const reason = await missing()
  if (reason && labMode() === 'required') throw new Error(`the lab is required, but ${reason}`)
  return reason
}

async function missing(): Promise<string | null> {
  if (labMode() === 'off') return 'SALLYPORT_LAB=off'
  if (!existsSync(IP)) return `${IP} is missing (Debian package iproute2)`
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  const name = `sp${randomBytes(4).toString('hex')}`
  try {
    await run(IP, ['netns', 'add', name])
    await run(IP, ['netns', 'delete', name])
    return null
  } catch (error) {
    return `this machine allows no network namespaces (${String((error as { stderr?: string }).stderr).trim()})`
  }
}

export interface Namespace {
  /** Words that run a command inside it. */
  readonly command: readonly string[]
  run(...command: string[]): Promise<string>
  /** A Unix socket here whose other end is TCP from inside the namespace: lets a test be somewhere else. */
  relay(socketPath: string, to: { host: string; port: number }): Promise<void>
}

export interface Network {
  /** A machine of its own: loopback and nothing else. */
  add(label: string): Promise<Namespace>
  /** A cable between two of them: `10.SUBNET.1` and `10.SUBNET.2`, and no route to anywhere else. */
  cable(a: Namespace, b: Namespace, subnet: string): Promise<[string, string]>
  /** Removes what was made here, by the names given here. */
  close(): Promise<void>
}

export function openNetwork(): Network {
  const tag = randomBytes(3).toString('hex')
  const made = new Map<Namespace, string>()
  const children: ReturnType<typeof spawn>[] = []
  let cables = 0
  return {
    async add(label) {
      const name = `sp${tag}-${label}`
      await run(IP, ['netns', 'add', name])
      const command = [IP, 'netns', 'exec', name]
      const namespace: Namespace = {
        command,
        run: async (...words) => (await run(IP, ['netns', 'exec', name, ...words])).stdout,
        async relay(socketPath, to) {
          const child = spawn(
            IP,
            [
              ...command.slice(1),
              process.execPath,
              fileURLToPath(new URL('./relay.ts', import.meta.url)),
              socketPath,
              to.host,
              String(to.port),
            ],
            { stdio: ['ignore', 'ignore', 'inherit'] },
          )
          children.push(child)
          await until(() => existsSync(socketPath), 'the relay listens', 30_000)
        },
      }
      made.set(namespace, name)
      await run(IP, ['-n', name, 'link', 'set', 'lo', 'up'])
      return namespace
    },
    async cable(a, b, subnet) {
      cables += 1
      const ends = [a, b].map((namespace, n) => ({
        name: made.get(namespace) ?? '',
        // 15 characters at most (IFNAMSIZ).
        device: `sp${tag}c${cables}${'ab'[n]}`,
        address: `10.${subnet}.${n + 1}`,
      }))
      const [left, right] = ends as [(typeof ends)[0], (typeof ends)[0]]
      await run(IP, ['link', 'add', left.device, 'type', 'veth', 'peer', 'name', right.device])
      for (const { name, device, address } of ends) {
        await run(IP, ['link', 'set', device, 'netns', name])
        await run(IP, ['-n', name, 'address', 'add', `${address}/30`, 'dev', device])
        await run(IP, ['-n', name, 'link', 'set', device, 'up'])
      }
      return [left.address, right.address]
    },
    async close() {
      for (const child of children) child.kill('SIGKILL')
      // Cables go with the namespaces that hold them.
      for (const name of made.values()) await run(IP, ['netns', 'delete', name]).catch(() => undefined)
    },
  }
}
