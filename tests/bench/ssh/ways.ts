import { type ChildProcessWithoutNullStreams, fork, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import { join } from 'node:path'
import WebSocket from 'ws'
import { ACKNOWLEDGE_EVERY } from '../../../broker/contract/terminal.ts'
import type { LabSshd } from '../../lab/openssh.ts'
import type { OpenSession, OwnPlant } from '../plant/own-plant.ts'
import { sessionSocket } from '../plant/session-socket.ts'
import type { Terminal, Way } from './terminal.ts'

/** The same cipher on every way. */
const CIPHER = 'aes128-gcm@openssh.com'

/** OpenSSH's own client, straight to the target or through a jump host (the same sshd, as a gateway would stand). */
export async function opensshWay(sshd: LabSshd, folder: string, jump: boolean): Promise<Way> {
  const key = join(folder, 'id')
  await writeFile(key, sshd.privateKey)
  await chmod(key, 0o600)
  const common = `  HostName 127.0.0.1
  Port ${sshd.port}
  User ${sshd.user}
  IdentityFile ${key}
  IdentitiesOnly yes
  BatchMode yes
  Ciphers ${CIPHER}
  StrictHostKeyChecking no
  UserKnownHostsFile ${join(folder, 'known_hosts')}
  LogLevel ERROR
`
  const config = join(folder, 'ssh_config')
  await writeFile(
    config,
    `Host jump\n${common}\nHost direct\n${common}\nHost jumped\n${common}  ProxyJump jump\n`,
  )
  return {
    name: jump ? 'OpenSSH ProxyJump' : 'ssh -tt',
    async open() {
      const child = spawn('ssh', ['-F', config, '-e', 'none', '-tt', jump ? 'jumped' : 'direct'], {
        stdio: 'pipe',
      })
      return fromChild(child)
    },
  }
}

function fromChild(child: ChildProcessWithoutNullStreams): Terminal {
  let listener: (chunk: Buffer) => void = () => undefined
  child.stdout.on('data', (chunk: Buffer) => listener(chunk))
  return {
    write: (text) => void child.stdin.write(text),
    onData: (next) => {
      listener = next
    },
    async close() {
      const ended = new Promise((done) => child.once('close', done))
      child.kill()
      await ended
    },
  }
}

/** Our own: browser's socket, broker, splice, gateway, recorder; acknowledging as the page does. */
export function ownWay(
  plant: OwnPlant,
  asset: number,
): Way & { open(): Promise<Terminal & { session: OpenSession }> } {
  return {
    name: 'Sallyport',
    async open() {
      const session = await plant.openSession(asset)
      const socket = sessionSocket(session)
      let listener: (chunk: Buffer) => void = () => undefined
      let owed = 0
      socket.on('message', (data: Buffer, binary: boolean) => {
        if (!binary) return
        owed += data.length
        if (owed >= ACKNOWLEDGE_EVERY) {
          socket.send(JSON.stringify({ type: 'ack', bytes: owed }))
          owed = 0
        }
        listener(data)
      })
      await new Promise<void>((resolve, reject) => {
        socket.once('open', resolve)
        socket.once('error', reject)
      })
      const shell = new Promise<void>((done) => {
        listener = () => done()
      })
      socket.send(JSON.stringify({ type: 'start', cols: 80, rows: 24 }))
      await shell
      return {
        session,
        write: (text) => socket.send(Buffer.from(text)),
        onData: (next) => {
          listener = next
        },
        async close() {
          const closed = new Promise((done) => socket.once('close', done))
          socket.send(JSON.stringify({ type: 'leave' }))
          await closed
        },
      }
    },
  }
}

/** The legs and libraries of our own way with nothing of the product on them: floor-process.ts. One session. */
export async function floorWay(sshd: LabSshd): Promise<Way & { stop(): Promise<void> }> {
  const child = fork(join(import.meta.dirname, 'floor-process.ts'), {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  return {
    name: 'floor',
    async open() {
      // Only now: the leg that it dials is given up after a minute without a request.
      child.send({ port: sshd.port, user: sshd.user, privateKey: sshd.privateKey })
      const [{ port, ca, host }] = (await once(child, 'message')) as [
        { port: number; ca: string; host: string },
      ]
      const socket = new WebSocket(`wss://127.0.0.1:${port}`, {
        ca,
        perMessageDeflate: false,
        ...({ servername: host } as object),
      })
      let listener: (chunk: Buffer) => void = () => undefined
      socket.on('message', (data: Buffer) => listener(data))
      await new Promise<void>((resolve, reject) => {
        listener = () => resolve()
        socket.once('error', reject)
      })
      return {
        write: (text) => socket.send(Buffer.from(text)),
        onData: (next) => {
          listener = next
        },
        async close() {
          socket.terminate()
        },
      }
    },
    async stop() {
      const ended = once(child, 'close')
      child.kill()
      await ended
    },
  }
}

interface IoSocket {
  on(event: string, listener: (...args: never[]) => void): void
  emit(event: string, ...args: unknown[]): void
  disconnect(): void
}

/** wetty, installed for the bench into .cache: a web terminal that records nothing. Null when it can't be installed. */
export async function wettyWay(
  sshd: LabSshd,
  cache: string,
): Promise<(Way & { stop(): Promise<void> }) | null> {
  const folder = join(cache, 'wetty')
  if (!existsSync(join(folder, 'node_modules', '.bin', 'wetty'))) {
    await mkdir(folder, { recursive: true })
    await writeFile(
      join(folder, 'package.json'),
      JSON.stringify({ private: true, dependencies: { wetty: '3.2.0', 'socket.io-client': '4.8.1' } }),
    )
    const installed = spawnSync('npm', ['install', '--no-audit', '--no-fund'], {
      cwd: folder,
      stdio: 'ignore',
    })
    if (installed.status !== 0) return null
  }
  const key = join(cache, 'wetty-key')
  await writeFile(key, sshd.privateKey)
  await chmod(key, 0o600)
  const port = 20_000 + (process.pid % 10_000)
  const child = spawn(
    process.execPath,
    [
      join(folder, 'node_modules', '.bin', 'wetty'),
      '--host',
      '127.0.0.1',
      '--port',
      String(port),
      '--ssh-host',
      '127.0.0.1',
      '--ssh-port',
      String(sshd.port),
      '--ssh-user',
      sshd.user,
      '--ssh-auth',
      'publickey',
      '--ssh-key',
      key,
      '--known-hosts',
      '/dev/null',
      '--force-ssh',
      '--log-level',
      'error',
    ],
    { stdio: 'ignore', cwd: folder },
  )
  for (let tries = 0; !(await reachable(port)); tries++) {
    if (tries > 200) return null
    await new Promise((done) => setTimeout(done, 50))
  }
  const { io } = createRequire(join(folder, 'package.json'))('socket.io-client') as {
    io(url: string, options: object): IoSocket
  }
  return {
    name: 'wetty',
    async open() {
      const socket = io(`http://127.0.0.1:${port}`, {
        path: '/socket.io',
        transports: ['websocket'],
        forceNew: true,
      })
      let listener: (chunk: Buffer) => void = () => undefined
      socket.on('data', ((text: string) => {
        socket.emit('commit', text.length)
        listener(Buffer.from(text))
      }) as never)
      await new Promise<void>((resolve, reject) => {
        socket.on('login', (() => resolve()) as never)
        socket.on('connect_error', ((error: Error) => reject(error)) as never)
      })
      socket.emit('resize', { cols: 80, rows: 24 })
      return {
        write: (text) => socket.emit('input', text),
        onData: (next) => {
          listener = next
        },
        async close() {
          socket.disconnect()
        },
      }
    },
    async stop() {
      const ended = new Promise((done) => child.once('close', done))
      child.kill()
      await ended
    },
  }
}

function reachable(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(port, '127.0.0.1')
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
}
