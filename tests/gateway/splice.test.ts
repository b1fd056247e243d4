import { connect, createServer, type Server, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { CONTROL_PROTOCOL } from '../../broker/contract/link.ts'
import { InnerServer } from '../../gateway/edge/inner-server.ts'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { until } from '../lab/until.ts'
import { type House, openSession, startHouse } from './house.ts'

const missing = opensshMissing()

describe.skipIf(missing)(`legs of the splice that break${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let lab: LabSshd
  let house: House
  beforeAll(async () => {
    lab = await startOpenssh()
    house = await startHouse({ heartbeat: { everyMs: 200, silentMs: 1200 } })
  })
  afterAll(async () => {
    await house?.stop()
    await lab?.stop()
  })
  const held = (grant: { session: string }) =>
    until(
      () => house.broker.eventsOf('session-state', grant.session).some((event) => event.state === 'held'),
      'held',
    )
  const legs = () => house.broker.spliced.at(-1)!

  it('the browser’s leg half-open: it ends, both legs go, the session is held', async () => {
    const { grant, browser } = await openSession(house, lab)
    const { browser: leg, gateway } = legs()
    // A FIN and nothing more; the peer never closes its own half.
    ;(browser.ws as unknown as { _socket: Socket })._socket.end()
    await held(grant)
    await until(() => leg.destroyed && gateway.destroyed, 'both legs closed')
    await house.broker.command(grant, 'stop')
  })

  it('the browser’s leg errored', async () => {
    const { grant, browser } = await openSession(house, lab)
    const { browser: leg, gateway } = legs()
    ;(browser.ws as unknown as { _socket: Socket })._socket.resetAndDestroy()
    await held(grant)
    await until(() => leg.destroyed && gateway.destroyed, 'both legs closed')
    await house.broker.command(grant, 'stop')
  })

  it('the gateway’s leg errored', async () => {
    const { grant, browser } = await openSession(house, lab)
    const { browser: leg, gateway } = legs()
    gateway.destroy(new Error('cut'))
    await held(grant)
    await until(() => leg.destroyed && browser.closed !== null, 'browser told')
    await house.broker.command(grant, 'stop')
  })

  it('both legs stalled under a flood: the heartbeat notices, the asset is not held up', async () => {
    const { grant, browser } = await openSession(house, lab)
    browser.keepText = false
    browser.type('yes stalled\n')
    await until(() => browser.bytes > 500_000)
    browser.ws.pause()
    await held(grant)
    const back = await house.broker.browser(grant, 'attach')
    back.start()
    await back.sees('stalled')
    expect(await house.broker.command(grant, 'stop')).toMatchObject({ ok: true })
    browser.ws.terminate()
  })
})

describe('the inner server', () => {
  let server: Server
  const refused: string[] = []
  const inner = new InnerServer({
    authority: () => ({ brokerKeys: new Map(), gateway: '', deployment: '', site: '', now: Date.now() }),
    session: () => null,
    refused: (_session, code) => refused.push(code),
  })
  beforeAll(async () => {
    server = createServer((socket) => inner.accept(socket, 's'))
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  })
  afterAll(() => new Promise((done) => server.close(done)))
  afterEach(() => refused.splice(0))

  async function say(text: string): Promise<string> {
    const { port } = server.address() as { port: number }
    const socket = connect(port, '127.0.0.1')
    let got = ''
    socket.on('data', (chunk) => {
      got += chunk.toString()
    })
    socket.on('error', () => {})
    socket.write(text)
    await new Promise((done) => socket.once('close', done))
    return got
  }
  const upgrade = (extra = '') =>
    `GET /ws/sessions/x HTTP/1.1\r\nHost: g\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: ${CONTROL_PROTOCOL}\r\n${extra}\r\n`

  it('serves nothing but upgrades', async () => {
    expect(await say('GET / HTTP/1.1\r\nHost: g\r\n\r\n')).toMatch(/^HTTP\/1\.1 421 /)
    expect(await say('CONNECT a:1 HTTP/1.1\r\nHost: g\r\n\r\n')).toBe('')
    expect(await say('nonsense\r\n\r\n')).toBe('')
  })

  it('refuses an upgrade without a ticket, and a request that rides behind it', async () => {
    expect(await say(upgrade())).toMatch(/^HTTP\/1\.1 403 .*bad-ticket/s)
    expect(refused).toEqual(['bad-ticket'])
    expect(await say(upgrade() + upgrade())).toMatch(/^HTTP\/1\.1 403 .*early-bytes/s)
    expect(refused).toEqual(['bad-ticket', 'early-bytes'])
  })
})
