import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Grant } from '../../broker/domain/grant.ts'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { until } from '../lab/until.ts'
import { type House, startHouse } from './house.ts'

const missing = opensshMissing()

describe.skipIf(missing)(`openings that fail${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let lab: LabSshd
  let house: House
  beforeAll(async () => {
    lab = await startOpenssh()
    house = await startHouse()
  })
  afterAll(async () => {
    await house?.stop()
    await lab?.stop()
  })

  async function fails(change: Partial<Grant>) {
    const { broker } = house
    const grant = broker.grant(lab, change)
    expect(await broker.open(grant)).toMatchObject({ ok: true })
    const browser = await broker.browser(grant, 'open')
    browser.start()
    const closed = await broker.closed(grant, 15_000)
    await until(() => browser.closed !== null)
    expect(browser.last('state')).toMatchObject({ state: 'closed', end: closed.end, message: closed.message })
    expect(JSON.stringify(browser.messages)).not.toContain(lab.password)
    return { grant, closed }
  }

  it('a wrong password', async () => {
    await house.broker.passwordOf(lab, 'not-the-password')
    const { closed } = await fails({})
    expect(closed).toMatchObject({ end: 'open-failed', message: expect.stringContaining('did not accept') })
  })

  it('a changed host key: refused, reported, and no credential fetched', async () => {
    await house.broker.passwordOf(lab)
    const asked = house.broker.credentialsAsked
    const attempts = lab.log().split('password for').length
    const pinned = `SHA256:${'B'.repeat(43)}`
    const { grant, closed } = await fails({ identities: [{ algorithm: 'ssh-ed25519', fingerprint: pinned }] })
    expect(closed.end).toBe('target-identity-changed')
    expect(house.broker.eventsOf('identity-changed', grant.session)[0]).toMatchObject({
      expected: [pinned],
      seen: lab.fingerprints[0]?.fingerprint,
    })
    expect(house.broker.credentialsAsked).toBe(asked)
    expect(lab.log().split('password for').length).toBe(attempts)
  })

  it('nothing listens, no such host, and a credential that is refused or for another session', async () => {
    const { broker } = house
    expect((await fails({ address: { host: '127.0.0.1', port: 1 } })).closed.message).toContain(
      'nothing answers',
    )
    const unknown = await fails({ address: { host: 'no-such-host.invalid', port: 22 } })
    expect(unknown.closed.message).toContain('could not be resolved')
    broker.credential = async () => 'too-late'
    expect((await fails({})).closed.message).toContain('did not hand out')
    await broker.passwordOf(lab)
    const right = broker.credential
    broker.credential = async (ask) =>
      ({ ...((await right(ask)) as object), session: broker.gateway }) as never
    expect((await fails({})).closed.message).toContain('did not hand out')
  })

  it('probes a host key for an administrator', async () => {
    const answer = await house.broker.control?.ask(
      { type: 'probe', protocol: 'ssh', address: { host: lab.host, port: lab.port } },
      10_000,
    )
    expect(answer).toMatchObject({ ok: true, identity: lab.fingerprints[0] })
    const refused = await house.broker.control?.ask(
      { type: 'probe', protocol: 'ssh', address: { host: '127.0.0.1', port: 1 } },
      10_000,
    )
    expect(refused).toMatchObject({ ok: false, code: 'refused', identity: null })
  })

  it('what answers is asked for what it is, and a VNC grant must say how the asset is protected', async () => {
    const { broker } = house
    const address = { host: lab.host, port: lab.port }
    expect(await broker.control?.ask({ type: 'probe', protocol: 'vnc', address }, 10_000)).toMatchObject({
      ok: false,
      code: 'not-vnc',
      identity: null,
    })
    const vnc = { security: 'plain', authentication: 'password' } as const
    const open = (change: Partial<Grant>) => broker.open(broker.grant(lab, change))
    for (const change of [
      { protocol: 'vnc' },
      { protocol: 'ssh', vnc },
      { protocol: 'vnc', vnc: { ...vnc, security: 'x509' }, identities: [] },
      { protocol: 'ssh', identities: [] },
    ] as const)
      expect(await open(change as Partial<Grant>)).toMatchObject({ ok: false, code: 'bad-grant' })
  })
})
