import { generateKeyPairSync } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import ssh2, { type Connection, type ServerConfig } from 'ssh2'
import { afterEach, describe, expect, it } from 'vitest'
import { Secret } from '../../broker/domain/secret.ts'
import type { SourceEvents } from '../../gateway/session/source.ts'
import { describeHostKey } from '../../gateway/ssh/host-key.ts'
import { openSsh } from '../../gateway/ssh/open-ssh.ts'
import { until } from '../lab/until.ts'

/** A hostile or outdated asset: an SSH server of our own that does what OpenSSH would not. */
const stops: (() => void)[] = []
afterEach(() => {
  for (const stop of stops.splice(0)) stop()
})

function hostKey() {
  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'sec1', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  const parsed = ssh2.utils.parseKey(privateKey)
  if (parsed instanceof Error) throw parsed
  return { privateKey, parsed }
}

async function asset(config: Partial<ServerConfig>, onConnection: (client: Connection) => void) {
  const { privateKey, parsed } = hostKey()
  const attempts: string[] = []
  const server = new ssh2.Server({ hostKeys: [privateKey], ...config }, (client) => {
    client.on('error', () => {})
    client.on('authentication', (context) => {
      attempts.push(context.method)
      if (context.method === 'password' && context.password === 'right') context.accept()
      else context.reject(['password'])
    })
    onConnection(client)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  stops.push(() => server.close())
  const { port } = server.address() as AddressInfo
  return { port, identity: describeHostKey(parsed.getPublicSSH()), attempts }
}

async function connect(to: { port: number; identity: { algorithm: string; fingerprint: string } }) {
  const heard = { text: '', refused: [] as string[], fetched: 0, closed: [] as unknown[] }
  const events: SourceEvents = {
    output: (bytes) => {
      heard.text += bytes.toString()
    },
    drain: () => {},
    channelRefused: (channel) => heard.refused.push(channel),
    closed: (...why) => heard.closed.push(why),
  }
  const answer = await openSsh(
    {
      address: { host: '127.0.0.1', port: to.port },
      identities: [to.identity],
      account: 'u',
      cols: 80,
      rows: 24,
    },
    async () => {
      heard.fetched += 1
      return { kind: 'password', account: 'u', password: new Secret(Buffer.from('right')) }
    },
    events,
    new AbortController().signal,
  )
  if (answer.ok) stops.push(() => answer.opened.source.destroy())
  return { answer, heard }
}

const shell = (client: Connection, then: () => void) => {
  client.on('session', (accept) => {
    const session = accept()
    session.on('pty', (acceptPty) => acceptPty?.())
    session.on('shell', (acceptShell) => {
      acceptShell()
      then()
    })
  })
}

describe('a key exchange in the middle of a session', () => {
  async function rekeyed(change: (client: Connection) => void) {
    const host = await asset({}, (client) => {
      client.on('session', (accept) => {
        const session = accept()
        session.on('pty', (acceptPty) => acceptPty?.())
        session.on('shell', (acceptShell) => {
          const channel = acceptShell()
          channel.on('data', () => {
            change(client)
            client.rekey(() => channel.write('new keys'))
          })
        })
      })
    })
    const { answer, heard } = await connect(host)
    if (!answer.ok) throw new Error(answer.failure.code)
    answer.opened.source.resume()
    answer.opened.source.write(Buffer.from('x'))
    await until(() => heard.text !== '' || heard.closed.length > 0)
    return heard
  }

  it('changes nothing when the asset is the same', async () => {
    expect(await rekeyed(() => {})).toMatchObject({ text: 'new keys', closed: [] })
  })

  it('with another host key ends the session as that, and says which key was seen', async () => {
    const { parsed } = hostKey()
    const heard = await rekeyed((client) => {
      const { _protocol } = client as unknown as { _protocol: { _hostKeys: Record<string, unknown> } }
      _protocol._hostKeys['ecdsa-sha2-nistp256'] = parsed
    })
    expect(heard.closed).toEqual([['identity-changed', describeHostKey(parsed.getPublicSSH())]])
    expect(heard.text).toBe('')
  })
})

describe('what an asset tries to open towards the gateway', () => {
  it('is refused on the wire and reported: forwarded-tcpip, x11, agent, streamlocal, unknown', async () => {
    const outcome = new Map<string, string>()
    const host = await asset({}, (client) =>
      shell(client, () => {
        const note = (what: string) => (error: Error | undefined) =>
          outcome.set(what, error ? `refused: ${error.message}` : 'opened')
        client.forwardOut('127.0.0.1', 22, '127.0.0.1', 4000, note('forwarded-tcpip'))
        client.x11('127.0.0.1', 6000, note('x11'))
        client.openssh_forwardOutStreamLocal('/run/agent', note('forwarded-streamlocal@openssh.com'))
      }),
    )
    const { answer, heard } = await connect(host)
    expect(answer.ok).toBe(true)
    await until(() => outcome.size === 3)
    for (const said of outcome.values()) expect(said).toMatch(/^refused/)
    expect(heard.refused.sort()).toEqual(['forwarded-streamlocal@openssh.com', 'forwarded-tcpip', 'x11'])
  })

  it('weak algorithms only: refused, told apart, no credential fetched', async () => {
    for (const algorithms of [
      { cipher: ['aes128-cbc'] },
      { kex: ['diffie-hellman-group14-sha1'] },
      { hmac: ['hmac-sha1'], cipher: ['aes128-ctr'] },
    ]) {
      const host = await asset({ algorithms } as Partial<ServerConfig>, () => {})
      const { answer, heard } = await connect(host)
      expect(answer).toMatchObject({ ok: false, failure: { code: 'no-common-algorithm' } })
      expect(heard.fetched).toBe(0)
      expect(host.attempts).toEqual([])
    }
  })

  it('chacha20 or encrypt-then-MAC without strict key exchange (Terrapin): refused before any authentication', async () => {
    for (const [algorithms, taken] of [
      [{ cipher: ['chacha20-poly1305@openssh.com'] }, false],
      [{ cipher: ['aes128-ctr'], hmac: ['hmac-sha2-256-etm@openssh.com'] }, false],
      [{ cipher: ['aes128-gcm@openssh.com'] }, true],
    ] as const) {
      // ssh2 adds kex-strict-s to what its server offers with `concat`: a server of before 2023 has no such thing.
      const kex = Object.assign(['curve25519-sha256'], { concat: () => ['curve25519-sha256'] })
      const host = await asset(
        { algorithms: { ...algorithms, kex } } as unknown as Partial<ServerConfig>,
        (client) => shell(client, () => {}),
      )
      const { answer, heard } = await connect(host)
      if (taken) expect(answer.ok && answer.opened.algorithms).toMatchObject({ strictKex: 'no' })
      else {
        expect(answer).toMatchObject({ ok: false, failure: { code: 'weak-handshake' } })
        expect(heard.fetched).toBe(0)
        expect(host.attempts).toEqual([])
      }
    }
  })

  it('a server that takes anybody without a credential is not the approved asset', async () => {
    const server = await asset({}, (client) => {
      client.removeAllListeners('authentication')
      client.on('authentication', (context) => context.accept())
      shell(client, () => {})
    })
    const { answer, heard } = await connect(server)
    expect(answer).toMatchObject({ ok: false, failure: { code: 'wrong-credential' } })
    expect(heard.fetched).toBe(0)
  })

  it('a port that speaks something else, or nothing', async () => {
    const { createServer } = await import('node:net')
    const server = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    stops.push(() => server.close())
    const { port } = server.address() as AddressInfo
    const { answer } = await connect({
      port,
      identity: { algorithm: 'ssh-ed25519', fingerprint: 'SHA256:x' },
    })
    expect(answer).toMatchObject({ ok: false, failure: { code: 'not-ssh' } })
  })
})
