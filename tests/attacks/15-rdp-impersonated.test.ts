import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Grant } from '../../broker/domain/grant.ts'
import { describeCertificate } from '../../gateway/target/certificate.ts'
import { DesktopBrowser } from '../gateway/desktop-browser.ts'
import { type House, startHouse } from '../gateway/house.ts'
import {
  confirmOf,
  type RdpScript,
  rdpIdentity,
  type ScriptedRdp,
  startScriptedRdp,
} from '../lab/rdp-script.ts'

/**
 * Threats 14 and 15 at an RDP server: somebody answers in the asset's place, or takes away what protects the sign-in. The
 * session is refused, and neither password nor name has left: the credential was not even fetched.
 */
describe('15-rdp-impersonated', () => {
  let house: House
  let asset: ScriptedRdp
  const impostors: ScriptedRdp[] = []
  beforeAll(async () => {
    house = await startHouse({ workers: 1 })
    asset = await startScriptedRdp()
  })
  afterEach(async () => {
    for (const one of impostors.splice(0)) await one.stop()
  })
  afterAll(async () => {
    await house?.stop()
    await asset?.stop()
  })

  async function refused(script: RdpScript, change: Partial<Grant> = {}) {
    const impostor = await startScriptedRdp(script)
    impostors.push(impostor)
    const { broker } = house
    const asked = broker.credentialsAsked
    const grant = broker.grant(null, {
      protocol: 'rdp',
      rdp: { security: 'nla' },
      identities: [describeCertificate(asset.certificate)],
      address: { host: impostor.host, port: impostor.port },
      account: 'PLANT\\maintenance',
      ...change,
    })
    await broker.passwordOf({ user: grant.account, password: 'not-for-impostors' })
    expect(await broker.open(grant)).toMatchObject({ ok: true })
    await DesktopBrowser.come(house, grant, 'open')
    const closed = await broker.closed(grant)
    expect(broker.credentialsAsked).toBe(asked)
    const received = impostor.received().toString('latin1')
    expect(received.length).toBeGreaterThan(0)
    // As they are, and as RDP says them.
    for (const word of ['maintenance', 'PLANT', 'not-for-impostors'])
      for (const form of [word, Buffer.from(word, 'utf16le').toString('latin1')])
        expect(received.includes(form)).toBe(false)
    return closed
  }

  it('another certificate, with NLA and without', async () => {
    for (const security of ['nla', 'tls'] as const) {
      const script = { identity: await rdpIdentity(), confirm: confirmOf(security === 'nla' ? 2 : 1) }
      expect(await refused(script, { rdp: { security } })).toMatchObject({ end: 'target-identity-changed' })
    }
  })

  it.each([
    ['NLA taken away', confirmOf(1), 'did not offer Network Level Authentication'],
    ['TLS taken away', confirmOf(0), 'did not offer Network Level Authentication'],
    [
      'an old server, which knows no protocols',
      Buffer.from([3, 0, 0, 11, 6, 0xd0, 0, 0, 0, 0, 0]),
      'did not offer Network Level Authentication',
    ],
    [
      'a refusal of TLS',
      Buffer.from([3, 0, 0, 19, 14, 0xd0, 0, 0, 0, 0, 0, 3, 0, 8, 0, 2, 0, 0, 0]),
      'only the old RDP security',
    ],
    ['a protocol that nobody asked for', confirmOf(0x12), 'does not speak RDP as it should'],
  ])('%s', async (_what, confirm, sentence) => {
    expect(await refused({ confirm })).toMatchObject({
      end: 'open-failed',
      message: expect.stringContaining(sentence),
    })
  })

  it('an old server where TLS alone was approved', async () => {
    expect(await refused({ confirm: confirmOf(0) }, { rdp: { security: 'tls' } })).toMatchObject({
      end: 'open-failed',
      message: expect.stringContaining('only the old RDP security'),
    })
  })
})
