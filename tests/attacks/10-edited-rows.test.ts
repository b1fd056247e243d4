import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decideAccess } from '../../broker/policy/decide-access.ts'
import { enrol } from '../../gateway/enrol.ts'
import { decide, makePlant, type Plant, RUNNING, requestBody, TWO } from '../broker/approvals-support.ts'
import { startCluster, type TestCluster } from '../broker/database.ts'
import { type TestBroker, testBroker, testPlant } from '../broker/identity-support.ts'
import { startPlant, type Plant as WholePlant } from '../broker/plant.ts'

/*
 * Threat 10: whoever can write the database, and holds none of the broker's keys. Each test is red without its defence:
 * `audit.verifyObject` in link/enrolment-token.ts and link/enrol.ts, `isVouched` in identity/set-up-links.ts, `email`
 * in canonicalPerson, `keepVouched` in rolesByName, the comparisons in changedSince of approvals/gather-facts.ts.
 */

let cluster: TestCluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster?.close())

describe('gateways', () => {
  let plant: WholePlant
  let folder: string
  let at: { broker: string }
  beforeAll(async () => {
    plant = await startPlant({}, { gateway: false })
    folder = await mkdtemp(path.join(tmpdir(), 'sallyport-attack-'))
    at = { broker: `https://127.0.0.1:${plant.broker.link.port}` }
  })
  afterAll(async () => {
    await plant?.close()
    await rm(folder, { recursive: true, force: true })
  })
  const announce = async (name: string) => {
    const made = await plant.admin.call('POST /api/gateways', {
      body: { name, siteId: plant.siteId, zoneId: plant.gatewayZoneId },
    })
    return { token: made.enrolmentToken, id: made.gateway.id }
  }
  const enrolAs = (token: string, name: string) =>
    enrol({ ...at, token, name, dataDir: path.join(folder, name) })
  const alarms = async (subject: string) =>
    plant.broker.store.db.sql`SELECT 1 FROM alarm WHERE subject LIKE ${subject} AND closed_at IS NULL`

  it('an enrolment token put into the table lets nobody in as a gateway of the site', async () => {
    const { token, id } = await announce('gateway-a')
    await enrolAs(token, 'a')
    const secret = Buffer.alloc(32, 7).toString('base64url')
    const hash = createHash('sha256').update('sallyport/enrolment/v1\0').update(secret).digest()
    await plant.broker.store.db.sql`
      INSERT INTO enrolment_token (token_hash, gateway_id, created_at, expires_at)
      VALUES (${hash}, ${id}, now(), now() + interval '1 hour')`
    const forged = `sp1.${secret}.${token.split('.')[2]}`
    await expect(enrolAs(forged, 'rogue')).rejects.toMatchObject({ code: 'enrolment-refused' })
    expect(await alarms(`enrolment-token ${hash.toString('hex')}`)).toHaveLength(1)
  })

  it('a used token that was made unused again stays used, and one moved to another gateway is no token', async () => {
    const { sql } = plant.broker.store.db
    const first = await announce('gateway-b')
    await enrolAs(first.token, 'b')
    await sql`UPDATE enrolment_token SET used_at = NULL WHERE gateway_id = ${first.id}`
    await expect(enrolAs(first.token, 'b-again')).rejects.toMatchObject({ code: 'enrolment-refused' })
    const second = await announce('gateway-c')
    await sql`UPDATE enrolment_token SET gateway_id = ${first.id} WHERE gateway_id = ${second.id}`
    await expect(enrolAs(second.token, 'c')).rejects.toMatchObject({ code: 'enrolment-refused' })
  })

  it('enrolling does not vouch for a row that was edited before', async () => {
    const { sql } = plant.broker.store.db
    const { token, id } = await announce('gateway-d')
    const [other] = await sql<
      { id: string }[]
    >`SELECT id FROM zone WHERE id <> ${plant.gatewayZoneId} LIMIT 1`
    await sql`UPDATE gateway SET zone_id = ${other?.id ?? ''} WHERE id = ${id}`
    await expect(enrolAs(token, 'd')).rejects.toMatchObject({ code: 'enrolment-refused' })
    expect(await alarms(`gateway ${id}`)).toHaveLength(1)
  })
})

describe('people', () => {
  let broker: TestBroker
  beforeAll(async () => {
    broker = await testBroker(cluster)
  })
  afterAll(() => broker?.close())

  it("a used set-up link put back into force makes nobody an administrator, nor anybody's passkey", async () => {
    const { sql } = broker.database.db
    const first = await broker.identity.ensureFirstAdministrator()
    await broker.client().setUp(first?.setUpLink ?? '')
    const token = new URL(first?.setUpLink ?? '').hash.slice(1)
    await sql`UPDATE set_up_link SET used_at = NULL, expires_at = now() + interval '1 hour'`
    expect((await broker.client().ask('POST /api/set-up/options', { body: { token } })).status).toBe(404)
    await sql`UPDATE set_up_link SET used_at = NULL, expires_at = created_at + interval '24 hours'`
    expect((await broker.client().ask('POST /api/set-up/options', { body: { token } })).status).toBe(404)
    expect(broker.alarms.some(({ subject }) => subject.startsWith('set-up-link '))).toBe(true)
  })
})

describe('approvals', () => {
  let plant: Plant
  beforeAll(async () => {
    plant = await makePlant(cluster)
  })
  afterAll(() => plant?.close())

  it('one person with two accounts is not made two people by another mail address', async () => {
    const { sql } = plant.deps.db
    const vera = await plant.person('Vera', ['vendor'], { vendor: true, email: 'vera@acme.example' })
    const twin = await plant.person('V. Ortiz', ['approver'], { email: 'vera@acme.example' })
    const { id } = await plant.call(vera, 'POST /api/requests', { body: requestBody(plant) })
    await expect(decide(plant, twin, id)).rejects.toMatchObject({ status: 403 })
    await sql`UPDATE person SET email = 'other@plant.example' WHERE id = ${twin.principal.personId}`
    await expect(decide(plant, twin, id)).rejects.toMatchObject({ code: 'row-not-vouched' })
  })

  it('a change of the plant voids an approval, also when the compared document is changed with it', async () => {
    const { sql } = plant.deps.db
    const vera = await plant.person('Vera', ['vendor'], { vendor: true })
    const paul = await plant.person('Paul', ['approver'])
    const { id } = await plant.call(vera, 'POST /api/requests', { body: requestBody(plant) })
    await decide(plant, paul, id)
    const ask = async () =>
      decideAccess(
        await plant.approvals.access.facts({
          requestId: id,
          personId: vera.principal.personId,
          purpose: 'open',
          sessionId: null,
          runtime: RUNNING,
        }),
        TWO,
      )
    const reasons = async () => {
      const answer = await ask()
      return answer.permit ? [] : answer.reasons
    }
    expect(await reasons()).toMatchObject([{ code: 'notice-not-accepted' }])
    // An administrator moves the robot, in the proper way; then its new place is written into what was approved.
    const [before] = await sql<{ asset_snapshot: string }[]>`
      SELECT asset_snapshot FROM access_request_version WHERE request_id = ${id}`
    const moved = (before?.asset_snapshot ?? '').replace('10.4.1.7', '10.4.1.8')
    expect(moved).toContain('10.4.1.8')
    await plant.database.owner
      .sql`UPDATE access_request_version SET asset_snapshot = ${moved} WHERE request_id = ${id}`
    expect(await reasons()).toContainEqual({
      code: 'request-changed',
      fields: expect.arrayContaining(['asset snapshot']),
    })
  })
})

it('a site renamed in the database gives its name’s roles to nobody', async () => {
  const broker = await testBroker(cluster)
  try {
    const ada = await broker.administrator()
    const { site } = await testPlant(ada)
    const { sql } = broker.database.db
    await sql`UPDATE site SET name = 'Another plant' WHERE id = ${site.id}`
    // The very function that turns claims into roles; the way there is in identity-oidc.test.ts.
    const { rolesByName } = await import('../../broker/identity/sign-in-flows.ts')
    const asked = [{ role: 'approver' as const, site: 'Another plant' }]
    expect(await broker.database.db.tx((tx) => rolesByName(tx, broker.audit, asked))).toEqual([])
  } finally {
    await broker.close()
  }
})
