import { afterAll, beforeAll, expect, it } from 'vitest'
import { type EngineeringStation, startEngineeringStation } from '../demo/engineering-station.ts'
import { readNotice } from '../lab/read-notice.ts'
import { until } from '../lab/until.ts'
import { type Plant, startPlant } from './plant.ts'

/* An operator's word that a console is free, used by real sessions. */

let plant: Plant
let station: EngineeringStation

beforeAll(async () => {
  station = await startEngineeringStation({ user: 'engineer', password: 'station-password' })
  plant = await startPlant()
  await until(() => plant.gateway.links().length === 1, 'the gateway is linked')
})
afterAll(async () => {
  await plant?.close()
  await station?.stop()
})

it('one word, one opening; who comes back to the session needs no new one', async () => {
  const ci = 'Engineering station'
  const { assetId, endpointId } = await plant.asset({
    name: ci,
    port: station.port,
    account: 'engineer',
    password: 'station-password',
  })
  const flagged = await plant.admin.call('PATCH /api/assets/:id', {
    params: { id: assetId },
    body: { operatorsUseConsole: true, reason: 'The shift works on it' },
  })
  expect(flagged.operatorsUseConsole).toBe(true)
  const id = await plant.approved({ endpointId, account: 'engineer', ci })
  const params = { id }
  const open = await readNotice(plant.vendor, id)
  const refused = async () => {
    const answer = await open()
    expect(answer.status).toBe(403)
    return (answer.body as unknown as { reasons: { code: string }[] }).reasons.map(({ code }) => code)
  }
  const free = async () => {
    await plant.vendor.call('POST /api/requests/:id/console/ask', { params, body: {} })
    await plant.approver.call('POST /api/requests/:id/console/ready', { params, body: {} })
  }
  expect(await refused()).toEqual(['operator-not-ready'])
  await free()

  const opening = await plant.open(id)
  const session = { id: opening.sessionId }
  const terminal = await plant.socket(opening, plant.vendor)
  terminal.start()
  const state = async () => (await plant.approver.call('GET /api/sessions/:id', { params: session })).state
  await until(async () => (await state()) === 'live', 'it is live')
  const meanwhile = await plant.vendor.ask('POST /api/requests/:id/console/ask', { params, body: {} })
  expect(meanwhile.body).toMatchObject({ code: 'session-running' })
  const late = await plant.approver.ask('POST /api/requests/:id/console/take-back', { params, body: {} })
  expect(late.status).toBe(409)
  const again = await plant.vendor.call('POST /api/sessions/:id/attach', { params: session, body: {} })
  const back = await plant.socket(again, plant.vendor)
  back.start()
  await until(async () => (await state()) === 'live', 'it is still live')

  const { items } = await plant.approver.call('GET /api/audit', {
    query: { session: session.id, limit: 200 },
  })
  expect(items.filter(({ action }) => action === 'console.used')).toHaveLength(1)

  back.ws.send(JSON.stringify({ type: 'leave' }))
  await until(async () => (await state()) === 'closed', 'it is closed')
  expect(await refused()).toEqual(['operator-not-ready'])
  await free()
  const second = await plant.open(id)
  expect(second.sessionId).not.toBe(opening.sessionId)
  await plant.approver.call('POST /api/sessions/:id/stop', { params: { id: second.sessionId }, body: {} })
})
