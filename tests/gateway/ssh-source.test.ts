import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Secret } from '../../broker/domain/secret.ts'
import type { Login, SourceEvents } from '../../gateway/session/source.ts'
import { openSsh, type SshTarget } from '../../gateway/ssh/open-ssh.ts'
import { probeSsh } from '../../gateway/ssh/probe.ts'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { until } from '../lab/until.ts'

const missing = opensshMissing()

function listener() {
  const heard = { text: '', refused: [] as string[], closed: null as string | null }
  const events: SourceEvents = {
    output: (bytes) => {
      heard.text += bytes.toString()
    },
    drain: () => {},
    channelRefused: (channel) => heard.refused.push(channel),
    closed: (code) => {
      heard.closed = code
    },
  }
  return { heard, events }
}

const passwordOf =
  (lab: LabSshd, password = lab.password) =>
  async (): Promise<Login> => ({
    kind: 'password',
    account: lab.user,
    password: new Secret(Buffer.from(password)),
  })
const target = (lab: LabSshd): SshTarget => ({
  address: { host: lab.host, port: lab.port },
  identities: lab.fingerprints,
  account: lab.user,
  cols: 80,
  rows: 24,
})
const never = new AbortController().signal

describe.skipIf(missing)(`ssh source against OpenSSH${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let lab: LabSshd
  beforeAll(async () => {
    lab = await startOpenssh()
  })
  afterAll(() => lab.stop())

  it('opens a shell with a pty, types, resizes, ends', async () => {
    const { heard, events } = listener()
    const opened = await openSsh(target(lab), passwordOf(lab), events, never)
    if (!opened.ok) throw new Error(opened.failure.code)
    const { source, identity, algorithms } = opened.opened
    expect(lab.fingerprints).toContainEqual(identity)
    expect(algorithms).toMatchObject({ cipherOut: 'aes128-gcm@openssh.com', strictKex: 'yes' })
    source.resume()
    source.write(Buffer.from('echo $((20+3))-$TERM\n'))
    await until(() => heard.text.includes('23-xterm-256color'))
    source.resize(132, 43)
    source.write(Buffer.from('stty size\n'))
    await until(() => heard.text.includes('43 132'))
    source.write(Buffer.from('exit\n'))
    await until(() => heard.closed === 'shell-ended')
    expect(heard.refused).toEqual([])
  })

  it('logs in with a private key', async () => {
    const { events } = listener()
    const opened = await openSsh(
      target(lab),
      async () => ({
        kind: 'private-key',
        account: lab.user,
        privateKey: new Secret(Buffer.from(lab.privateKey)),
        passphrase: null,
      }),
      events,
      never,
    )
    expect(opened.ok).toBe(true)
    if (opened.ok) opened.opened.source.destroy()
  })

  it('wipes the password after the log-in', async () => {
    const { events } = listener()
    const password = Buffer.from(lab.password)
    const opened = await openSsh(
      target(lab),
      async () => ({ kind: 'password', account: lab.user, password: new Secret(password) }),
      events,
      never,
    )
    expect(opened.ok).toBe(true)
    expect(password.every((byte) => byte === 0)).toBe(true)
    if (opened.ok) opened.opened.source.destroy()
  })

  it('tells a wrong password apart, and tries it once', async () => {
    const before = lab.log().split('Failed password').length
    const answer = await openSsh(target(lab), passwordOf(lab, 'wrong'), listener().events, never)
    expect(answer).toMatchObject({ ok: false, failure: { code: 'wrong-credential' } })
    await until(() => lab.log().split('Failed password').length > before)
    expect(lab.log().split('Failed password').length - before).toBe(1)
  })

  it('refuses another host key before any credential is fetched', async () => {
    let fetched = 0
    const answer = await openSsh(
      { ...target(lab), identities: [{ algorithm: 'ssh-ed25519', fingerprint: `SHA256:${'A'.repeat(43)}` }] },
      async () => {
        fetched += 1
        return null
      },
      listener().events,
      never,
    )
    expect(answer).toMatchObject({ ok: false, failure: { code: 'identity-changed' } })
    expect(answer.ok === false && lab.fingerprints).toContainEqual(!answer.ok && answer.failure.seen)
    expect(fetched).toBe(0)
  })

  it('tells unknown host, refused and an address that may not be dialled apart', async () => {
    const code = async (host: string, port: number) => {
      const answer = await openSsh(
        { ...target(lab), address: { host, port } },
        passwordOf(lab),
        listener().events,
        never,
      )
      return answer.ok ? 'opened' : answer.failure.code
    }
    expect(await code('no-such-host.invalid', 22)).toBe('unknown-host')
    expect(await code('127.0.0.1', 1)).toBe('refused')
    expect(await code('169.254.169.254', 80)).toBe('address-not-allowed')
    expect(await code('localhost', lab.port)).toBe('address-not-allowed')
  })

  it('gives up at once when it is cancelled', async () => {
    const abort = new AbortController()
    const answer = openSsh(
      target(lab),
      async () => {
        abort.abort()
        return null
      },
      listener().events,
      abort.signal,
    )
    expect(await answer).toMatchObject({ ok: false, failure: { code: 'cancelled' } })
  })

  it('closes the socket at once on destroy, under a flood', async () => {
    const { heard, events } = listener()
    const opened = await openSsh(target(lab), passwordOf(lab), events, never)
    if (!opened.ok) throw new Error(opened.failure.code)
    opened.opened.source.resume()
    opened.opened.source.write(Buffer.from('yes flood\n'))
    await until(() => heard.text.length > 100_000)
    const before = (await lab.connections()).length
    opened.opened.source.destroy()
    const length = heard.text.length
    await until(async () => (await lab.connections()).length < before)
    expect(heard.text.length).toBe(length)
  })

  it('probes the host key without logging in', async () => {
    const answer = await probeSsh({ host: lab.host, port: lab.port })
    expect(answer).toEqual({ ok: true, identity: lab.fingerprints[0] })
  })
})

describe.skipIf(missing)('an asset that asks for new keys every megabyte (RekeyLimit)', () => {
  it('goes on, in both directions, with every byte of both sides', async () => {
    const lab = await startOpenssh({ extra: ['RekeyLimit 1M'] })
    try {
      const { heard, events } = listener()
      const opened = await openSsh(target(lab), passwordOf(lab), events, never)
      if (!opened.ok) throw new Error(opened.failure.code)
      const { source } = opened.opened
      source.resume()
      const hears = async (text: string) => {
        await until(() => heard.closed !== null || heard.text.includes(text), text, 30_000)
        expect(heard.closed).toBeNull()
      }
      source.write(Buffer.from("head -c 3000000 /dev/zero | tr '\\0' x; echo END-$((40+2))\n"))
      await hears('END-42')
      expect(heard.text.match(/x{1000,}/)?.[0].length).toBe(3_000_000)
      const count = 'stty raw -echo; echo READY-$((1+1)); head -c 2000000 | tr -d x | wc -c; stty sane'
      source.write(Buffer.from(`${count}; echo DONE-$((1+1))\n`))
      await hears('READY-2')
      for (let sent = 0; sent < 2_000_000; sent += 20_000) source.write(Buffer.alloc(20_000, 'x'))
      await hears('DONE-2')
      expect(heard.text).toMatch(/READY-2\s+0\s+DONE-2/)
      source.destroy()
    } finally {
      await lab.stop()
    }
  })
})

describe.skipIf(missing)('keyboard-interactive against OpenSSH', () => {
  it('answers the password prompt of PAM', async () => {
    const lab = await startOpenssh({ keyboardInteractive: true, publicKey: false })
    try {
      const opened = await openSsh(target(lab), passwordOf(lab), listener().events, never)
      expect(opened.ok ? 'opened' : [opened.failure.code, lab.log()]).toBe('opened')
      if (opened.ok) opened.opened.source.destroy()
      const wrong = await openSsh(target(lab), passwordOf(lab, 'wrong'), listener().events, never)
      expect(wrong).toMatchObject({ ok: false, failure: { code: 'wrong-credential' } })
    } finally {
      await lab.stop()
    }
  })
})
