import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { gatherRequest } from '../../approvals/gather-facts.ts'
import { newId } from '../../broker/domain/ids.ts'
import type { ExceptionKind } from '../../broker/domain/words.ts'
import { Exceptions } from '../../broker/inventory/exceptions.ts'
import { rowStates } from '../../broker/inventory/row-states.ts'
import { decideAccess } from '../../broker/policy/decide-access.ts'
import { endingOf } from '../../broker/sessions/ending-of.ts'
import {
  decide,
  HOUR,
  makePlant,
  type Plant,
  RUNNING,
  requestBody,
  type Somebody,
  TWO,
} from '../broker/approvals-support.ts'
import { startCluster, type TestCluster } from '../broker/database.ts'

/*
 * Threat 16: a machine that asks for no password, or cannot prove who it is, is reached only under an open exception of
 * its own. Each test is red without its defence; the edits are kept in mutations.ts.
 */

let cluster: TestCluster
let plant: Plant
let exceptions: Exceptions
let vera: Somebody
let paul: Somebody
/** Not encrypted, no certificate, no password. */
let panel: string
let neighbour: string

beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster?.close())

beforeEach(async () => {
  plant = await makePlant(cluster)
  const { sql } = plant.database.db
  exceptions = new Exceptions(plant.database.db, plant.log.log, plant.log.clock)
  vera = await plant.person('Vera Ortiz', ['vendor'], { vendor: true })
  paul = await plant.person('Paul Plant', ['approver', 'operator'])
  panel = await endpoint(5900)
  neighbour = await endpoint(5901)
  const conduit = newId()
  await sql`INSERT INTO conduit (id, site_id, name, from_zone_id, to_zone_id, protocols, created_at)
    SELECT ${conduit}, site_id, 'Screens of cell 4', from_zone_id, to_zone_id, '["vnc"]', created_at
    FROM conduit WHERE id = ${plant.conduit}`
  await vouch('conduit', conduit)
  return () => plant.close()
})

async function vouch(kind: string, id: string) {
  const { sql } = plant.database.db
  const [state] = await rowStates(sql, [{ kind, id }])
  await plant.log.log.record(sql, {
    action: `${kind}.added`,
    actor: { kind: 'system', id: 'test', name: null, organisation: null },
    object: { kind, id },
    after: state?.current,
  })
}

async function endpoint(port: number): Promise<string> {
  const id = newId()
  await plant.database.db.sql`
    INSERT INTO endpoint (id, asset_id, protocol, port, vnc_security, vnc_authentication, created_at)
    VALUES (${id}, ${plant.asset}, 'vnc', ${port}, 'plain', 'none', ${new Date(TWO)})`
  await vouch('endpoint', id)
  return id
}

const ALL: ExceptionKind[] = ['no-encryption', 'no-server-identity', 'no-authentication']
const caller = () => ({ principal: paul.principal, sourceAddress: '192.0.2.7' })
const open = (endpointId: string, kinds = ALL, ms = 3 * HOUR) =>
  exceptions.open(caller(), {
    endpointId,
    kinds,
    reason: 'The panel knows nothing better',
    compensatingControl: 'A network of its own with the gateway',
    ownerId: paul.principal.personId,
    expiresAt: new Date(plant.log.clock.wall() + ms).toISOString(),
  })

const ask = () =>
  plant.call(vera, 'POST /api/requests', { body: requestBody(plant, { endpointId: panel, account: 'vnc' }) })

async function answer(requestId: string, purpose: 'open' | 'renew' = 'renew') {
  const gathered = await plant.database.db.tx(
    (tx) =>
      gatherRequest(plant.deps, tx, requestId, {
        purpose,
        sessionId: null,
        runtime: RUNNING,
        strongAuthAt: TWO,
      }),
    'repeatable read read only',
  )
  if (!gathered) throw new Error('the request is gone')
  return decideAccess(gathered.facts, plant.log.clock.wall())
}

/** Every reason of the answer with its kind or object. */
async function reasons(requestId: string): Promise<string[]> {
  const decision = await answer(requestId)
  return decision.permit
    ? []
    : decision.reasons.map((reason) =>
        'kind' in reason
          ? `${reason.code} ${reason.kind}`
          : 'object' in reason
            ? `${reason.code} ${reason.object}`
            : reason.code,
      )
}

const needed = ALL.map((kind) => `exception-needed ${kind}`)

it('is asked for, and neither approved nor opened, while nobody has accepted what it lacks', async () => {
  const mine = await plant.call(vera, 'GET /api/my/endpoints', {})
  expect(mine.find(({ endpointId }) => endpointId === panel)).toMatchObject({
    protocol: 'vnc',
    accounts: ['vnc'],
  })
  const request = await ask()
  const missing = request.decision.lines.filter(({ code }) => code === 'exception-needed')
  expect(missing.map(({ who }) => who)).toEqual(Array(3).fill('An operator of the site'))
  expect(missing.map(({ text }) => text)).toContain(
    'This asset asks for no password. Working there needs an open exception of the site.',
  )
  expect(request.deviations).toEqual([])
  const card = await plant.call(paul, 'GET /api/requests/:id', { params: { id: request.id } })
  expect(card.deviations).toEqual(ALL.map((kind) => ({ kind, exception: null })))
  await expect(decide(plant, paul, request.id)).rejects.toMatchObject({ code: 'exception-needed' })
  expect(await reasons(request.id)).toEqual(expect.arrayContaining(needed))
})

it('opens under its own exceptions, to the first that ends; the approver has read what stands against it', async () => {
  await open(panel, ALL.slice(0, 2))
  await open(panel, ['no-authentication'], 2 * HOUR)
  const { id } = await ask()
  const card = await plant.call(paul, 'GET /api/requests/:id', { params: { id } })
  expect(card.deviations[2]).toMatchObject({
    kind: 'no-authentication',
    exception: { compensatingControl: 'A network of its own with the gateway', owner: 'Paul Plant' },
  })
  await decide(plant, paul, id)
  expect(await answer(id)).toMatchObject({
    permit: true,
    until: TWO + 2 * HOUR,
    endsBecause: 'an exception ends',
  })
  // To the vendor it says until when, and nothing out of the register.
  const own = await plant.call(vera, 'GET /api/requests/:id', { params: { id } })
  expect(JSON.stringify(own)).not.toContain('network of its own')

  plant.log.clock.setWall(TWO + 2 * HOUR)
  const over = await answer(id)
  expect(over.permit ? [] : over.reasons).toEqual([
    { code: 'exception-expired', kind: 'no-authentication', at: TWO + 2 * HOUR },
  ])
  expect(endingOf(over.permit ? [] : over.reasons)).toEqual({ command: 'end', end: 'window-closed' })
})

it('ends by the rule of its asset when one is closed while somebody works', async () => {
  const [first] = await open(panel)
  const { id } = await ask()
  await decide(plant, paul, id)
  expect((await answer(id)).permit).toBe(true)
  await exceptions.close(caller(), first?.id ?? '', 'The switch was moved')
  expect(await reasons(id)).toEqual([`exception-needed ${first?.kind}`])
  const decision = await answer(id)
  expect(endingOf(decision.permit ? [] : decision.reasons)).toEqual({
    command: 'end',
    end: 'approval-withdrawn',
  })
  // Another one, and the approval stands: what was signed is still what is.
  await open(panel, first ? [first.kind] : [])
  expect((await answer(id)).permit).toBe(true)
})

it('an exception of the endpoint beside it does not count', async () => {
  await open(panel)
  const { id } = await ask()
  await decide(plant, paul, id)
  const own = await exceptions.list(paul.principal, { state: 'open', limit: 50 })
  for (const item of own.items) await exceptions.close(caller(), item.id, 'over')
  await open(neighbour)
  expect(await reasons(id)).toEqual(needed)
  // Nor when it is moved over by hand.
  await plant.database.owner
    .sql`UPDATE access_exception SET endpoint_id = ${panel} WHERE endpoint_id = ${neighbour}
    AND closed_at IS NULL`
  expect(await reasons(id)).toEqual(Array(3).fill('row-not-vouched exception'))
})

it.each([
  ['prolonged', `expires_at = expires_at + interval '100 days' WHERE closed_at IS NULL`],
  ['opened again', 'closed_at = NULL, closed_by = NULL, closed_because = NULL'],
  ['with another control', `compensating_control = 'Everything is fine' WHERE closed_at IS NULL`],
])('a row that was edited by hand opens nothing: %s', async (_what, edit) => {
  const { sql } = plant.database.owner
  const opened = await open(panel)
  const { id } = await ask()
  await decide(plant, paul, id)
  const [first] = opened
  await exceptions.close(caller(), first?.id ?? '', 'over')
  if (!edit.startsWith('closed_at')) await open(panel, first ? [first.kind] : [])
  await sql.unsafe(`UPDATE access_exception SET ${edit}`)
  expect(await reasons(id)).toContain('row-not-vouched exception')
  const card = await plant.call(paul, 'GET /api/requests/:id', { params: { id } })
  expect(card.deviations.some(({ exception }) => exception === null)).toBe(true)
})

it('a row put in by hand is no exception, and an endpoint made safe by hand is no safe one', async () => {
  const { sql } = plant.database.owner
  await open(panel)
  const { id } = await ask()
  await decide(plant, paul, id)
  const kept = await sql`SELECT 1 FROM access_exception WHERE endpoint_id = ${panel}`
  expect(kept).toHaveLength(3)
  await sql`DELETE FROM access_exception`
  for (const kind of ALL)
    await sql`INSERT INTO access_exception (id, site_id, asset_id, endpoint_id, kind, reason, compensating_control,
        owner_id, expires_at, opened_by, opened_at)
      VALUES (${newId()}, ${plant.site}, ${plant.asset}, ${panel}, ${kind}, 'r', 'c', ${paul.principal.personId},
        ${new Date(TWO + 3 * HOUR)}, ${paul.principal.personId}, ${new Date(TWO)})`
  expect(await reasons(id)).toEqual(Array(3).fill('row-not-vouched exception'))
  await sql`DELETE FROM access_exception`
  await sql`UPDATE endpoint SET vnc_security = 'x509', vnc_authentication = 'password' WHERE id = ${panel}`
  expect(await reasons(id)).toEqual(expect.arrayContaining(['row-not-vouched endpoint', 'request-changed']))
})

it('declared otherwise after the approval, it is approved anew', async () => {
  await open(panel)
  const { id } = await ask()
  await decide(plant, paul, id)
  await plant.database.db.sql`UPDATE endpoint SET vnc_authentication = 'password' WHERE id = ${panel}`
  await vouch('endpoint', panel)
  expect(await reasons(id)).toEqual(expect.arrayContaining(['request-changed', 'no-credential']))
})
