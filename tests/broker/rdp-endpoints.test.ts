import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Answer, BodyInput } from '../../broker/contract/api/index.ts'
import { newId } from '../../broker/domain/ids.ts'
import type { Probed } from '../../broker/domain/vnc.ts'
import { canonicalEndpoint, readEndpoints } from '../../broker/inventory/rows.ts'
import type { ApiClient } from '../lab/api-client.ts'
import { startCluster, type TestCluster } from './database.ts'
import { assetBody, type TestBroker, testBroker, testPlant } from './identity-support.ts'

/* RDP endpoints in the inventory, on a real database and through the real HTTP application. */

const CERTIFICATE = { algorithm: 'x509-sha256', fingerprint: `SHA256:${'d'.repeat(43)}` }

type Asset = Answer<'GET /api/assets/:id'>
type EndpointBody = BodyInput<'POST /api/assets/:id/endpoints'>

let cluster: TestCluster
let broker: TestBroker
let ada: ApiClient
let plant: Awaited<ReturnType<typeof testPlant>>
let shows: Probed = { identity: CERTIFICATE, vnc: null, rdp: { security: 'nla' } }
let last = 100

beforeAll(async () => {
  cluster = await startCluster()
  broker = await testBroker(cluster, { probe: async () => shows })
  ada = await broker.administrator()
  plant = await testPlant(ada)
})
afterAll(async () => {
  await broker?.close()
  await cluster?.close()
})

const code = (answer: { body: unknown }) => (answer.body as { code?: string }).code

async function assetWithGateway(): Promise<string> {
  last += 1
  const asset = await ada.call('POST /api/assets', {
    body: assetBody(plant.site.id, plant.zone.id, `10.20.30.${last}`),
  })
  const gatewayId = newId()
  await broker.database.owner.sql`INSERT INTO gateway (id, site_id, zone_id, name, created_at)
    VALUES (${gatewayId}, ${plant.site.id}, ${plant.dmz.id}, ${`gw ${gatewayId}`}, now())`
  await ada.call('PATCH /api/assets/:id', { params: { id: asset.id }, body: { gatewayId, reason: 'near' } })
  return asset.id
}

const add = (id: string, body: EndpointBody) =>
  ada.ask('POST /api/assets/:id/endpoints', { params: { id }, body })

async function station(): Promise<{ assetId: string; endpointId: string }> {
  const assetId = await assetWithGateway()
  const made = (await add(assetId, { protocol: 'rdp', port: 3389, security: 'nla' })).body as Asset
  return { assetId, endpointId: made.endpoints[0]?.id ?? '' }
}

test('an RDP endpoint lacks nothing: its certificate is pinned, its account has a password', async () => {
  const { assetId, endpointId } = await station()
  const params = { id: endpointId }
  const made = await ada.call('GET /api/assets/:id', { params: { id: assetId } })
  expect(made.endpoints[0]).toMatchObject({
    protocol: 'rdp',
    vnc: null,
    rdp: { security: 'nla', seen: null },
    deviations: [],
  })
  expect(made.incomplete).toEqual(
    expect.arrayContaining([
      'an accepted certificate (rdp port 3389)',
      'an account with a credential (rdp port 3389)',
    ]),
  )
  expect(await ada.call('POST /api/endpoints/:id/identity/probe', { params, body: {} })).toEqual(shows)
  const accept = (algorithm: string) =>
    ada.ask('POST /api/endpoints/:id/identity/accept', {
      params,
      body: { algorithm, fingerprint: CERTIFICATE.fingerprint, reason: 'compared at the console' },
    })
  expect(code(await accept('ssh-ed25519'))).toBe('identity-of-another-protocol')
  const accepted = (await accept('x509-sha256')).body as Asset
  expect(accepted.endpoints[0]).toMatchObject({
    identity: { state: 'accepted', accepted: [CERTIFICATE] },
    rdp: { security: 'nla', seen: { security: 'nla' } },
  })

  const put = (account: string, body: BodyInput<'PUT /api/endpoints/:id/accounts/:account/credential'>) =>
    ada.ask('PUT /api/endpoints/:id/accounts/:account/credential', {
      params: { id: endpointId, account },
      body,
    })
  const key = await put('service', { kind: 'private-key', privateKey: 'x', passphrase: null })
  expect(key.status).toBe(400)
  for (const account of ['PLANT\\service', 'service@plant.example'])
    expect((await put(account, { kind: 'password', password: 'station-1' })).status).toBe(200)
  const whole = await ada.call('GET /api/assets/:id', { params: { id: assetId } })
  expect(whole.endpoints[0]?.accounts.map(({ name }) => name).sort()).toEqual([
    'PLANT\\service',
    'service@plant.example',
  ])
  expect(whole.incomplete.filter((what) => what.includes('rdp'))).toEqual([])
})

test('without NLA only for a reason, which the log keeps; the row is the one that the log vouches for', async () => {
  const assetId = await assetWithGateway()
  expect(code(await add(assetId, { protocol: 'rdp', port: 3390, security: 'tls' }))).toBe('reason-needed')
  const reason = 'xrdp knows no NLA'
  // Where nothing is left to explain, a reason is one field too many.
  const needless = { protocol: 'rdp', port: 3390, security: 'nla', reason }
  expect((await ada.fetch('POST', `/api/assets/${assetId}/endpoints`, needless)).status).toBe(400)
  const made = (await add(assetId, { protocol: 'rdp', port: 3390, security: 'tls', reason })).body as Asset
  const endpointId = made.endpoints[0]?.id ?? ''
  expect(made.endpoints[0]).toMatchObject({ rdp: { security: 'tls' }, deviations: [] })
  const [entry] = await broker.database.owner.sql<{ bytes: Buffer }[]>`
    SELECT bytes FROM audit.entry WHERE object_kind = 'endpoint' AND object_id = ${endpointId}`
  expect(JSON.parse(entry?.bytes.toString('utf8') ?? '{}')).toMatchObject({
    action: 'endpoint.added',
    reason,
    details: { protocol: 'rdp', security: 'tls' },
  })

  const declared = await ada.call('PATCH /api/endpoints/:id', {
    params: { id: endpointId },
    body: { protocol: 'rdp', security: 'nla', reason: 'updated' },
  })
  expect(declared.endpoints[0]).toMatchObject({ rdp: { security: 'nla' } })
  const { sql } = broker.database.db
  const [row] = await readEndpoints(sql, 'id', [endpointId])
  if (!row) throw new Error('the endpoint is gone')
  expect(canonicalEndpoint(row)).toEqual({
    v: 1,
    id: endpointId,
    assetId,
    protocol: 'rdp',
    port: 3390,
    rdp: { security: 'nla' },
  })
  await broker.audit.verifyObject(sql, 'endpoint', endpointId, canonicalEndpoint(row))
})

test('a server without NLA does not fit where it is required; a better one than declared is only shown', async () => {
  const { assetId, endpointId } = await station()
  const params = { id: endpointId }
  const misfit = 'a declaration that fits what was seen (rdp port 3389)'
  shows = { identity: CERTIFICATE, vnc: null, rdp: { security: 'tls' } }
  await ada.call('POST /api/endpoints/:id/identity/probe', { params, body: {} })
  const seen = await ada.call('GET /api/assets/:id', { params: { id: assetId } })
  expect(seen.incomplete).toContain(misfit)
  await ada.call('PATCH /api/endpoints/:id', {
    params,
    body: { protocol: 'rdp', security: 'tls', reason: 'has no NLA' },
  })
  shows = { identity: CERTIFICATE, vnc: null, rdp: { security: 'nla' } }
  await ada.call('POST /api/endpoints/:id/identity/probe', { params, body: {} })
  const better = await ada.call('GET /api/assets/:id', { params: { id: assetId } })
  expect(better.endpoints[0]?.rdp).toMatchObject({ security: 'tls', seen: { security: 'nla' } })
  expect(better.incomplete).not.toContain(misfit)
})

test('each protocol is declared by its own words', async () => {
  const { endpointId } = await station()
  const answer = await ada.ask('PATCH /api/endpoints/:id', {
    params: { id: endpointId },
    body: { protocol: 'vnc', security: 'plain', authentication: 'none', reason: 'as it is' },
  })
  expect([answer.status, code(answer)]).toEqual([409, 'other-protocol'])
  const assetId = await assetWithGateway()
  const wrong = await ada.fetch('POST', `/api/assets/${assetId}/endpoints`, {
    protocol: 'rdp',
    port: 3389,
    security: 'plain',
  })
  expect(wrong.status).toBe(400)
})

test('the database holds an RDP row to its protection', async () => {
  const assetId = await assetWithGateway()
  const { sql } = broker.database.db
  const insert = (protocol: string, security: string | null) => sql`
    INSERT INTO endpoint (id, asset_id, protocol, port, rdp_security, created_at)
    VALUES (${newId()}, ${assetId}, ${protocol}, 3389, ${security}, now())`
  await expect(insert('rdp', null)).rejects.toThrow(/rdp_has_a_declared_protection/)
  await expect(insert('ssh', 'nla')).rejects.toThrow(/rdp_has_a_declared_protection/)
  await expect(insert('rdp', 'rdp')).rejects.toThrow(/check/)
})
