import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  decide,
  makePlant,
  type Plant,
  requestBody,
  type Somebody,
  ticket,
} from '../broker/approvals-support.ts'
import { startCluster, type TestCluster } from '../broker/database.ts'

/*
 * Threat 28, between vendors: who else works at the site, and what the plant's tickets say. Red when `otherWork` in
 * approvals/views.ts is filled for everybody, or without namesAskable in approvals/routes.ts.
 */

let cluster: TestCluster
let plant: Plant
let vera: Somebody
let paul: Somebody

beforeAll(async () => {
  cluster = await startCluster()
  plant = await makePlant(cluster)
  vera = await plant.person('Vera', ['vendor'], { vendor: true })
  paul = await plant.person('Paul', ['approver'])
})
afterAll(async () => {
  await plant?.close()
  await cluster?.close()
})

it('a vendor is not told of other work at the site; an approver is', async () => {
  const submit = async () => (await plant.call(vera, 'POST /api/requests', { body: requestBody(plant) })).id
  const first = await submit()
  await decide(plant, paul, first)
  const second = await submit()
  const seen = async (who: Somebody) =>
    (await plant.call(who, 'GET /api/requests/:id', { params: { id: second } })).otherWork
  expect(await seen(paul)).toHaveLength(1)
  expect(await seen(vera)).toEqual([])
})

it('a vendor finds a ticket only when it names an asset that they may ask for', async () => {
  await plant.call(paul, 'POST /api/ticket-files', {
    body: {
      siteId: plant.site,
      jws: await plant.ticketFile([
        ticket(),
        ticket({ key: 'CHG007', title: 'Replace the safety controller', items: ['Boiler 1'] }),
      ]),
    },
  })
  const find = (who: Somebody, key: string) =>
    plant.call(who, 'POST /api/tickets/lookup', { body: { siteId: plant.site, system: 'file', key } })
  expect(await find(vera, 'CHG001')).toMatchObject({ key: 'CHG001' })
  expect(await find(paul, 'CHG007')).toMatchObject({ key: 'CHG007' })
  await expect(find(vera, 'CHG007')).rejects.toMatchObject({ status: 404 })
})
