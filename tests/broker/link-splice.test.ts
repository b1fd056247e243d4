import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { WebSocket } from 'ws'
import { TERMINAL_PROTOCOL } from '../../broker/contract/terminal.ts'
import { splice } from '../../broker/link/splice.ts'
import { until } from '../lab/until.ts'
import { ORIGIN, person, SITE, type SpliceRig, spliceRig } from './link-support.ts'

let rig: SpliceRig
afterEach(async () => {
  await rig.close()
})

async function pair(
  options?: Parameters<SpliceRig['browser']>[0],
): Promise<{ ws: WebSocket; peer: WebSocket }> {
  const before = rig.peers.length
  const ws = await rig.browser(options)
  ws.on('error', () => undefined)
  await until(() => rig.peers.length > before, 'the gateway has its end')
  return { ws, peer: rig.peers.at(-1)! }
}

const upgrade = (extra = '', path?: string) =>
  `GET ${path ?? `/ws/sessions/${rig.session}`} HTTP/1.1\r\nHost: ${SITE}\r\nOrigin: ${ORIGIN}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Protocol: ${TERMINAL_PROTOCOL}, sallyport.ticket.a.b.c\r\n${extra}\r\n`

const gone = () => until(() => rig.sockets.size === 0, 'both legs are gone', 15_000)

describe('what crosses the splice', () => {
  it('only Sec-WebSocket headers and the ticket; no cookie, no identity, nothing unknown (threat 36)', async () => {
    rig = await spliceRig()
    const { ws } = await pair({
      headers: {
        cookie: '__Host-sallyport-sign-in=secret',
        authorization: 'Bearer secret',
        'x-forwarded-for': '10.0.0.1',
        forwarded: 'for=10.0.0.1',
        'x-sallyport-ticket': 'spoof.ed.ticket',
        'x-remote-user': 'root',
        'user-agent': 'browser',
      },
    })
    expect(ws.protocol).toBe(TERMINAL_PROTOCOL)
    const { rawHeaders } = rig.upgrades[0]!
    expect(rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase())).toEqual([
      'host',
      'connection',
      'upgrade',
      'sec-websocket-version',
      'sec-websocket-key',
      'sec-websocket-protocol',
      'x-sallyport-ticket',
    ])
    expect(rig.upgrades[0]!.headers['x-sallyport-ticket']).toBe('a.b.c')
    expect(rawHeaders.join('\n')).not.toContain('secret')
    ws.terminate()
    await gone()
  })

  it('64 MiB in one message comes back unchanged, and neither leg buffers it', async () => {
    rig = await spliceRig()
    const { ws } = await pair()
    const big = randomBytes(64 << 20)
    let most = 0
    const watch = setInterval(() => {
      for (const leg of rig.browserLegs) most = Math.max(most, leg.writableLength)
    }, 5)
    const back = once(ws, 'message') as Promise<[Buffer]>
    ws.send(big)
    const [got] = await back
    clearInterval(watch)
    expect(createHash('sha256').update(got).digest('hex')).toBe(
      createHash('sha256').update(big).digest('hex'),
    )
    expect(most).toBeLessThan(4 << 20)
    ws.close(1000)
    await gone()
  }, 60_000)

  it('a browser that does not read slows the gateway down and never fills the broker', async () => {
    rig = await spliceRig()
    const { ws, peer } = await pair()
    ws.pause()
    const chunk = Buffer.alloc(64 << 10, 1)
    for (let i = 0; i < 512; i++) peer.send(chunk)
    const gatewayLeg = rig.gatewayLegs[0]!
    let last = -1
    await until(async () => {
      const now = gatewayLeg.bytesWritten
      const still = now === last
      last = now
      await new Promise((resolve) => setTimeout(resolve, 50))
      return still && peer.bufferedAmount > 4 << 20
    }, 'the gateway is held back')
    expect(rig.browserLegs[0]!.writableLength).toBeLessThan(2 << 20)
    let received = 0
    ws.on('message', (data) => {
      received += (data as Buffer).length
    })
    ws.resume()
    await until(() => received === 512 * chunk.length, 'everything has come', 30_000)
    ws.terminate()
    await gone()
  }, 60_000)

  it('close codes travel both ways', async () => {
    rig = await spliceRig()
    const one = await pair()
    const atPeer = once(one.peer, 'close')
    one.ws.close(4001, 'bye')
    expect((await atPeer).map(String)).toEqual(['4001', 'bye'])
    const two = await pair()
    const atBrowser = once(two.ws, 'close')
    two.peer.close(4410, 'revoked')
    expect((await atBrowser).map(String)).toEqual(['4410', 'revoked'])
    await gone()
  })
})

describe('legs that die', () => {
  const quick = { idleMs: 60_000, lingerMs: 150 }

  it('a browser that half-closes towards a silent gateway is let go after the linger', async () => {
    rig = await spliceRig(quick)
    const socket = await rig.raw()
    socket.on('error', () => undefined)
    socket.write(upgrade())
    await until(() => rig.peers.length === 1, 'it is spliced')
    // The peer never answers the end: its leg would stay open for ever with pipe() alone.
    rig.peers[0]!.pause()
    socket.end()
    await gone()
    expect(rig.browserLegs[0]!.destroyed).toBe(true)
    await until(() => rig.gatewayLegs[0]!.destroyed, 'the gateway leg is gone')
  })

  it('a leg that ends towards a peer that never does: both are let go, with half-open sockets too', async () => {
    rig = await spliceRig()
    const legs: Socket[] = []
    const server = createServer({ allowHalfOpen: true }, (socket) => legs.push(socket)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const dial = async () => {
      const { port } = server.address() as AddressInfo
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      await once(socket, 'connect')
      return socket
    }
    const browser = await dial()
    await until(() => legs.length === 1, 'one leg')
    const gateway = await dial()
    await until(() => legs.length === 2, 'two legs')
    const spliced = splice(legs[0]!, legs[1]!, quick)
    // Reads, but never answers the end with its own.
    gateway.resume()
    browser.resume()
    browser.end('last words')
    expect(await spliced).toBe('lingered')
    expect(legs.every((leg) => leg.destroyed)).toBe(true)
    for (const socket of [browser, gateway]) socket.destroy()
    server.close()
  })

  it('an errored browser takes the gateway leg down at once, and the other way round', async () => {
    rig = await spliceRig({ idleMs: 60_000, lingerMs: 60_000 })
    const one = await pair()
    const atPeer = once(one.peer, 'close')
    one.ws.terminate()
    expect(Number((await atPeer)[0])).toBe(1006)
    await gone()
    const two = await pair()
    const atBrowser = once(two.ws, 'close')
    rig.gatewayLegs[1]!.destroy()
    expect(Number((await atBrowser)[0])).toBe(1006)
    await gone()
  })

  it('two stalled legs are noticed by the idle limit', async () => {
    rig = await spliceRig({ idleMs: 400, lingerMs: 150 })
    const { ws, peer } = await pair()
    const chunk = Buffer.alloc(1 << 20)
    ws.pause()
    peer.pause()
    for (let i = 0; i < 16; i++) peer.send(chunk)
    for (let i = 0; i < 16; i++) ws.send(chunk)
    await gone()
  })

  it('the idle limit spares a slow transfer and one that is kept alive', async () => {
    rig = await spliceRig({ idleMs: 400, lingerMs: 150 })
    const { ws, peer } = await pair()
    const beat = setInterval(() => peer.ping(), 100)
    let pings = 0
    ws.on('ping', () => {
      pings += 1
    })
    await until(() => pings >= 12, 'it has lived three limits long')
    clearInterval(beat)
    expect(ws.readyState).toBe(ws.OPEN)
    ws.terminate()
    await gone()
  })

  it('revocation closes both legs at once (threat 39)', async () => {
    rig = await spliceRig()
    const { ws, peer } = await pair()
    const closed = Promise.all([once(ws, 'close'), once(peer, 'close')])
    const since = performance.now()
    expect(rig.sockets.close((socket) => socket.person === person.personId)).toBe(1)
    await closed
    // What is promised of a revocation.
    expect(performance.now() - since).toBeLessThan(5_000)
    await gone()
  })

  it('a revocation that comes while the gateway is still dialling closes the socket too', async () => {
    rig = await spliceRig()
    rig.admit.dial = false
    const opening = rig.browser()
    const failed = expect(opening).rejects.toThrow()
    await until(() => rig.sockets.size === 1, 'it waits')
    rig.sockets.close(() => true)
    await failed
    await gone()
  })
})

describe('what is refused', () => {
  const status = async (options?: Parameters<SpliceRig['browser']>[0]) =>
    rig.browser(options).then(
      (ws) => {
        ws.terminate()
        return 101
      },
      (error: { status?: number }) => error.status ?? 0,
    )

  it('says why with a status, and no gateway hears of it', async () => {
    rig = await spliceRig()
    expect(await status({ origin: 'https://evil.test' })).toBe(403)
    expect(await status({ origin: null })).toBe(403)
    expect(await status({ path: '/ws/sessions/../../etc' })).toBe(404)
    expect(await status({ path: '/somewhere' })).toBe(404)
    expect(await status({ protocols: [TERMINAL_PROTOCOL] })).toBe(400)
    expect(await status({ protocols: ['sallyport.ticket.a.b.c'] })).toBe(400)
    rig.admit.principal = null
    expect(await status()).toBe(401)
    rig.admit.principal = person
    rig.admit.answer = { status: 403, code: 'ticket-refused' }
    expect(await status()).toBe(403)
    rig.admit.answer = { gateway: rig.gateway }
    rig.admit.online = false
    expect(await status()).toBe(503)
    expect(rig.upgrades).toHaveLength(0)
    expect(rig.sockets.size).toBe(0)
  })

  it('a gateway that refuses is a plain 403 here; nothing of its answer reaches the browser', async () => {
    rig = await spliceRig()
    const refused = await rig
      .browser({ protocols: [TERMINAL_PROTOCOL, 'sallyport.ticket.refuse.me.please'] })
      .then(
        () => null,
        (error: { status: number; response: { headers: Record<string, unknown> } }) => error,
      )
    expect(refused?.status).toBe(403)
    expect(refused?.response.headers['set-cookie']).toBeUndefined()
    await gone()
  })

  it('bytes that come before the answer, and a second request behind the first', async () => {
    rig = await spliceRig()
    const early = await rig.raw()
    early.write(`${upgrade()}GET /admin HTTP/1.1\r\nHost: a\r\n\r\n`)
    expect(String((await once(early, 'data'))[0])).toMatch(/^HTTP\/1\.1 400 /)
    // Behind a refused upgrade nothing is piped, so nothing can be smuggled.
    const late = await rig.raw()
    late.write(upgrade().replace('a.b.c', 'refuse.me.please'))
    await once(late, 'data')
    late.write('GET /admin HTTP/1.1\r\nHost: a\r\n\r\n')
    late.destroy()
    await gone()
    expect(rig.smuggled).toEqual([])
  })

  it('a body, an old version, a key that is none', async () => {
    rig = await spliceRig()
    for (const bad of [
      upgrade('Content-Length: 5\r\n'),
      upgrade('Transfer-Encoding: chunked\r\n'),
      upgrade().replace('Version: 13', 'Version: 8'),
      upgrade().replace(/Key: .*\r\n/, 'Key: short\r\n'),
      upgrade('Sec-WebSocket-Extensions: x"\u0001\r\n'),
    ]) {
      const socket = await rig.raw()
      socket.write(bad)
      expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1\.1 400 /)
      socket.destroy()
    }
    expect(rig.upgrades).toHaveLength(0)
  })

  it('a splice that nobody waits for, or another gateway dials', async () => {
    rig = await spliceRig()
    const { dialSplice } = await import('../../gateway/edge/dial-splice.ts')
    const link = `https://127.0.0.1:${rig.linkPort}`
    expect(await dialSplice(link, '0190a5d0-0000-7000-8000-00000000ffff', rig.linkContext)).toBeNull()
    const waiting = rig.desk.await('0190a5d0-0000-7000-8000-00000000fff1', 'another-gateway', 5_000)
    expect(await dialSplice(link, '0190a5d0-0000-7000-8000-00000000fff1', rig.linkContext)).toBeNull()
    waiting.cancel()
    expect(await waiting.socket).toBeNull()
  })
})
