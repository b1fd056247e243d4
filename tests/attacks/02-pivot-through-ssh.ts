import { expect, it } from 'vitest'
import { until } from '../lab/until.ts'
import { startHostileAsset } from './hostile-asset.ts'
import type { System } from './system.ts'

/** The part of ssh2 that encrypts and writes one packet. */
interface Wire {
  _protocol: {
    _packetRW: {
      write: { allocStart: number; alloc(size: number): Buffer; finalize(packet: Buffer): Buffer }
    }
    _cipher: { encrypt(packet: Buffer): void }
  }
}

/**
 * Threat 2: the way to one asset becomes a way to others. Seen on the wire from the asset's side: what the gateway asks
 * of it, whatever the vendor's browser sends, and how it answers what the asset itself tries to open through it.
 */
export function pivotThroughSsh(system: () => System): void {
  it('the gateway asks for a shell and nothing else, whatever the vendor’s browser says', async () => {
    const { story } = system()
    const host = await startHostileAsset()
    try {
      const target = await story.asset({ name: 'Pivot 1', criticality: 'C4', target: host })
      const { terminal } = await story.session(target)
      expect(host.asked).toEqual(['session', 'pty', 'shell'])
      terminal.ws.send(JSON.stringify({ type: 'resize', cols: 100, rows: 40 }))
      await until(() => host.asked.includes('window-change'), 'the new size')
      terminal.ws.send(JSON.stringify({ type: 'forward', host: '127.0.0.1', port: 22 }))
      // A message that the protocol does not know costs the browser its socket.
      await until(() => terminal.closed !== null, 'the socket is closed')
      expect(new Set(host.asked)).toEqual(new Set(['session', 'pty', 'shell', 'window-change']))
    } finally {
      await host.close()
    }
  })

  it('what the asset opens towards the gateway is refused on the wire, named in the log, and bounded', async () => {
    const { story } = system()
    const host = await startHostileAsset()
    try {
      const target = await story.asset({ name: 'Pivot 2', criticality: 'C4', target: host })
      const { terminal, id } = await story.session(target)
      const client = host.shells[0]?.client
      if (!client) throw new Error('no shell')
      const outcome = new Map<string, string>()
      const note = (what: string) => (error: Error | undefined) =>
        outcome.set(what, error ? 'refused' : 'opened')
      client.forwardOut('127.0.0.1', 22, '127.0.0.1', 4000, note('forwarded-tcpip'))
      client.x11('127.0.0.1', 6000, note('x11'))
      client.openssh_forwardOutStreamLocal('/run/agent', note('forwarded-streamlocal@openssh.com'))
      await until(() => outcome.size === 3, 'three answers')
      expect([...outcome.values()]).toEqual(['refused', 'refused', 'refused'])
      openRaw(client as unknown as Wire, 'auth-agent@openssh.com', 70)
      openRaw(client as unknown as Wire, 'session', 71)
      openRaw(client as unknown as Wire, 'direct-tcpip', 72, [
        text('10.0.0.1'),
        u32(22),
        text('127.0.0.1'),
        u32(4000),
      ])
      openRaw(client as unknown as Wire, 'never-heard-of@example.com', 73)
      globalRequest(client as unknown as Wire, 'tcpip-forward')
      const named = async () =>
        (await story.entries(id))
          .filter(({ action }) => action === 'session.channel-refused')
          .map(({ details }) => String(details.channel))
          .sort()
      const all = [
        'auth-agent@openssh.com',
        'direct-tcpip',
        'forwarded-streamlocal@openssh.com',
        'forwarded-tcpip',
        'never-heard-of@example.com',
        'session',
        'tcpip-forward',
        'x11',
      ]
      await until(async () => (await named()).length === all.length, 'all are in the log').catch(
        async (error) => {
          throw new Error(`${error.message}: ${JSON.stringify(await named())}`)
        },
      )
      expect(await named()).toEqual(all)
      terminal.type('still-here\n')
      await terminal.sees('still-here')
      // An asset that goes on trying ends its own session, and does not fill the log.
      for (let n = 0; n < 60; n++) openRaw(client as unknown as Wire, 'auth-agent@openssh.com', 100 + n)
      expect((await terminal.state('closed')).end).toBe('protocol-violation')
      expect((await named()).length).toBeLessThanOrEqual(20)
    } finally {
      await host.close()
    }
  })
}

/** SSH_MSG_CHANNEL_OPEN (RFC 4254 section 5.1), which ssh2's server does not send for types like these. */
function openRaw(client: Wire, type: string, channel: number, more: Buffer[] = []): void {
  send(client, [Buffer.from([90]), text(type), u32(channel), u32(2 ** 20), u32(2 ** 15), ...more])
}

/** SSH_MSG_GLOBAL_REQUEST (section 4) that wants no answer. */
function globalRequest(client: Wire, type: string): void {
  send(client, [Buffer.from([80]), text(type), Buffer.from([0]), text('127.0.0.1'), u32(22)])
}

function send(client: Wire, parts: Buffer[]): void {
  const payload = Buffer.concat(parts)
  const { _packetRW, _cipher } = client._protocol
  const packet = _packetRW.write.alloc(payload.length)
  payload.copy(packet, _packetRW.write.allocStart)
  _cipher.encrypt(_packetRW.write.finalize(packet))
}

function text(value: string): Buffer {
  return Buffer.concat([u32(value.length), Buffer.from(value)])
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
