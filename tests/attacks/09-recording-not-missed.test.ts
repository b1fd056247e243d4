import { afterAll, beforeAll, expect, it } from 'vitest'
import { newId } from '../../broker/domain/ids.ts'
import { readGateway } from '../../broker/link/gateway-rows.ts'
import { Completeness } from '../../broker/sessions/completeness.ts'
import type { SessionsDeps } from '../../broker/sessions/deps.ts'
import { GatewayEvents } from '../../broker/sessions/gateway-events.ts'
import type { Renewals } from '../../broker/sessions/renewals.ts'
import { readSession } from '../../broker/sessions/session-rows.ts'
import type { Sessions } from '../../broker/sessions/sessions.ts'
import { recordingOf } from '../../broker/sessions/view.ts'
import { HOUR, makePlant, type Plant, requestBody, TWO } from '../broker/approvals-support.ts'
import { startCluster, type TestCluster } from '../broker/database.ts'

/*
 * Threat 9: a gateway that was taken over says whatever keeps its recording from being missed. Red without `notLater` or
 * `endedBy` in broker/sessions/gateway-events.ts, or `credential_fetched_at` in completeness.ts.
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

it('neither an end in the future nor one in the broker’s name hides a recording that never came', async () => {
  const { db, audit } = plant.deps
  const { clock } = plant.log
  const hints = { publish: () => undefined }
  const deps = { db, audit, clock, hints, failed: () => undefined } as unknown as SessionsDeps
  const events = new GatewayEvents({ deps } as unknown as Sessions, {} as Renewals)
  const gateway = await readGateway(db.sql, plant.gateway)
  if (!gateway) throw new Error('no gateway')
  const vera = await plant.person('Vera', ['vendor'], { vendor: true })
  const { id: request } = await plant.call(vera, 'POST /api/requests', { body: requestBody(plant) })
  const lies = [
    { end: 'vendor-left', by: null, at: Date.UTC(9000, 0) },
    { end: 'open-failed', by: 'broker', at: TWO },
  ] as const
  const sessions: string[] = []
  for (const { end, by, at } of lies) {
    const session = newId()
    sessions.push(session)
    const view = db.sql.json({ asset: { name: 'Robot cell 4' } })
    await db.sql`INSERT INTO session (id, request_id, request_version, recording_id, grant_id, grant_serial, grant_jws,
        facts, gateway_id, site_id, asset_id, endpoint_id, person_id, vendor_id, protocol, account, view, searchable,
        ticket_key, state, permit_ends_at, opened_at, credential_fetched_at)
      VALUES (${session}, ${request}, 1, ${newId()}, ${newId()}, 1, 'x', '{}', ${plant.gateway}, ${plant.site},
        ${plant.asset}, ${plant.endpoint}, ${vera.principal.personId}, ${plant.vendor}, 'ssh', 'service', ${view}, '',
        'CHG001', 'opening', ${new Date(TWO + HOUR)}, ${new Date(TWO)}, ${new Date(TWO)})`
    const said = { message: 'Over.', closedAfterMs: null, bytesOut: 0, bytesIn: 0 }
    await db.tx((tx) => events.commit(tx, gateway, { kind: 'session-closed', session, end, by, at, ...said }))
  }
  clock.advance(HOUR)
  await new Completeness(deps).check()
  const alarms = await db.sql<
    { subject: string }[]
  >`SELECT subject FROM alarm WHERE kind = 'manifest-missing'`
  // The list says what the alarm says. Red without `credentialFetchedAt` in sessions/view.ts.
  for (const id of sessions) {
    const row = await readSession(db.sql, id)
    expect(row && recordingOf(row, clock.wall())).toBe('missing')
  }
  expect(alarms.map(({ subject }) => subject).sort()).toEqual(sessions.map((id) => `session ${id}`).sort())
})
