import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { until } from '../lab/until.ts'
import { type House, openSession, startHouse } from './house.ts'

const missing = opensshMissing()

describe.skipIf(missing)(`a session through the gateway${missing ? ` (skipped: ${missing})` : ''}`, () => {
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

  it('opens, echoes, resizes, is recorded and delivered', async () => {
    const { broker } = house
    const { grant, browser } = await openSession(house, lab)
    expect(browser.last('hello')).toMatchObject({ use: 'open', asset: 'Boiler 3 HMI', viewOnly: false })
    browser.type('echo $((40+2))-ok\n')
    await browser.sees('42-ok')
    browser.say({ type: 'resize', cols: 100, rows: 30 })
    browser.type('stty size\n')
    await browser.sees('30 100')
    browser.say({ type: 'leave' })
    const closed = await broker.closed(grant)
    expect(closed).toMatchObject({ end: 'vendor-left' })
    expect(closed.bytesOut).toBeGreaterThan(20)
    await until(() => browser.closed !== null)
    expect(browser.closed?.code).toBe(4000)
    await until(() => broker.receipts.has(grant.recording), 'receipt')
    await until(() => house.gateway.waitingRecordings() === 0)
    expect([...broker.evidence.keys()].filter((path) => path.startsWith(grant.recording)).sort()).toEqual([
      `${grant.recording}/input/0.spr`,
      `${grant.recording}/keys/input-0.jwe`,
      `${grant.recording}/keys/screen-0.jwe`,
      `${grant.recording}/manifest.jws`,
      `${grant.recording}/screen/0.spr`,
    ])
    const live = broker.eventsOf('session-live', grant.session)[0]
    expect(live?.algorithms).toMatchObject({ cipherOut: 'aes128-gcm@openssh.com', strictKex: 'yes' })
    expect(broker.eventsOf('anchor').length).toBeGreaterThan(0)
    // The gateway's side of the splice holds no cookie and no authorization (threat 36).
    expect(broker.spliceHeads.join()).not.toMatch(/cookie|authorization|secret-cookie/i)
  })
})
