import { generateKeyPairSync } from 'node:crypto'
import type { AddressInfo, Socket } from 'node:net'
import ssh2, { type Connection, type ServerChannel, type ServerConfig } from 'ssh2'
import { describeHostKey } from '../../gateway/ssh/host-key.ts'

/** An SSH server that does what OpenSSH would not, and writes down all that it is asked. */
export interface HostileAsset {
  port: number
  user: string
  password: string
  identity: { algorithm: string; fingerprint: string }
  /** Authentication methods that were tried with a credential. */
  attempts: string[]
  /** Every channel and request that the gateway sent, by its name on the wire. */
  asked: string[]
  /** The connections that have a shell, with the socket underneath. */
  shells: { client: Connection; shell: ServerChannel; socket: Socket }[]
  close(): Promise<void>
}

export interface HostileOptions {
  port?: number
  hostKey?: string
  config?: Partial<ServerConfig>
}

export function newHostKey(): string {
  return generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'sec1', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  }).privateKey
}

export async function startHostileAsset(options: HostileOptions = {}): Promise<HostileAsset> {
  const hostKey = options.hostKey ?? newHostKey()
  const parsed = ssh2.utils.parseKey(hostKey)
  if (parsed instanceof Error) throw parsed
  const sockets = new Set<Socket>()
  const asset: Omit<HostileAsset, 'port' | 'close'> = {
    user: 'service',
    password: 'the-password-of-the-hostile-asset',
    identity: describeHostKey(parsed.getPublicSSH()),
    attempts: [],
    asked: [],
    shells: [],
  }
  const server = new ssh2.Server({ hostKeys: [hostKey], ...options.config }, (client) => {
    const socket = (client as unknown as { _sock: Socket })._sock
    sockets.add(socket)
    client.on('error', () => undefined)
    client.on('authentication', (context) => {
      if (context.method !== 'none') asset.attempts.push(context.method)
      if (context.method === 'password' && context.password === asset.password) context.accept()
      else context.reject(['password'])
    })
    client.on('request', (_accept, reject, name) => {
      asset.asked.push(name)
      reject?.()
    })
    for (const channel of ['tcpip', 'openssh.streamlocal'])
      client.on(channel as 'tcpip', (_accept, reject) => {
        asset.asked.push(channel)
        reject()
      })
    client.on('session', (accept) => {
      asset.asked.push('session')
      const session = accept()
      for (const request of ['env', 'x11', 'auth-agent', 'sftp', 'exec', 'subsystem'] as const)
        session.on(request as 'env', (_accept, reject) => {
          asset.asked.push(request)
          reject?.()
        })
      session.on('pty', (acceptPty) => {
        asset.asked.push('pty')
        acceptPty?.()
      })
      session.on('window-change', () => asset.asked.push('window-change'))
      session.on('shell', (acceptShell) => {
        asset.asked.push('shell')
        const shell = acceptShell()
        shell.on('error', () => undefined)
        shell.on('data', (bytes: Buffer) => shell.write(bytes))
        shell.write('$ ')
        asset.shells.push({ client, shell, socket })
      })
    })
  })
  await new Promise<void>((done) => server.listen(options.port ?? 0, '127.0.0.1', done))
  return {
    ...asset,
    port: (server.address() as AddressInfo).port,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((done) => server.close(() => done()))
    },
  }
}
