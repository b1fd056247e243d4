import { once } from 'node:events'
import path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { CONTROL_PROTOCOL, type ControlDown, GatewayEvent } from '../../broker/contract/link.ts'
import { newId } from '../../broker/domain/ids.ts'
import { LINK_NAME } from '../../broker/link/link-authority.ts'
import { enrol } from '../../gateway/enrol.ts'
import { type Plant, startPlant } from '../broker/plant.ts'
import { until } from '../lab/until.ts'

/*
 * Threats 9 and 30: a gateway that was taken over reports what no clock shows, and without end. Red with plain numbers
 * and texts in GatewayEvent, and without the quota in broker/link/link.ts.
 */

const QUOTA = { burst: 20, perSecond: 1 }
let plant: Plant
let ws: WebSocket
let gatewayId: string
const acknowledged: number[] = []

beforeAll(async () => {
  plant = await startPlant({ gatewayEvents: QUOTA }, { gateway: false })
  const { port } = plant.broker.link
  const made = await plant.admin.call('POST /api/gateways', {
    body: { name: 'rogue', siteId: plant.siteId, zoneId: plant.gatewayZoneId },
  })
  gatewayId = made.gateway.id
  const { tls } = await enrol({
    token: made.enrolmentToken,
    broker: `https://127.0.0.1:${port}`,
    dataDir: path.join(plant.dataDir, 'rogue'),
    name: 'rogue',
  })
  ws = new WebSocket(`wss://127.0.0.1:${port}/link/v1/control`, CONTROL_PROTOCOL, {
    ca: tls.ca,
    cert: tls.certificate,
    key: tls.key.reveal(),
    servername: LINK_NAME,
  } as object)
  ws.on('message', (data) => {
    const message = JSON.parse(String(data)) as ControlDown
    if (message.type === 'event-ack') acknowledged.push(message.seq)
  })
  await once(ws, 'open')
  say({ type: 'hello', link: 1, version: '0', boot: newId(), wall: 1e300, sessions: [] })
})
afterAll(async () => {
  ws?.close()
  await plant?.close()
})

const say = (message: unknown) => ws.send(JSON.stringify(message))
const storage = (seq: number, at: number, freeBytes = 1) =>
  say({ type: 'event', seq, event: { kind: 'storage', freeBytes, reserveBytes: 0, below: false, at } })
const entries = async (action: string) => {
  const { sql } = plant.broker.store.db
  return sql<{ details: Record<string, unknown> }[]>`
    SELECT convert_from(bytes, 'UTF8')::jsonb->'details' AS details FROM audit.entry
    WHERE action = ${action} ORDER BY staged`
}

it('impossible times and numbers become possible ones, and hold nothing up', async () => {
  storage(1, 1e300, 1e300)
  storage(2, -1e300)
  await until(() => acknowledged.includes(2), 'both are committed')
  const at = (await entries('gateway.storage')).map(({ details }) => details.at)
  expect(at).toEqual([Date.UTC(9999, 11, 31, 23, 59, 59), 0])
})

it('long names are cut before they reach a row or an entry', () => {
  const event = GatewayEvent.parse({
    kind: 'watcher',
    session: newId(),
    person: 'x'.repeat(100_000),
    name: 'y'.repeat(100_000),
    joined: true,
    at: 1,
  })
  expect(event).toMatchObject({ person: 'x'.repeat(64), name: 'y'.repeat(200) })
})

it('a flood is taken in slowly, with one alarm', async () => {
  for (let seq = 3; seq < 203; seq++) storage(seq, seq)
  const { sql } = plant.broker.store.db
  const alarms = () =>
    sql`SELECT 1 FROM alarm WHERE kind = 'gateway-events' AND subject = ${`gateway ${gatewayId}`}`
  await until(async () => (await alarms()).length === 1, 'the alarm')
  // Going on slowly is not standing still.
  const then = acknowledged.length
  await until(() => acknowledged.length > then, 'the next event')
  expect((await entries('gateway.storage')).length).toBeLessThan(QUOTA.burst + 30)
  expect(await entries('gateway.too-many-events')).toHaveLength(1)
})
