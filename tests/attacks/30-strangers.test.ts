import type { IncomingMessage } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { TERMINAL_PROTOCOL, TICKET_PROTOCOL_PREFIX } from '../../broker/contract/terminal.ts'
import { manualClock } from '../../broker/domain/manual-clock.ts'
import { browserUpgrade } from '../../broker/link/browser-upgrade.ts'
import { SocketRegistry } from '../../broker/link/socket-registry.ts'
import { SpliceDesk } from '../../broker/link/splice-desk.ts'
import { startCluster, type TestCluster } from '../broker/database.ts'
import { type TestBroker, testBroker } from '../broker/identity-support.ts'

/*
 * Threat 30: people without a sign-in keep the database from everybody else. Red when backChannelLogout verifies inside
 * its transaction again (broker/identity/sign-in-flows.ts), or without `rates.address` in broker/link/browser-upgrade.ts.
 */

let cluster: TestCluster
let broker: TestBroker
let silent: Server
const taken: Socket[] = []
beforeAll(async () => {
  cluster = await startCluster()
  // An identity provider that takes connections and says nothing.
  silent = createServer((socket) => {
    socket.on('error', () => undefined)
    taken.push(socket)
  })
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const { port } = silent.address() as AddressInfo
  broker = await testBroker(cluster, {
    providers: [
      {
        id: 'hangs',
        name: 'Hangs',
        issuer: `https://localhost:${port}`,
        clientId: 'sallyport',
        clientSecret: null,
        mapping: { organisations: {}, rolesClaim: 'groups', roles: {} },
      },
    ],
  })
})
afterAll(async () => {
  for (const socket of taken) socket.destroy()
  silent?.close()
  await broker?.close()
  await cluster?.close()
})

it('logout tokens from nowhere, while the identity provider hangs, take no database connection', async () => {
  const asked = Array.from({ length: 20 }, () =>
    broker.app.inject({
      method: 'POST',
      url: '/auth/oidc/hangs/back-channel-logout',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: 'logout_token=no.token.here',
    }),
  )
  await expect.poll(() => taken.length).toBeGreaterThanOrEqual(12)
  const since = performance.now()
  const ways = await broker.client().call('GET /api/sign-in/providers', {})
  expect(ways.passkeys).toBe(true)
  expect(performance.now() - since).toBeLessThan(2_000)
  for (const socket of taken) socket.destroy()
  for (const answer of await Promise.all(asked)) expect(answer.statusCode).toBe(400)
})

it('upgrades of one address are limited before anybody is looked up', async () => {
  let looked = 0
  const upgrade = browserUpgrade({
    origins: ['https://plant.example'],
    signedIn: async () => {
      looked += 1
      return null
    },
    admit: async () => ({ status: 404, code: 'not-found' }),
    control: () => null,
    splices: new SpliceDesk(),
    sockets: new SocketRegistry(),
    clock: manualClock(),
    failed: (error) => {
      throw error
    },
  })
  const knock = async () => {
    const answers: string[] = []
    const socket = Object.assign(new PassThrough(), {
      setTimeout: () => undefined,
      setNoDelay: () => undefined,
      remoteAddress: '192.0.2.7',
    })
    socket.on('data', (chunk) => answers.push(String(chunk)))
    const request = {
      method: 'GET',
      httpVersion: '1.1',
      url: '/ws/sessions/0192f7a0-0000-7000-8000-000000000001',
      headers: {
        origin: 'https://plant.example',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        'sec-websocket-protocol': `${TERMINAL_PROTOCOL}, ${TICKET_PROTOCOL_PREFIX}a.b.c`,
      },
    } as unknown as IncomingMessage
    upgrade(request, socket as unknown as Socket, Buffer.alloc(0))
    await expect.poll(() => answers.join('')).toContain('HTTP/1.1 ')
    return Number(answers.join('').slice(9, 12))
  }
  const answers = await Promise.all(Array.from({ length: 600 }, knock))
  expect(answers.filter((status) => status === 429)).toHaveLength(100)
  expect(looked).toBe(500)
})

it('who knows the id of a passkey keeps its owner from signing in nowhere but at their own address', async () => {
  // Red without the address in the key of `perCredential` (broker/identity/sign-in-flows.ts).
  const attempt = async (remoteAddress: string) => {
    const answer = await broker.app.inject({
      method: 'POST',
      url: '/api/sign-in/passkey',
      remoteAddress,
      headers: { origin: 'https://plant.example' },
      payload: {
        challengeId: '0192f7a0-0000-7000-8000-000000000001',
        assertion: {
          id: 'AAAA',
          rawId: 'AAAA',
          type: 'public-key',
          response: { clientDataJSON: 'AAAA', authenticatorData: 'AAAA', signature: 'AAAA' },
        },
      },
    })
    return answer.statusCode
  }
  for (let n = 0; n < 10; n += 1) expect(await attempt('192.0.2.8')).not.toBe(429)
  expect(await attempt('192.0.2.8')).toBe(429)
  expect(await attempt('192.0.2.9')).not.toBe(429)
})
