import { createServer, type Server, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../broker/domain/clock.ts'
import type { DecoderSpares } from '../../gateway/desktop/child/spares.ts'
import { openVnc, type VncTarget } from '../../gateway/desktop/vnc/open-vnc.ts'
import { probeVnc } from '../../gateway/desktop/vnc/probe.ts'
import { joined, pixel, rect, serverInit, u32, update } from '../lab/rfb-encoder.ts'
import { until } from '../lab/until.ts'
import { listener, never, passwordOf, startSpares } from './vnc-support.ts'

let spares: DecoderSpares
let server: Server | null = null
const sockets = new Set<Socket>()
beforeAll(async () => {
  spares = await startSpares()
})
afterAll(() => spares?.stop())
afterEach(() => {
  for (const socket of sockets) socket.destroy()
  sockets.clear()
  server?.close()
})

/** A server that says one thing after another, whatever it hears; a pause of one client message between two. */
async function saying(...steps: (Uint8Array | string)[]): Promise<VncTarget> {
  server = createServer((socket) => {
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
  await new Promise((done) => server?.once('listening', done))
  const { port } = server.address() as { port: number }
  return {
    address: { host: '127.0.0.1', port },
    identities: [],
    account: 'vnc',
    security: 'plain',
    authentication: 'none',
  }
}

const GREETING = 'RFB 003.008\n'
const NONE = Uint8Array.of(1, 1)
const OK = Uint8Array.from(u32(0))
const open = (
  target: VncTarget,
  events = listener().events,
  times = { connectTimeoutMs: 2000, handshakeTimeoutMs: 5000 },
) =>
  openVnc(target, passwordOf('secret').login, events, never, { clock: systemClock, children: spares, times })

describe('hostile vnc servers', () => {
  for (const [what, code, steps] of [
    ['another protocol', 'not-vnc', ['SSH-2.0-OpenSSH_9.2\r\n']],
    ['no way to sign in', 'turned-away', [GREETING, Uint8Array.of(0)]],
    ['only unknown ways', 'no-common-security', [GREETING, Uint8Array.of(2, 30, 113)]],
    ['VeNCrypt of an old make', 'no-common-security', [GREETING, Uint8Array.of(1, 19), Uint8Array.of(0, 1)]],
    [
      'TLSPlain alone',
      'no-common-security',
      [GREETING, Uint8Array.of(1, 19), Uint8Array.of(0, 2), joined([0, 1], u32(259))],
    ],
    [
      'words in the clear before TLS',
      'not-vnc',
      [
        GREETING,
        Uint8Array.of(1, 19),
        Uint8Array.of(0, 2),
        joined([0, 1], u32(258)),
        joined([1], Buffer.alloc(100)),
      ],
    ],
    ['too many attempts', 'turned-away', [GREETING, NONE, Uint8Array.from(u32(2))]],
    ['a screen without an end', 'protocol-violation', [GREETING, NONE, OK, serverInit(65535, 65535)]],
    ['a name without an end', 'protocol-violation', [GREETING, NONE, OK, serverInit(8, 8).fill(255, 20, 24)]],
  ] as const)
    it(`${what}: ${code}`, async () => {
      expect(await open(await saying(...steps))).toMatchObject({ ok: false, failure: { code } })
    })

  it('a handshake that never ends, at whatever step: timed-out', async () => {
    for (const steps of [[], ['RFB 003.0'], [GREETING], [GREETING, NONE], [GREETING, NONE, OK]]) {
      const times = { connectTimeoutMs: 2000, handshakeTimeoutMs: 150 }
      const answer = await open(await saying(...steps), listener().events, times)
      expect(answer).toMatchObject({ ok: false, failure: { code: 'timed-out' } })
    }
    const target = await saying(GREETING)
    expect(await probeVnc(target.address, systemClock, 150)).toEqual({ ok: false, code: 'timed-out' })
  })

  it('a server that hangs up at whatever step: asset-lost', async () => {
    for (const steps of [[], [GREETING], [GREETING, NONE], [GREETING, NONE, OK]]) {
      const target = await saying(...steps)
      const opening = open(target)
      await until(() => sockets.size > 0)
      for (const socket of sockets) socket.end()
      expect(await opening).toMatchObject({ ok: false, failure: { code: 'asset-lost' } })
      sockets.clear()
      server?.close()
    }
  })

  it('speaks 3.7 without a result for None', async () => {
    const answer = await open(await saying('RFB 003.007\n', NONE, serverInit(8, 8)))
    expect(answer.ok && answer.opened.algorithms.rfb).toBe('3.7')
    if (answer.ok) answer.opened.source.destroy()
  })

  async function live() {
    const { heard, events } = listener()
    const answer = await open(await saying(GREETING, NONE, OK, serverInit(64, 64)), events)
    if (!answer.ok) throw new Error(answer.failure.code)
    const [socket] = sockets
    return { heard, source: answer.opened.source, socket: socket as Socket }
  }

  it('a lie in the middle ends the session as a violation, with what came before it painted', async () => {
    const { heard, source, socket } = await live()
    source.resume()
    socket.write(joined(update(rect(0, 0, 1, 1, 0, pixel(1, 2, 3))), update(rect(63, 0, 2, 1, 0))))
    await until(() => heard.closed !== null)
    expect([heard.closed, heard.why]).toEqual(['protocol-violation', 'a rectangle outside the screen'])
    expect(heard.canvas.at(0, 0)).toEqual([1, 2, 3])
    await until(() => socket.destroyed)
  })

  it('the last pictures of a connection that is cut are still painted', async () => {
    const { heard, source, socket } = await live()
    source.resume()
    socket.end(update(rect(0, 0, 1, 1, 0, pixel(4, 5, 6))))
    await until(() => heard.closed !== null)
    expect(heard.closed).toBe('asset-lost')
    expect(heard.canvas.at(0, 0)).toEqual([4, 5, 6])
  })

  it('a decoder that is shot ends its session and no other', async () => {
    const one = await live()
    const decoder = (one.source as unknown as { pid: number }).pid
    process.kill(decoder, 'SIGKILL')
    await until(() => one.heard.closed !== null)
    expect(one.heard.closed).toBe('decoder-failed')
    const two = await live()
    expect(two.heard.closed).toBeNull()
    two.source.destroy()
  })

  it('bells without end ring a few times', async () => {
    const { heard, source, socket } = await live()
    source.resume()
    socket.write(joined(Buffer.alloc(5000, 2), update(rect(0, 0, 1, 1, 0, pixel(1, 1, 1)))))
    await until(() => heard.canvas.flushes > 1)
    expect(heard.bells).toBeGreaterThan(0)
    expect(heard.bells).toBeLessThan(10)
    source.destroy()
  })

  it('pictures that nobody asked for wait at the server while the session is paused', async () => {
    const { heard, source, socket } = await live()
    const picture = update(rect(0, 0, 64, 64, 0, Buffer.alloc(64 * 64 * 4, 7)))
    let sent = 0
    while (socket.writableLength < 8 * 1024 * 1024) {
      socket.write(picture)
      sent++
    }
    // Only what the pipes hold is taken; the rest stays where it came from.
    let last = -1
    let still = 0
    await until(() => {
      still = socket.bytesWritten - socket.writableLength === last ? still + 1 : 0
      last = socket.bytesWritten - socket.writableLength
      return still > 40 && heard.canvas.flushes > 0
    }, 'the server has to wait')
    expect(heard.canvas.flushes).toBeLessThan(sent / 2)
    expect(socket.writableLength).toBeGreaterThan(0)
    source.resume()
    await until(() => heard.canvas.flushes > sent, 'all of them are painted', 30_000)
    source.destroy()
  })
})
