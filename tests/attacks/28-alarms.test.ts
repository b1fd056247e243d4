import { afterAll, beforeAll, expect, it } from 'vitest'
import { openAlarm } from '../../broker/audit/alarms.ts'
import { newId } from '../../broker/domain/ids.ts'
import { startCluster, type TestCluster } from '../broker/database.ts'
import { type TestBroker, testBroker, testPlant } from '../broker/identity-support.ts'
import type { ApiClient } from '../lab/api-client.ts'

/*
 * Threat 28, of alarms: their texts name assets and people. Red without the scope in listAlarms (`GET /api/me`) and
 * without siteOfAlarm or `stepUp` at `POST /api/alarms/:id/acknowledge`.
 */

let cluster: TestCluster
let broker: TestBroker
let ada: ApiClient
let north: string
let south: string

beforeAll(async () => {
  cluster = await startCluster()
  broker = await testBroker(cluster)
  ada = await broker.administrator()
  north = (await testPlant(ada, 'Werk Nord')).site.id
  south = (await testPlant(ada, 'Werk Sued')).site.id
})
afterAll(async () => {
  await broker?.close()
  await cluster?.close()
})

async function join(name: string, role: 'operator' | 'auditor' | 'administrator', siteId: string) {
  const made = await ada.call('POST /api/people', {
    body: {
      name,
      email: null,
      vendorId: null,
      accountEndsAt: null,
      trainingValidUntil: null,
      roles: [{ role, siteId }],
    },
  })
  const client = broker.client()
  await client.setUp(made.setUpLink)
  return client
}

it('are seen and acknowledged by people of that site, the deployment’s by administrators', async () => {
  const { sql } = broker.database.db
  const [zone] = await sql<{ id: string }[]>`SELECT id FROM zone WHERE site_id = ${north} LIMIT 1`
  const ofNorth = (await openAlarm(sql, 'row-not-vouched-for', `zone ${zone?.id}`, 'Of the north')) ?? ''
  const ofAll = (await openAlarm(sql, 'clock', 'broker', 'Of everybody')) ?? ''
  const ofNobody = (await openAlarm(sql, 'row-not-vouched-for', `gateway ${newId()}`, 'Of none')) ?? ''
  const oleg = await join('Oleg', 'operator', north)
  const olga = await join('Olga', 'operator', south)
  const anna = await join('Anna', 'auditor', north)
  const adam = await join('Adam', 'administrator', south)
  const seen = async (who: ApiClient) => (await who.me()).alarms.map(({ id }) => id).sort()
  expect(await seen(oleg)).toEqual([ofNorth])
  expect(await seen(anna)).toEqual([ofNorth])
  expect(await seen(olga)).toEqual([])
  expect(await seen(adam)).toEqual([ofAll, ofNobody].sort())
  expect(await seen(ada)).toEqual([ofNorth, ofAll, ofNobody].sort())

  const acknowledge = async (who: ApiClient, id: string) =>
    (await who.ask('POST /api/alarms/:id/acknowledge', { params: { id }, body: { reason: 'looked at' } }))
      .status
  expect(await acknowledge(olga, ofNorth)).toBe(404)
  expect(await acknowledge(adam, ofNorth)).toBe(404)
  expect(await acknowledge(oleg, ofAll)).toBe(404)
  broker.clock.shift(6 * 60_000)
  expect(await acknowledge(oleg, ofNorth)).toBe(403)
  await oleg.signIn()
  expect(await acknowledge(oleg, ofNorth)).toBe(200)
  await adam.signIn()
  expect(await acknowledge(adam, ofAll)).toBe(200)
  // It stays until its cause has gone, and says who has taken it on.
  expect((await oleg.me()).alarms).toMatchObject([{ id: ofNorth, acknowledgedBy: 'Oleg' }])
  expect(await acknowledge(oleg, ofNorth)).toBe(404)
})
