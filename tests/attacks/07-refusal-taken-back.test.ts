import { afterAll, beforeAll, expect, it } from 'vitest'
import { decide, makePlant, type Plant, requestBody } from '../broker/approvals-support.ts'
import { startCluster, type TestCluster } from '../broker/database.ts'

/*
 * Threat 7: one approver's no is not taken back by another one, who would then approve alone. Red without the check of
 * `before.person_id` in withdrawApproval of approvals/decisions.ts.
 */

let cluster: TestCluster
let plant: Plant
beforeAll(async () => {
  cluster = await startCluster()
  plant = await makePlant(cluster)
})
afterAll(async () => {
  await plant?.close()
  await cluster?.close()
})

it('a refusal is withdrawn by whoever gave it, and by nobody else', async () => {
  const vera = await plant.person('Vera', ['vendor'], { vendor: true })
  const paul = await plant.person('Paul', ['approver'])
  const rita = await plant.person('Rita', ['approver'])
  const { id } = await plant.call(vera, 'POST /api/requests', { body: requestBody(plant) })
  await decide(plant, paul, id, { decision: 'declined', reason: 'Production runs' })
  const [refusal] = await plant.deps.db.sql<
    { id: string }[]
  >`SELECT id FROM approval WHERE request_id = ${id}`
  const withdraw = (who: typeof paul) =>
    plant.call(who, 'POST /api/approvals/:id/withdraw', {
      params: { id: refusal?.id ?? '' },
      body: { reason: 'Never mind' },
    })
  await expect(withdraw(rita)).rejects.toMatchObject({ status: 403 })
  await expect(decide(plant, rita, id)).rejects.toMatchObject({ code: 'request-declined' })
  expect(await withdraw(paul)).toMatchObject({ state: 'waiting' })
})

it('taking one back vouches for no row that was changed by hand', async () => {
  // Red without `verifyObjects` in withdrawApproval: the entry would vouch for the edited row from then on.
  const vera = await plant.person('Vera Zwei', ['vendor'], { vendor: true })
  const paul = await plant.person('Paul Zwei', ['approver'])
  const rita = await plant.person('Rita Zwei', ['approver'])
  const { id } = await plant.call(vera, 'POST /api/requests', { body: requestBody(plant) })
  await decide(plant, paul, id, { decision: 'declined', reason: 'Production runs' })
  const { sql } = plant.database.owner
  await sql`UPDATE approval SET person_id = ${rita.principal.personId} WHERE request_id = ${id}`
  const [refusal] = await sql<{ id: string }[]>`SELECT id FROM approval WHERE request_id = ${id}`
  await expect(
    plant.call(rita, 'POST /api/approvals/:id/withdraw', {
      params: { id: refusal?.id ?? '' },
      body: { reason: 'Never mind' },
    }),
  ).rejects.toMatchObject({ code: 'row-not-vouched-for' })
})
