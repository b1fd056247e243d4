import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Feature } from '../../broker/domain/words.ts'
import { bitmapUpdate, fastPath, onChannel } from '../../gateway/desktop/testing/rdp-server.ts'
import { describeCertificate } from '../../gateway/target/certificate.ts'
import { DesktopBrowser } from '../gateway/desktop-browser.ts'
import { type House, startHouse } from '../gateway/house.ts'
import { IO_CHANNEL, type RdpTalk, type ScriptedRdp, startScriptedRdp } from '../lab/rdp-script.ts'
import { until } from '../lab/until.ts'

/**
 * Threat 3: RDP carries drives, printers, sound and programs beside the picture, on channels that a client offers. Ours
 * offers the clipboard at most, and that only where it was granted; what a server opens by itself is not answered.
 */
describe('03-pivot-through-rdp', () => {
  let house: House
  const labs: ScriptedRdp[] = []
  beforeAll(async () => {
    house = await startHouse({ workers: 1 })
  })
  afterEach(async () => {
    for (const lab of labs.splice(0)) await lab.stop()
  })
  afterAll(() => house?.stop())

  async function session(features: Feature[], live: (talk: RdpTalk) => void) {
    const lab = await startScriptedRdp({ live })
    labs.push(lab)
    const { broker } = house
    const grant = broker.grant(null, {
      protocol: 'rdp',
      rdp: { security: 'tls' },
      identities: [describeCertificate(lab.certificate)],
      address: { host: lab.host, port: lab.port },
      account: lab.user,
      features,
    })
    await broker.passwordOf({ user: lab.user, password: lab.password })
    expect(await broker.open(grant)).toMatchObject({ ok: true })
    const desktop = await DesktopBrowser.come(house, grant, 'open')
    await until(() => (lab.talks[0]?.heard.length ?? 0) > 0, 'the client speaks')
    const [talk] = lab.talks
    if (!talk) throw new Error('no connection')
    return { grant, desktop, talk }
  }

  const pixel = fastPath(
    1,
    bitmapUpdate([
      {
        ...{ left: 0, top: 0, right: 0, bottom: 0, width: 1, height: 1, bits: 32, flags: 0 },
        data: Buffer.from([9, 9, 9, 0]),
      },
    ]),
  )

  it.each([
    [[], []],
    [['clipboard-paste'], ['cliprdr']],
    [['clipboard-copy'], ['cliprdr']],
  ] as [Feature[], string[]][])(
    'with %j it offers the channels %j and no other',
    async (features, channels) => {
      const { grant, talk } = await session(features, (one) => one.say(pixel))
      expect(talk.channels).toEqual(channels)
      // Nor anywhere else in what introduces it.
      const said = talk.heard[0]?.toString('latin1') ?? ''
      for (const name of ['rdpdr', 'rdpsnd', 'audin', 'drdynvc', 'rail', 'encomsp'])
        expect(said).not.toContain(name)
      await house.broker.command(grant, 'stop')
      await house.broker.closed(grant)
    },
  )

  it('a server that opens channels by itself gets no answer, and no session', async () => {
    // Drives: "server announce"; dynamic channels: capabilities, and a request for one.
    const drives = Buffer.from('0c000000030000007244496e01000c0003000000', 'hex')
    const dynamic = Buffer.from('04000000030000005000010000000000', 'hex')
    for (const data of [drives, dynamic]) {
      let before = 0
      const { grant, talk } = await session([], (one) => {
        before = one.heard.length
        one.say(pixel, onChannel(0x68, IO_CHANNEL + 1, data))
      })
      expect(await house.broker.closed(grant)).toMatchObject({ end: 'protocol-violation' })
      expect(talk.heard.length).toBe(before)
    }
  })
})
