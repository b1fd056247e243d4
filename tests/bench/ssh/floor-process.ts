import { createServer as createHttpServer } from 'node:http'
import { createServer, request } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import { Client } from 'ssh2'
import { WebSocketServer } from 'ws'
import { issueServerCertificate, makeSiteCa } from '../../../broker/http/site-ca.ts'
import { splice } from '../../../broker/link/splice.ts'
import { ALGORITHMS } from '../../../gateway/ssh/algorithms.ts'

/**
 * The floor under our path: the same legs, threads and libraries (TLS, splice, TLS, WebSocket, ssh2) and nothing of the
 * product on them: no session, no decision, no recording. What is above it is ours to mend; it itself is Node's.
 */
interface Target {
  port: number
  user: string
  privateKey: string
}
const HOST = 'floor.example'

if (isMainThread) {
  process.once('message', (target: Target) => void broker(target))
} else {
  gateway(workerData as { port: number; ca: string; target: Target })
}

async function broker(target: Target): Promise<void> {
  const ca = await makeSiteCa([HOST], Date.now())
  const { certificate, key } = await issueServerCertificate(ca, [HOST], Date.now())
  const server = createServer({ cert: certificate, key, minVersion: 'TLSv1.3' })
  let leg: Socket | null = null
  server.on('upgrade', (asked, duplex) => {
    const socket = duplex as Socket
    socket.setNoDelay(true)
    socket.setTimeout(0)
    if (asked.url === '/link') {
      leg = socket
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: floor\r\n\r\n')
      process.send?.({ port: (server.address() as AddressInfo).port, ca: ca.certificate, host: HOST })
      return
    }
    leg?.write(
      `GET / HTTP/1.1\r\nHost: floor\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
        `Sec-WebSocket-Key: ${asked.headers['sec-websocket-key']}\r\n\r\n`,
    )
    if (leg) void splice(socket, leg)
  })
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address() as AddressInfo
    new Worker(new URL(import.meta.url), { workerData: { port, ca: ca.certificate, target } })
  })
}

function gateway({ port, ca, target }: { port: number; ca: string; target: Target }): void {
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })
  const inner = createHttpServer()
  inner.on('upgrade', (asked, socket, head) =>
    sockets.handleUpgrade(asked, socket, head, (ws) => {
      const client = new Client()
      client.on('ready', () => {
        client.setNoDelay(true)
        client.shell({ term: 'xterm-256color' }, (error, channel) => {
          if (error) throw error
          channel.on('data', (bytes: Buffer) => ws.send(bytes))
          ws.on('message', (bytes: Buffer) => channel.write(bytes))
          ws.on('close', () => client.destroy())
        })
      })
      client.connect({
        host: '127.0.0.1',
        port: target.port,
        username: target.user,
        privateKey: target.privateKey,
        algorithms: ALGORITHMS,
      })
    }),
  )
  const call = request({
    host: '127.0.0.1',
    port,
    ca,
    servername: HOST,
    path: '/link',
    headers: { connection: 'Upgrade', upgrade: 'floor' },
  })
  call.on('upgrade', (_answer, socket) => {
    ;(socket as Socket).setNoDelay(true)
    inner.emit('connection', socket)
  })
  call.end()
}
