import { randomBytes } from 'node:crypto'
import { createServer, type Socket } from 'node:net'
import { afterAll, expect, it } from 'vitest'
import { until } from '../lab/until.ts'
import { startHostileAsset } from './hostile-asset.ts'
import type { System } from './system.ts'

const MIB = 1024 * 1024

/**
 * Threat 32, for SSH: a hostile asset. What it sends, however large or broken, ends its own session with a reason; other
 * sessions, on the same worker threads, live on, and memory stays where it was.
 */
export function hostileSsh(system: () => System): void {
  /** Opened first and looked at last: silence takes as long as its deadline. */
  let silent: { closed(): Promise<string | null>; stop(): Promise<void> } | null = null
  afterAll(() => silent?.stop())

  it('before the handshake: endless greetings, packets of 4 GiB, noise', async () => {
    const { story, machine } = system()
    const robot = await machine()
    const other = await story.session(robot)
    const modern = await startHostileAsset()
    const target = await story.asset({ name: 'Hostile greeting', criticality: 'C4', target: modern })
    await modern.close()
    silent = await openSilent(system())
    const before = process.memoryUsage().rss
    for (const [what, speak] of Object.entries(GREETINGS)) {
      const sockets = new Set<Socket>()
      const server = createServer((socket) => {
        sockets.add(socket)
        socket.on('error', () => undefined).resume()
        speak(socket)
      })
      await new Promise<void>((done) => server.listen(modern.port, '127.0.0.1', done))
      const { terminal } = await story.open(await story.approved(target))
      const closed = await terminal.state('closed', 30_000)
      expect(closed.end, what).toBe('open-failed')
      expect(closed.message?.length, what).toBeGreaterThan(20)
      await until(() => [...sockets].every((socket) => socket.destroyed), `${what}: the gateway let go`)
      for (const socket of sockets) socket.destroy()
      await new Promise((done) => server.close(done))
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * MIB)
    other.terminal.type('echo alive-$((40+2))\n')
    await other.terminal.sees('alive-42')
    other.terminal.leave()
  })

  it('in the session: noise, broken packets, a flood; and a handshake that never comes', async () => {
    const { story, machine } = system()
    const robot = await machine()
    const other = await story.session(robot)
    const before = process.memoryUsage().rss
    for (const [what, attack] of Object.entries(IN_SESSION)) {
      const host = await startHostileAsset()
      const target = await story.asset({ name: `Hostile: ${what}`, criticality: 'C4', target: host })
      const { terminal, id } = await story.session(target)
      const inside = host.shells[0]
      if (!inside) throw new Error('no shell')
      const stop = attack(inside.socket)
      const closed = await terminal.state('closed', 30_000)
      stop?.()
      expect(['asset-lost', 'protocol-violation'], what).toContain(closed.end)
      expect(closed.message?.length, what).toBeGreaterThan(10)
      await until(() => inside.socket.destroyed, `${what}: the gateway let go`)
      await story.ended(id, { end: closed.end ?? 'idle', sentence: /./, recording: 'complete' })
      await host.close()
    }
    // A flood through a channel that is in order is slowed down, not kept.
    const host = await startHostileAsset()
    const target = await story.asset({ name: 'Hostile: flood', criticality: 'C4', target: host })
    const flooded = await story.session(target)
    const shell = host.shells[0]?.shell
    if (!shell) throw new Error('no shell')
    const block = Buffer.alloc(64 * 1024, '\u001b]0;title\u0007\u001b[31mred ')
    let on = true
    const pour = () => {
      while (on && shell.write(block));
      if (on) shell.once('drain', pour)
    }
    pour()
    await until(() => flooded.terminal.output.length > 8 * MIB, 'eight megabytes came through', 60_000)
    other.terminal.type('echo alive-$((40+2))\n')
    await other.terminal.sees('alive-42')
    const since = performance.now()
    await story.paul.call('POST /api/sessions/:id/stop', { params: { id: flooded.id }, body: {} })
    expect(performance.now() - since).toBeLessThan(5_000)
    on = false
    await host.close()
    expect(process.memoryUsage().rss - before).toBeLessThan(300 * MIB)
    other.terminal.leave()
    expect(await silent?.closed()).toBe('open-failed')
  })
}

/** A session to a port that takes the connection and says one byte a second, which is no SSH. */
async function openSilent({ story }: System) {
  const modern = await startHostileAsset()
  const target = await story.asset({ name: 'Hostile silence', criticality: 'C4', target: modern })
  await modern.close()
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).resume()
    const drip = setInterval(() => socket.write('\r'), 1_000)
    socket.on('close', () => clearInterval(drip))
  })
  await new Promise<void>((done) => server.listen(modern.port, '127.0.0.1', done))
  const { terminal } = await story.open(await story.approved(target))
  return {
    closed: async () => (await terminal.state('closed', 30_000)).end,
    async stop() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((done) => server.close(() => done()))
    },
  }
}

const pourInto = (socket: Socket, block: () => Buffer) => {
  const pour = () => {
    while (!socket.destroyed && socket.write(block()));
    if (!socket.destroyed) socket.once('drain', pour)
  }
  pour()
}

const GREETINGS: Record<string, (socket: Socket) => void> = {
  'a line without an end': (socket) => pourInto(socket, () => Buffer.alloc(64 * 1024, 'a')),
  'lines without an end': (socket) => pourInto(socket, () => Buffer.alloc(64 * 1024, 'not yet\r\n')),
  'a packet of 4 GiB': (socket) => {
    socket.write('SSH-2.0-OpenSSH_9.9\r\n')
    socket.write(Buffer.from([0xff, 0xff, 0xff, 0xff, 4]))
    pourInto(socket, () => Buffer.alloc(64 * 1024))
  },
  'a packet shorter than its padding': (socket) => {
    socket.write('SSH-2.0-OpenSSH_9.9\r\n')
    socket.write(Buffer.from([0, 0, 0, 12, 255, 20, ...randomBytes(11)]))
  },
  'an old protocol': (socket) => {
    socket.write('SSH-1.5-old\r\n')
  },
  'noise behind the version': (socket) => {
    socket.write('SSH-2.0-OpenSSH_9.9\r\n')
    pourInto(socket, () => randomBytes(64 * 1024))
  },
}

/** Written beneath the encryption, as a broken or hostile implementation does. */
const IN_SESSION: Record<string, (socket: Socket) => (() => void) | undefined> = {
  noise: (socket) => {
    socket.write(randomBytes(64 * 1024))
    return undefined
  },
  'a packet of 4 GiB': (socket) => {
    socket.write(Buffer.from([0xff, 0xff, 0xff, 0xff]))
    pourInto(socket, () => Buffer.alloc(64 * 1024))
    return undefined
  },
  'half a packet, then the end': (socket) => {
    socket.end(Buffer.from([0, 0, 0, 32, 1, 2, 3]))
    return undefined
  },
}
