import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../broker/domain/ids.ts'
import { startCluster, type TestCluster } from '../broker/database.ts'
import { assetBody, type TestBroker, testBroker, testPlant } from '../broker/identity-support.ts'
import { type House, startHouse } from '../gateway/house.ts'
import type { ApiClient } from '../lab/api-client.ts'

/*
 * Threat 19: an asset's address that leads to something else: the machine itself, a cloud's metadata service, another
 * zone. In the inventory (the broker), and in a grant of a broker that was taken over (the gateway).
 */

describe('in the inventory', () => {
  const names = new Map<string, string[]>()
  let cluster: TestCluster
  let broker: TestBroker
  let ada: ApiClient
  let plant: Awaited<ReturnType<typeof testPlant>>
  beforeAll(async () => {
    cluster = await startCluster()
    broker = await testBroker(cluster, { resolve: async (name) => names.get(name) ?? [] })
    ada = await broker.administrator()
    plant = await testPlant(ada)
  })
  afterAll(async () => {
    await broker?.close()
    await cluster?.close()
  })
  const add = (address: string) =>
    ada.ask('POST /api/assets', { body: assetBody(plant.site.id, plant.zone.id, address) })
  const codeOf = (answer: { body: unknown }) => (answer.body as { code?: string }).code

  it('only addresses of the zone, in no spelling anything else', async () => {
    names.set('two.plant.example', ['10.20.30.5', '127.0.0.1'])
    names.set('meta.plant.example', ['169.254.169.254'])
    names.set('mapped.plant.example', ['::ffff:169.254.169.254'])
    for (const [address, expected] of [
      ['127.0.0.1', 'address-not-allowed'],
      ['::1', 'address-not-allowed'],
      ['::ffff:127.0.0.1', 'address-not-allowed'],
      ['::ffff:7f00:1', 'address-not-allowed'],
      ['64:ff9b::a9fe:a9fe', 'address-not-allowed'],
      ['fd00:ec2::254', 'address-not-allowed'],
      ['169.254.169.254', 'address-not-allowed'],
      ['100.100.100.200', 'address-not-allowed'],
      ['0.0.0.0', 'address-not-allowed'],
      ['10.20.31.1', 'address-not-allowed'],
      ['2130706433', 'address-not-readable'],
      ['0x7f000001', 'address-not-readable'],
      ['127.1', 'address-not-readable'],
      ['10.20.30.4:22@169.254.169.254', 'address-not-readable'],
      ['http://10.20.30.4/', 'address-not-readable'],
      ['two.plant.example', 'address-not-allowed'],
      ['meta.plant.example', 'address-not-allowed'],
      ['mapped.plant.example', 'address-not-allowed'],
      ['unknown.plant.example', 'address-not-resolved'],
    ] as const) {
      const answer = await add(address)
      expect([answer.status, codeOf(answer)], address).toEqual([400, expected])
    }
    // A zone as wide as they come names none of them.
    const wide = await ada.call('POST /api/zones', {
      body: { siteId: plant.site.id, name: 'Wide', ranges: ['169.0.0.0/8', '127.0.0.0/8'] },
    })
    const metadata = await ada.ask('POST /api/assets', {
      body: assetBody(plant.site.id, wide.id, '169.254.169.254'),
    })
    expect(codeOf(metadata)).toBe('address-not-allowed')
  })

  it('a name that is bent after it was accepted leads nowhere', async () => {
    names.set('plc4.plant.example', ['10.20.30.4'])
    const named = await add('plc4.plant.example')
    expect(named.status).toBe(200)
    const { endpoints } = await ada.call('POST /api/assets/:id/endpoints', {
      params: { id: named.body.id },
      body: { protocol: 'ssh', port: 22 },
    })
    // A gateway in the DMZ, as the link room would make it.
    const gatewayId = newId()
    await broker.database.owner.sql`INSERT INTO gateway (id, site_id, zone_id, name, created_at)
      VALUES (${gatewayId}, ${plant.site.id}, ${plant.dmz.id}, 'gateway-1', now())`
    await ada.call('PATCH /api/assets/:id', {
      params: { id: named.body.id },
      body: { gatewayId, reason: 'near' },
    })
    const target = () => broker.inventory.target(endpoints[0]?.id ?? '')
    // What goes into the grant is the number, so nothing resolves after the check.
    expect((await target())?.address.host).toBe('10.20.30.4')
    for (const bent of [['169.254.169.254'], ['127.0.0.1'], ['10.20.31.9'], ['10.20.30.4', '::1']]) {
      names.set('plc4.plant.example', bent)
      await expect(target(), String(bent)).rejects.toMatchObject({ code: 'address-not-allowed' })
    }
  })
})

describe('in a grant', () => {
  let house: House
  beforeAll(async () => {
    house = await startHouse()
  })
  afterAll(() => house?.stop())

  it('the gateway dials no metadata service, no multicast, and no name that means itself', async () => {
    const { broker } = house
    for (const host of [
      '169.254.169.254',
      '::ffff:169.254.169.254',
      'fe80::1',
      '0.0.0.0',
      '239.1.1.1',
      'localhost',
    ]) {
      const grant = broker.grant(null, { address: { host, port: 22 } })
      expect(await broker.open(grant), host).toMatchObject({ ok: true })
      const browser = await broker.browser(grant, 'open')
      browser.start()
      const closed = await broker.closed(grant, 15_000)
      expect([closed.end, closed.message], host).toEqual([
        'open-failed',
        expect.stringContaining('a place that sessions may not go to'),
      ])
    }
    expect(broker.credentialsAsked).toBe(0)
  })
})
