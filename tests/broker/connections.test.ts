import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterAll, expect, it } from 'vitest'
import { manualClock } from '../../broker/domain/manual-clock.ts'
import { buildApp } from '../../broker/http/app.ts'
import { publicOrigin } from '../../broker/http/origin.ts'
import { until } from '../lab/until.ts'
import { stubs } from './identity-support.ts'

/* Threat 30: red without `limitConnections` in broker/http/app.ts. */

const sockets: Socket[] = []
afterAll(() => {
  for (const socket of sockets) socket.destroy()
})

it('idle connections of one address have an end, and free what they held', async () => {
  const app = buildApp({
    handlers: [stubs()],
    origin: publicOrigin('http://localhost:3000', { allowHttpLocalhost: true }),
    signIns: {
      authenticate: async () => null,
      authenticateFromMemory: () => null,
      csrfToken: () => '',
    },
    recordDenied: async () => undefined,
    clock: manualClock(),
    tls: null,
    webDir: null,
    logger: null,
    connections: { perAddress: 3 },
  })
  try {
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo
    const dial = async () => {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => undefined)
      sockets.push(socket)
      await once(socket, 'connect')
      return socket
    }
    const kept = [await dial(), await dial(), await dial()]
    const fourth = await dial()
    await until(() => fourth.destroyed || fourth.readableEnded || fourth.closed, 'the fourth is closed')
    expect(kept.every((socket) => !socket.destroyed)).toBe(true)
    kept[0]?.destroy()
    const healthy = () => fetch(`http://127.0.0.1:${port}/healthz`).then(({ status }) => status === 418)
    await until(() => healthy().catch(() => false), 'there is room')
  } finally {
    await app.close()
  }
})
