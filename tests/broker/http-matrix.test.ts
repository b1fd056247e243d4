import { afterAll, beforeAll, expect, test } from 'vitest'
import { api, type RouteKey } from '../../broker/contract/api/index.ts'
import type { RouteSpec } from '../../broker/contract/route.ts'
import { newId } from '../../broker/domain/ids.ts'
import { ROLES, type Role } from '../../broker/domain/words.ts'
import type { ApiClient } from '../lab/api-client.ts'
import { startCluster, type TestCluster } from './database.ts'
import { assetBody, type TestBroker, testBroker, testPlant } from './identity-support.ts'
import { routeMatrix } from './route-matrix.ts'

let cluster: TestCluster
let broker: TestBroker
let ada: ApiClient

beforeAll(async () => {
  cluster = await startCluster()
  broker = await testBroker(cluster, {
    limits: {
      address: { burst: 100_000, perSecond: 1000 },
      person: { burst: 100_000, perSecond: 1000 },
      signIn: { burst: 1000, perSecond: 1000 },
    },
  })
  ada = await broker.administrator()
})
afterAll(async () => {
  await broker?.close()
  await cluster?.close()
})

async function join(
  name: string,
  roles: { role: Role; siteId: string | null }[],
  vendorId: string | null = null,
) {
  const made = await ada.call('POST /api/people', {
    body: { name, email: null, vendorId, accountEndsAt: null, trainingValidUntil: null, roles },
  })
  const client = broker.client()
  await client.setUp(made.setUpLink)
  return { client, id: made.person.id }
}

test('every route x every caller without business there', async () => {
  const here = await testPlant(ada, 'Geheimwerk')
  const there = await testPlant(ada, 'Anderswo')
  const asset = await ada.call('POST /api/assets', {
    body: { ...assetBody(here.site.id, here.zone.id), name: 'Geheimpresse' },
  })
  const withEndpoint = await ada.call('POST /api/assets/:id/endpoints', {
    params: { id: asset.id },
    body: { protocol: 'ssh', port: 22 },
  })
  const endpointId = withEndpoint.endpoints[0]?.id ?? ''
  const conduit = await ada.call('POST /api/conduits', {
    body: {
      siteId: here.site.id,
      name: 'Geheimgang',
      fromZoneId: here.dmz.id,
      toZoneId: here.zone.id,
      protocols: ['ssh'],
    },
  })
  const insider = await join('Ingo Insider-Geheim', [{ role: 'approver', siteId: here.site.id }])
  const [passkey] = await insider.client.call('GET /api/me/passkeys', {})
  const vendor = await ada.call('POST /api/vendors', {
    body: {
      name: 'Acme Robotics',
      contractEndsAt: '2030-01-01T00:00:00.000Z',
      sponsorId: (await ada.me()).person.id,
      tier: '2',
    },
  })
  const elsewhere = {} as Record<Role, ApiClient>
  for (const role of ROLES) {
    const made = await join(
      `${role} there`,
      [{ role, siteId: there.site.id }],
      role === 'vendor' ? vendor.id : null,
    )
    elsewhere[role] = made.client
  }
  const roleless = await join('Nora Norole', [{ role: 'auditor', siteId: there.site.id }])
  await ada.call('PATCH /api/people/:id', {
    params: { id: roleless.id },
    body: { roles: [], reason: 'moved' },
  })

  const onceVnc = await ada.call('POST /api/assets/:id/endpoints', {
    params: { id: asset.id },
    body: { protocol: 'vnc', port: 5900, security: 'plain', authentication: 'none' },
  })
  const vncId = onceVnc.endpoints.find(({ protocol }) => protocol === 'vnc')?.id ?? ''
  const expiresAt = new Date(Date.now() + 86_400_000).toISOString()
  const exceptionBody = {
    endpointId: vncId,
    kinds: ['no-encryption' as const],
    reason: 'Geheimer Grund',
    compensatingControl: 'Geheimes Netz',
    ownerId: insider.id,
    expiresAt,
  }
  const [exception] = await ada.call('POST /api/exceptions', { body: exceptionBody })
  const before = await ada.call('GET /api/assets/:id', { params: { id: asset.id } })

  const reason = 'because'
  const cells = await routeMatrix({
    anonymous: broker.client(),
    roleless: roleless.client,
    elsewhere,
    secrets: [
      here.site.id,
      'Geheim',
      asset.id,
      endpointId,
      conduit.id,
      insider.id,
      vncId,
      exception?.id ?? '',
      '10.20.30.41',
    ],
    params: {
      'PATCH /api/people/:id': { id: insider.id },
      'POST /api/people/:id/set-up-link': { id: insider.id },
      'POST /api/people/:id/passkeys/:passkeyId/confirm': { id: insider.id, passkeyId: passkey?.id ?? '' },
      'DELETE /api/me/passkeys/:id': { id: passkey?.id ?? '' },
      'PATCH /api/vendors/:id': { id: vendor.id },
      'PATCH /api/sites/:id': { id: here.site.id },
      'PATCH /api/conduits/:id': { id: conduit.id },
      'GET /api/assets/:id': { id: asset.id },
      'PUT /api/assets/:id': { id: asset.id },
      'PATCH /api/assets/:id': { id: asset.id },
      'POST /api/assets/:id/endpoints': { id: asset.id },
      'PATCH /api/endpoints/:id': { id: vncId },
      'POST /api/exceptions/:id/close': { id: exception?.id ?? '' },
      'POST /api/endpoints/:id/identity/probe': { id: endpointId },
      'POST /api/endpoints/:id/identity/accept': { id: endpointId },
      'PUT /api/endpoints/:id/accounts/:account/credential': { id: endpointId, account: 'engineer' },
    },
    bodies: {
      'POST /api/people': {
        name: 'Spy',
        email: null,
        vendorId: null,
        accountEndsAt: null,
        trainingValidUntil: null,
        roles: [{ role: 'administrator', siteId: here.site.id }],
      },
      'PATCH /api/people/:id': { enabled: false, reason },
      'POST /api/people/:id/set-up-link': { reason },
      'POST /api/vendors': {
        name: 'Shell company',
        contractEndsAt: '2030-01-01T00:00:00.000Z',
        sponsorId: insider.id,
        tier: '1',
      },
      'PATCH /api/vendors/:id': { enabled: false, reason },
      'POST /api/sites': { name: 'Third', timeZone: 'Europe/Berlin', notice: 'n' },
      'PATCH /api/sites/:id': { name: 'Taken over' },
      'POST /api/zones': { siteId: here.site.id, name: 'Z', ranges: ['10.0.0.0/8'] },
      'POST /api/conduits': {
        siteId: here.site.id,
        name: 'C',
        fromZoneId: here.zone.id,
        toZoneId: here.dmz.id,
        protocols: ['ssh'],
      },
      'PATCH /api/conduits/:id': { enabled: false, reason },
      'POST /api/assets': assetBody(here.site.id, here.zone.id, '10.20.30.9'),
      'PUT /api/assets/:id': assetBody(here.site.id, here.zone.id),
      'PATCH /api/assets/:id': { enabled: false, reason },
      'POST /api/assets/:id/endpoints': { protocol: 'ssh', port: 2222 },
      'POST /api/endpoints/:id/identity/accept': {
        algorithm: 'ssh-ed25519',
        fingerprint: `SHA256:${'A'.repeat(43)}`,
        reason,
      },
      'PUT /api/endpoints/:id/accounts/:account/credential': { kind: 'password', password: 'x' },
      'PATCH /api/endpoints/:id': { protocol: 'vnc', security: 'x509', authentication: 'password', reason },
      'POST /api/exceptions': exceptionBody,
      'POST /api/exceptions/:id/close': { reason },
      'POST /api/alarms/:id/acknowledge': { reason },
      'POST /api/restore/confirm': { reason },
    },
  })
  expect(cells.filter(({ wrong }) => wrong !== null)).toEqual([])
  expect(new Set(cells.map(({ key }) => key)).size).toBe(
    Object.values(api).filter((spec: RouteSpec) => spec.access.who !== 'public').length,
  )
  // And the matrix could have found something: the same routes let the right people through.
  const after = await ada.call('GET /api/assets/:id', { params: { id: asset.id } })
  expect(after).toEqual(before)
  expect(await ada.call('GET /api/exceptions', { query: {} })).toMatchObject({ items: [{ state: 'open' }] })
  expect((await insider.client.ask('GET /api/assets/:id', { params: { id: asset.id } })).status).toBe(200)
})

test('every change that needs fresh proof asks for it', async () => {
  const all = ROLES.filter((role) => role !== 'vendor')
  const site = (await ada.call('GET /api/sites', {}))[0]
  const stale = await join(
    'Stella Stale',
    all.map((role) => ({ role, siteId: site?.id ?? '' })),
  )
  broker.clock.shift(6 * 60_000)
  for (const key of Object.keys(api) as RouteKey[]) {
    const spec: RouteSpec = api[key]
    if (!spec.stepUp) continue
    if (spec.access.who === 'roles' && !spec.access.roles.some((role) => role !== 'vendor')) continue
    const [method = '', pattern = ''] = key.split(' ')
    const path = pattern.replace(/:([A-Za-z]+)/g, () => newId())
    const answer = await stale.client.fetch(method, path, spec.body ? {} : undefined)
    expect([answer.status, (answer.body as { code: string }).code], key).toEqual([403, 'step-up-required'])
  }
})
