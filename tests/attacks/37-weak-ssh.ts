import { connect, createServer, type Socket } from 'node:net'
import { expect, it } from 'vitest'
import { newHostKey, startHostileAsset } from './hostile-asset.ts'
import type { System } from './system.ts'

/**
 * Threat 37: weak SSH. The asset is the right one, with the right key; what it offers, or what somebody on the way makes
 * of the handshake, is not good enough to be given a password.
 */
export function weakSsh(system: () => System): void {
  it('an asset that offers SHA-1, CBC or a handshake open to Terrapin is refused before any credential', async () => {
    const { story } = system()
    const hostKey = newHostKey()
    const modern = await startHostileAsset({ hostKey })
    const target = await story.asset({ name: 'Old panel', criticality: 'C4', target: modern })
    await modern.close()
    // ssh2 adds kex-strict-s to what its server offers with `concat`: a server of before 2023 has no such thing.
    const oldKex = Object.assign(['curve25519-sha256'], { concat: () => ['curve25519-sha256'] })
    for (const [algorithms, sentence] of [
      [{ cipher: ['aes128-cbc'] }, /only outdated SSH algorithms/],
      [{ kex: ['diffie-hellman-group14-sha1'] }, /only outdated SSH algorithms/],
      [{ hmac: ['hmac-sha1'], cipher: ['aes128-ctr'] }, /only outdated SSH algorithms/],
      [{ cipher: ['chacha20-poly1305@openssh.com'], kex: oldKex }, /lacks strict key exchange/],
      [
        { cipher: ['aes128-ctr'], hmac: ['hmac-sha2-256-etm@openssh.com'], kex: oldKex },
        /lacks strict key exchange/,
      ],
    ] as const) {
      const host = await startHostileAsset({
        hostKey,
        port: modern.port,
        config: { algorithms: algorithms as never },
      })
      try {
        const { terminal, id } = await story.open(await story.approved(target))
        const closed = await terminal.state('closed')
        expect([closed.end, closed.message]).toEqual(['open-failed', expect.stringMatching(sentence)])
        expect(host.attempts, JSON.stringify(algorithms)).toEqual([])
        expect((await story.entries(id)).map(({ action }) => action)).not.toContain('credential.handed-out')
      } finally {
        await host.close()
      }
    }
    const again = await startHostileAsset({ hostKey, port: modern.port })
    const { terminal } = await story.open(await story.approved(target))
    await terminal.sees('$ ')
    expect(again.attempts).toHaveLength(1)
    await again.close()
  })

  it('a packet slipped into the handshake of a real OpenSSH (Terrapin) ends it before any credential', async () => {
    const { story, sshd } = system()
    const way = await slipInto(sshd.port)
    try {
      way.slip = false
      const target = await story.asset({
        name: 'Behind Terrapin',
        criticality: 'C4',
        target: { ...sshd, port: way.port },
      })
      const before = await story.session(target)
      before.terminal.leave()
      await before.terminal.state('closed')
      const accepted = () => sshd.log().split('Accepted password').length
      const times = accepted()

      way.slip = true
      const { terminal, id } = await story.open(await story.approved(target))
      expect((await terminal.state('closed')).end).toBe('open-failed')
      expect(way.slipped).toBe(1)
      expect((await story.entries(id)).map(({ action }) => action)).not.toContain('credential.handed-out')
      expect(accepted()).toBe(times)
    } finally {
      await way.close()
    }
  })
}

/** SSH_MSG_IGNORE (RFC 4253 section 11.2) as a packet of the handshake, which is not encrypted yet. */
const IGNORE = Buffer.from([0, 0, 0, 12, 6, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])

interface Way {
  port: number
  slip: boolean
  slipped: number
  close(): Promise<void>
}

/** Somebody on the way to `port`, who adds one packet behind the server's KEXINIT. */
async function slipInto(port: number): Promise<Way> {
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const asset = connect(port, '127.0.0.1')
    for (const socket of [client, asset]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        client.destroy()
        asset.destroy()
      })
    }
    client.pipe(asset)
    if (!way.slip) {
      asset.pipe(client)
      return
    }
    let seen = Buffer.alloc(0)
    const read = (bytes: Buffer) => {
      seen = Buffer.concat([seen, bytes])
      const version = seen.indexOf('\r\n')
      if (version < 0 || seen.length < version + 6) return
      const end = version + 2 + 4 + seen.readUInt32BE(version + 2)
      if (seen.length < end) return
      asset.off('data', read)
      client.write(seen.subarray(0, end))
      client.write(IGNORE)
      client.write(seen.subarray(end))
      way.slipped += 1
      asset.pipe(client)
    }
    asset.on('data', read)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  const way: Way = {
    port: typeof address === 'object' && address ? address.port : 0,
    slip: false,
    slipped: 0,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((done) => server.close(() => done()))
    },
  }
  return way
}
