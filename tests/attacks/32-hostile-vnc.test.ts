import { createServer, type Server, type Socket } from 'node:net'
import { deflateSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { DesktopBrowser, grantFor, openDesktop } from '../gateway/desktop-browser.ts'
import { type House, startHouse } from '../gateway/house.ts'
import { compactLength, pixel, rect, serverInit, u32, update } from '../lab/rfb-encoder.ts'
import { until } from '../lab/until.ts'
import { type LabVnc, startVnc, vncMissing } from '../lab/vnc-server.ts'

const missing = vncMissing()
const GREETING = 'RFB 003.008\n'
const NONE = Uint8Array.of(1, 1)
const OK = Uint8Array.from(u32(0))

/**
 * Threats 14 and 32 at a VNC server: another one answers in the asset's place, or the asset itself is hostile. Each ends
 * its own session, with its own reason; the session beside it goes on.
 */
describe.skipIf(missing)(`32-hostile-vnc${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let house: House
  let lab: LabVnc
  const servers: Server[] = []
  const sockets = new Set<Socket>()
  beforeAll(async () => {
    house = await startHouse()
    lab = await startVnc({ security: 'X509Vnc', certificate: true })
  })
  afterEach(() => {
    for (const socket of sockets) socket.destroy()
    for (const server of servers.splice(0)) server.close()
  })
  afterAll(async () => {
    await house?.stop()
    await lab?.stop()
  })

  /** A server that says one thing after another, whatever it hears. */
  async function hostile(house: House, ...steps: (Uint8Array | string)[]) {
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => {})
      const rest = [...steps]
      const next = () => {
        const step = rest.shift()
        if (step !== undefined) socket.write(step)
      }
      socket.on('data', next)
      next()
    }).listen(0, '127.0.0.1')
    servers.push(server)
    await new Promise((done) => server.once('listening', done))
    const { port } = server.address() as { port: number }
    const { broker } = house
    const grant = broker.grant(null, {
      ...grantFor(lab),
      address: { host: '127.0.0.1', port },
      identities: [],
      vnc: { security: 'plain', authentication: 'none' },
    })
    expect(await broker.open(grant)).toMatchObject({ ok: true })
    await DesktopBrowser.come(house, grant, 'open')
    return grant
  }

  it('pictures that lie: outside the screen, without an end, and ones that swell', async () => {
    const beside = await openDesktop(house, lab)
    const bomb = deflateSync(Buffer.alloc(64 * 1024 * 1024))
    for (const [what, picture] of [
      ['outside', update(rect(63, 0, 2, 1, 0, pixel(1, 2, 3), pixel(1, 2, 3)))],
      ['beyond any number', update(rect(65535, 65535, 65535, 65535, 0))],
      ['swelling', update(rect(0, 0, 64, 64, 16, u32(bomb.length), bomb))],
      ['swelling in Tight', update(rect(0, 0, 64, 64, 7, [0], compactLength(bomb.length), bomb))],
      ['an unknown encoding', update(rect(0, 0, 1, 1, 999))],
      ['no message', Buffer.alloc(64, 0xee)],
    ] as const) {
      const grant = await hostile(house, GREETING, NONE, OK, serverInit(64, 64), picture)
      const closed = await house.broker.closed(grant)
      expect([what, closed.end]).toEqual([what, 'protocol-violation'])
    }
    await lab.run('xsetroot', '-solid', '#112233')
    await beside.desktop.same(lab)
    await house.broker.command(beside.grant, 'stop')
    await house.broker.closed(beside.grant)
  })

  it('a few bytes that paint a whole large screen, again and again, leave the thread to others', async () => {
    const alone = await startHouse({ workers: 1 })
    try {
      const beside = await openDesktop(alone, lab)
      const fill = rect(0, 0, 4096, 4096, 7, [0x80, 1, 2, 3])
      const fills = update(...Array.from({ length: 20_000 }, () => fill))
      const grant = await hostile(alone, GREETING, NONE, OK, serverInit(4096, 4096), fills)
      await until(() => alone.broker.eventsOf('session-live', grant.session).length > 0)
      const began = performance.now()
      await lab.run('xsetroot', '-solid', '#332211')
      await beside.desktop.same(lab)
      expect(await alone.broker.command(beside.grant, 'stop')).toMatchObject({ ok: true })
      expect(await alone.broker.closed(beside.grant)).toMatchObject({ end: 'operator-stopped' })
      expect(await alone.broker.command(grant, 'stop')).toMatchObject({ ok: true })
      expect(performance.now() - began).toBeLessThan(20_000)
    } finally {
      await alone.stop()
    }
  })

  it('a screen of an impossible size opens no session', async () => {
    for (const [width, height] of [
      [65535, 65535],
      [0, 10],
    ] as const) {
      const grant = await hostile(house, GREETING, NONE, OK, serverInit(width, height))
      expect(await house.broker.closed(grant)).toMatchObject({ end: 'open-failed' })
    }
  })

  it('another server in the asset’s place, or one that offers less than was approved, gets no credential', async () => {
    const { broker } = house
    const asked = broker.credentialsAsked
    const plain = await startVnc({ security: 'VncAuth' })
    const other = await startVnc({ security: 'X509Vnc', certificate: true })
    try {
      for (const port of [plain.port, other.port]) {
        const grant = broker.grant(null, { ...grantFor(lab), address: { host: lab.host, port } })
        expect(await broker.open(grant)).toMatchObject({ ok: true })
        await DesktopBrowser.come(house, grant, 'open')
        expect(await broker.closed(grant)).toMatchObject({ end: 'target-identity-changed' })
      }
      // Encryption without a proof was approved; none at all was not.
      const grant = broker.grant(null, {
        ...grantFor(plain),
        vnc: { security: 'anonymous-tls', authentication: 'password' },
      })
      expect(await broker.open(grant)).toMatchObject({ ok: true })
      await DesktopBrowser.come(house, grant, 'open')
      expect(await broker.closed(grant)).toMatchObject({
        end: 'open-failed',
        message: expect.stringContaining('does not encrypt'),
      })
      expect(broker.credentialsAsked).toBe(asked)
    } finally {
      await plain.stop()
      await other.stop()
    }
  })
})
