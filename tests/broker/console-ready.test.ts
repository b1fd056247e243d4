import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { newId } from '../../broker/domain/ids.ts'
import { rowStates } from '../../broker/inventory/row-states.ts'
import { decideAccess } from '../../broker/policy/decide-access.ts'
import { canonicalReady, standingReady } from '../../broker/sessions/console-ready.ts'
import {
  decide,
  HOUR,
  makePlant,
  type Plant,
  RUNNING,
  requestBody,
  type Somebody,
  TWO,
} from './approvals-support.ts'
import { startCluster, type TestCluster } from './database.ts'

/* Consoles that operators use: asked, answered, taken back; what counts, and for whom. On a real database. */

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
afterAll(async () => {
  await cluster.close()
})

const NOT_SHARED = { status: 404 }
const params = () => ({ params: { id } })
const ask = (who = vera) => plant.call(who, 'POST /api/requests/:id/console/ask', params())
const ready = (who = olga) => plant.call(who, 'POST /api/requests/:id/console/ready', params())
const takeBack = (who = olga) => plant.call(who, 'POST /api/requests/:id/console/take-back', params())
const waiting = (who = olga) => plant.call(who, 'GET /api/consoles', {})
const seen = async () => (await plant.call(vera, 'GET /api/requests/:id', params())).console
const reasons = async (purpose: 'open' | 'renew' = 'open', sessionId: string | null = null) => {
  const facts = await plant.approvals.access.facts({
    requestId: id,
    personId: vera.principal.personId,
    purpose,
    sessionId,
    runtime: { ...RUNNING, authenticatedAt: plant.log.clock.wall() },
  })
  const answer = decideAccess(facts, plant.log.clock.wall())
  return answer.permit ? [] : answer.reasons.map((reason) => reason.code)
}
const actions = async () =>
  (
    await plant.database.owner.sql<{ bytes: Buffer }[]>`
      SELECT bytes FROM audit.entry WHERE object_kind = 'console-ready' ORDER BY staged`
  ).map(({ bytes }) => (JSON.parse(bytes.toString('utf8')) as { action: string }).action)

async function useConsole(plant: Plant): Promise<void> {
  const { sql } = plant.deps.db
  const name = { kind: 'asset', id: plant.asset }
  const [before] = await rowStates(sql, [name])
  await sql`UPDATE asset SET operators_use_console = true WHERE id = ${plant.asset}`
  const [after] = await rowStates(sql, [name])
  await plant.log.log.record(sql, {
    action: 'asset.changed',
    actor: { kind: 'system', id: 'test', name: null, organisation: null },
    object: name,
    before: before?.current,
    after: after?.current,
  })
}

/** Each test in a plant of its own, at 02:00, with an approved request. */
beforeEach(async () => {
  plant = await makePlant(cluster)
  vera = await plant.person('Vera Ortiz', ['vendor'], { vendor: true, email: 'vera@acme.example' })
  paul = await plant.person('Paul Weiss', ['approver'])
  olga = await plant.person('Olga Brandt', ['operator'])
  await useConsole(plant)
  await plant.deps.db.sql`INSERT INTO notice_acceptance (person_id, site_id, version, accepted_at)
    VALUES (${vera.principal.personId}, ${plant.site}, 1, now())`
  id = (await plant.call(vera, 'POST /api/requests', { body: requestBody(plant) })).id
  const card = await decide(plant, paul, id)
  expect(card.risks).toContain('Opening takes the console away from whoever stands before it.')
  return () => plant.close()
})

describe('an operator’s word', () => {
  it('is asked for, given, seen by both sides, and lets the session open', async () => {
    expect(await seen()).toEqual({ askedAt: null, ready: null })
    expect(await reasons()).toEqual(['operator-not-ready'])
    await expect(ready()).rejects.toMatchObject({ code: 'nobody-asks' })

    expect((await ask()).console).toMatchObject({ askedAt: new Date(TWO).toISOString(), ready: null })
    await expect(ask()).rejects.toMatchObject({ code: 'asked-already' })
    expect(await reasons()).toEqual(['operator-not-ready'])
    expect(await waiting()).toMatchObject([
      {
        requestId: id,
        asset: { name: 'Robot cell 4' },
        person: { name: 'Vera Ortiz', company: 'ACME Robotics' },
        purpose: 'Update the firmware',
        ready: null,
      },
    ])

    await ready()
    const word = { by: 'Olga Brandt', expiresAt: new Date(TWO + 15 * MINUTE).toISOString() }
    expect((await seen())?.ready).toMatchObject(word)
    expect(await waiting()).toMatchObject([{ ready: word }])
    expect(await reasons()).toEqual([])
    await expect(ask()).rejects.toMatchObject({ code: 'console-free' })
    await expect(ready(paul)).rejects.toMatchObject({ code: 'ready-given' })
    expect(await actions()).toEqual(['console.asked', 'console.ready'])
  })

  it('is taken back before the opening, and asked for anew', async () => {
    await expect(takeBack()).rejects.toMatchObject({ code: 'ready-not-standing' })
    await ask()
    await ready()
    await takeBack(paul)
    expect(await reasons()).toEqual(['operator-not-ready'])
    expect(await waiting()).toEqual([])
    expect(await seen()).toEqual({ askedAt: null, ready: null })
    await ask()
    await ready()
    expect(await reasons()).toEqual([])
    expect(await actions()).toEqual([
      'console.asked',
      'console.ready',
      'console.taken-back',
      'console.asked',
      'console.ready',
    ])
  })

  it('stands for 15 minutes and no longer', async () => {
    await ask()
    await ready()
    plant.log.clock.setWall(TWO + 15 * MINUTE - 1)
    expect(await reasons()).toEqual([])
    plant.log.clock.setWall(TWO + 15 * MINUTE)
    expect(await reasons()).toEqual(['operator-not-ready'])
    expect(await waiting()).toEqual([])
    expect(await seen()).toEqual({ askedAt: null, ready: null })
    await expect(ready()).rejects.toMatchObject({ code: 'nobody-asks' })
    await ask()
    expect(await waiting()).toMatchObject([{ ready: null }])
  })

  it('is about one version of one request', async () => {
    await ask()
    await ready()
    await plant.call(vera, 'PUT /api/requests/:id', {
      ...params(),
      body: requestBody(plant, { purpose: 'Something else entirely' }),
    })
    await decide(plant, paul, id)
    expect(await reasons()).toEqual(['operator-not-ready'])
    expect(await waiting()).toEqual([])
    await ask()
    expect(await waiting()).toHaveLength(1)
  })

  it('is not asked for while anything else is missing', async () => {
    plant.log.clock.setWall(TWO - HOUR)
    await expect(ask()).rejects.toMatchObject({
      code: 'not-permitted-yet',
      reasons: [{ code: 'window-not-open' }],
    })
    plant.log.clock.setWall(TWO + 4 * HOUR)
    await expect(ask()).rejects.toMatchObject({ code: 'not-permitted-yet' })
  })

  it('comes from the site’s own operators only', async () => {
    await ask()
    // Somebody of the vendor who was given an operator's role by mistake, and the vendor themself.
    const twin = await plant.person('Ken Colleague', ['vendor', 'operator'], { vendor: true })
    const auditor = await plant.person('Anna Audit', ['auditor'])
    const elsewhere: Somebody = {
      ...olga,
      principal: { ...olga.principal, roles: [{ role: 'operator', siteId: newId() }] },
    }
    for (const who of [vera, twin, auditor, elsewhere]) {
      await expect(ready(who)).rejects.toMatchObject(NOT_SHARED)
      await expect(takeBack(who)).rejects.toMatchObject(NOT_SHARED)
    }
    expect(await waiting(elsewhere)).toEqual([])
    for (const who of [twin, olga, paul]) await expect(ask(who)).rejects.toMatchObject(NOT_SHARED)
    expect(await reasons()).toEqual(['operator-not-ready'])
  })

  it('stops counting when its operator does', async () => {
    await ask()
    await ready()
    const { sql } = plant.deps.db
    await sql`DELETE FROM role WHERE person_id = ${olga.principal.personId}`
    expect(await reasons()).toEqual(['operator-not-ready'])
    // So it keeps nobody from asking somebody else.
    expect(await seen()).toEqual({ askedAt: null, ready: null })
    expect((await ask()).console).toMatchObject({ askedAt: new Date(TWO).toISOString(), ready: null })
    await ready(paul)
    expect(await reasons()).toEqual([])
    expect(await actions()).toEqual([
      'console.asked',
      'console.ready',
      'console.asked-again',
      'console.asked',
      'console.ready',
    ])
  })

  it('of an operator whose own row was edited counts for nothing, and is asked for anew', async () => {
    await ask()
    await ready()
    await plant.deps.db.sql`UPDATE person SET name = 'Olga Brand' WHERE id = ${olga.principal.personId}`
    expect(await reasons()).toEqual(['row-not-vouched'])
    const view = await plant.call(vera, 'GET /api/requests/:id', params())
    expect(view.console).toEqual({ askedAt: null, ready: null })
    expect(view.decision.permitted).toBe(true)
    await ask()
    await ready(paul)
    expect(await reasons()).toEqual([])
  })

  it('is asked for anew where the log does not vouch for the question', async () => {
    await plant.deps.db.sql`INSERT INTO console_ready (id, request_id, request_version, asked_by, asked_at)
      VALUES (${newId()}, ${id}, 1, ${vera.principal.personId}, ${new Date(TWO)})`
    const view = await plant.call(vera, 'GET /api/requests/:id', params())
    expect(view.console).toEqual({ askedAt: null, ready: null })
    expect(view.decision.permitted).toBe(true)
    expect(await waiting()).toEqual([])
    await ask()
    expect(await waiting()).toHaveLength(1)
    await ready()
    expect(await reasons()).toEqual([])
  })

  it('that counts is not asked for anew while something else is wrong', async () => {
    await ask()
    await ready()
    await plant.deps.db.sql`UPDATE asset SET name = 'Robot cell 5' WHERE id = ${plant.asset}`
    await expect(ask()).rejects.toMatchObject({ code: 'not-permitted-yet' })
    expect((await standingReady(plant.deps.db.sql, id))?.givenAt).toEqual(new Date(TWO))
  })

  it('counts only as the log vouches for it; a forged one opens nothing and is not made good by pressing', async () => {
    const { sql } = plant.deps.db
    await sql`INSERT INTO console_ready (id, request_id, request_version, asked_by, asked_at, given_by, given_at, expires_at)
      VALUES (${newId()}, ${id}, 1, ${vera.principal.personId}, ${new Date(TWO)}, ${olga.principal.personId},
        ${new Date(TWO)}, ${new Date(TWO + 10 * MINUTE)})`
    expect(await reasons()).toEqual(['row-not-vouched'])
    expect(await waiting()).toEqual([])
    await takeBack()
    await ask()
    await sql`UPDATE console_ready SET given_by = ${olga.principal.personId}, given_at = ${new Date(TWO)},
      expires_at = ${new Date(TWO + 10 * MINUTE)} WHERE ended_at IS NULL`
    expect(await reasons()).toEqual(['row-not-vouched'])
    await sql`UPDATE console_ready SET given_by = NULL, given_at = NULL, expires_at = NULL WHERE ended_at IS NULL`
    await ready()
    expect(await reasons()).toEqual([])
    const row = await standingReady(sql, id)
    if (!row) throw new Error('the word is gone')
    await plant.log.log.verifyObjects(sql, [
      { kind: 'console-ready', id: row.id, current: canonicalReady(row) },
    ])
    // Who asked, and about what, is nothing that the application may change; nor may a word be longer.
    await expect(sql`UPDATE console_ready SET request_version = 2`).rejects.toMatchObject({ code: '42501' })
    await expect(sql`DELETE FROM console_ready`).rejects.toMatchObject({ code: '42501' })
    await expect(
      sql`UPDATE console_ready SET expires_at = ${new Date(TWO + HOUR)} WHERE ended_at IS NULL`,
    ).rejects.toThrow(/a_word_is_short/)
  })

  it('is not needed for a session that runs', async () => {
    expect(await reasons('renew', newId())).toEqual([])
  })
})
