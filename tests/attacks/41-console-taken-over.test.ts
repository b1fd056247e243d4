import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { giveReady } from '../../approvals/console.ts'
import { newId } from '../../broker/domain/ids.ts'
import { rowStates } from '../../broker/inventory/row-states.ts'
import { decideAccess } from '../../broker/policy/decide-access.ts'
import { spendReady, standingReady } from '../../broker/sessions/console-ready.ts'
import {
  decide,
  makePlant,
  type Plant,
  RUNNING,
  requestBody,
  type Somebody,
  TWO,
} from '../broker/approvals-support.ts'
import { startCluster, type TestCluster } from '../broker/database.ts'

/*
 * Threat 41: a vendor takes a console over from whoever stands before it, without or against an operator's word. Each test
 * is red without its defence; the edits are kept in mutations.ts.
 */

const MINUTE = 60_000

let cluster: TestCluster
let plant: Plant
let vera: Somebody
let paul: Somebody
let olga: Somebody
let id: string

beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster?.close())

/** A plant of its own at 02:00, with a console that operators use and a request for it that is approved. */
beforeEach(async () => {
  plant = await makePlant(cluster)
  const { sql } = plant.database.db
  vera = await plant.person('Vera Ortiz', ['vendor'], { vendor: true, email: 'vera@acme.example' })
  paul = await plant.person('Paul Weiss', ['approver'])
  olga = await plant.person('Olga Brandt', ['operator'])
  await sql`UPDATE asset SET operators_use_console = true WHERE id = ${plant.asset}`
  await changed({ kind: 'asset', id: plant.asset })
  await sql`INSERT INTO notice_acceptance (person_id, site_id, version, accepted_at)
    VALUES (${vera.principal.personId}, ${plant.site}, 1, now())`
  id = (await plant.call(vera, 'POST /api/requests', { body: requestBody(plant) })).id
  await decide(plant, paul, id)
  return () => plant.close()
})

/** The log vouches for the row as it is now. */
async function changed(row: { kind: string; id: string }) {
  const { sql } = plant.database.db
  const [state] = await rowStates(sql, [row])
  await plant.log.log.record(sql, {
    action: `${row.kind}.changed`,
    actor: { kind: 'system', id: 'test', name: null, organisation: null },
    object: row,
    after: state?.current,
  })
}

const ask = () => plant.call(vera, 'POST /api/requests/:id/console/ask', { params: { id } })
const ready = (who: Somebody) => plant.call(who, 'POST /api/requests/:id/console/ready', { params: { id } })
const opens = async () => {
  const now = plant.log.clock.wall()
  const facts = await plant.approvals.access.facts({
    requestId: id,
    personId: vera.principal.personId,
    purpose: 'open',
    sessionId: null,
    runtime: { ...RUNNING, authenticatedAt: now },
  })
  return decideAccess(facts, now).permit
}

it('opens without a word', async () => {
  expect(await opens()).toBe(false)
  await ask()
  expect(await opens()).toBe(false)
  await ready(olga)
  expect(await opens()).toBe(true)
})

it('opens long after the word', async () => {
  await ask()
  await ready(olga)
  plant.log.clock.setWall(TWO + 15 * MINUTE)
  expect(await opens()).toBe(false)
})

it('opens on a word about other work', async () => {
  await ask()
  await ready(olga)
  const body = requestBody(plant, { purpose: 'Something else entirely' })
  await plant.call(vera, 'PUT /api/requests/:id', { params: { id }, body })
  await decide(plant, paul, id)
  expect(await opens()).toBe(false)
})

it('opens twice on one word', async () => {
  await ask()
  await ready(olga)
  const { db } = plant.database
  const word = await standingReady(db.sql, id)
  const session = newId()
  await db.sql`INSERT INTO session (id, request_id, request_version, recording_id, grant_id, grant_serial, grant_jws, facts,
      gateway_id, site_id, asset_id, endpoint_id, person_id, vendor_id, protocol, account, view, searchable, ticket_key,
      state, permit_ends_at, opened_at, ended_at, end_code)
    VALUES (${session}, ${id}, 1, ${newId()}, ${newId()}, 1, 'x', '{}', ${plant.gateway}, ${plant.site}, ${plant.asset},
      ${plant.endpoint}, ${vera.principal.personId}, ${plant.vendor}, 'ssh', 'service', '{}', '', 'CHG001', 'closed',
      now(), now(), now(), 'vendor-left')`
  const caller = { principal: vera.principal, sourceAddress: '192.0.2.1' }
  const spend = () =>
    db.tx((tx) =>
      spendReady({ audit: plant.log.log, clock: plant.log.clock }, tx, caller, word?.id ?? '', session),
    )
  await spend()
  await expect(spend()).rejects.toMatchObject({ code: 'operator-not-ready' })
  expect(await opens()).toBe(false)
})

it('gives the word themself, or a colleague does who was made an operator', async () => {
  await ask()
  const ken = await plant.person('Ken Colleague', ['vendor', 'operator'], { vendor: true })
  const self: Somebody = {
    ...vera,
    principal: { ...vera.principal, vendorId: null, roles: [...ken.principal.roles] },
  }
  for (const who of [ken, self]) await expect(ready(who)).rejects.toMatchObject({ status: 404 })
  const elsewhere = { ...olga.principal, roles: [{ role: 'operator' as const, siteId: newId() }] }
  await expect(giveReady(plant.deps, elsewhere, id, '192.0.2.1')).rejects.toMatchObject({ status: 404 })
  // The same again for who was an operator when the word was given, and belongs to the vendor by now.
  await ready(olga)
  await plant.database.db
    .sql`UPDATE person SET vendor_id = ${plant.vendor} WHERE id = ${olga.principal.personId}`
  await changed({ kind: 'person', id: olga.principal.personId })
  expect(await opens()).toBe(false)
})

it('writes a word into the database', async () => {
  await ask()
  await plant.database.db
    .sql`UPDATE console_ready SET given_by = ${olga.principal.personId}, given_at = ${new Date(TWO)},
    expires_at = ${new Date(TWO + 10 * MINUTE)} WHERE request_id = ${id}`
  expect(await opens()).toBe(false)
})

it('takes the mark off the asset in the database, before the request is even made', async () => {
  await plant.database.db.sql`UPDATE asset SET operators_use_console = false WHERE id = ${plant.asset}`
  expect(await opens()).toBe(false)
  // Asked for anew, so that what is signed does not have it either.
  const body = requestBody(plant, { purpose: 'Something else entirely' })
  await plant.call(vera, 'PUT /api/requests/:id', { params: { id }, body }).catch(() => null)
  await decide(plant, paul, id).catch(() => null)
  expect(await opens()).toBe(false)
})
