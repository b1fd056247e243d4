import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Answer, BodyInput } from '../../broker/contract/api/index.ts'
import { newId } from '../../broker/domain/ids.ts'
import type { Probed } from '../../broker/domain/vnc.ts'
import type { Role } from '../../broker/domain/words.ts'
import { INVENTORY_CHANGED } from '../../broker/inventory/places.ts'
import { canonicalEndpoint, readEndpoints } from '../../broker/inventory/rows.ts'
import type { ApiClient } from '../lab/api-client.ts'
import { until } from '../lab/until.ts'
import { startCluster, type TestCluster } from './database.ts'
import { assetBody, type TestBroker, testBroker, testPlant } from './identity-support.ts'

/* VNC endpoints and the register of what they lack, on a real database and through the real HTTP application. */

const DAY = 86_400_000
const CERTIFICATE = { algorithm: 'x509-sha256', fingerprint: `SHA256:${'c'.repeat(43)}` }

let cluster: TestCluster
let broker: TestBroker
let ada: ApiClient
let olga: ApiClient
let owner: string
let plant: Awaited<ReturnType<typeof testPlant>>
let shows: Probed = {
  identity: CERTIFICATE,
  vnc: { security: 'x509', authentication: 'password' },
  rdp: null,
}
let last = 100

beforeAll(async () => {
  cluster = await startCluster()
  broker = await testBroker(cluster, { probe: async () => shows })
  ada = await broker.administrator()
  plant = await testPlant(ada)
  const made = await join('Olga Operator', 'operator', plant.site.id)
  olga = made.client
  owner = made.id
})
afterAll(async () => {
  await broker?.close()
  await cluster?.close()
})

const code = (answer: { body: unknown }) => (answer.body as { code?: string }).code
const later = (ms: number) => new Date(broker.clock.wall() + ms).toISOString()

async function join(name: string, role: Role, siteId: string, vendorId: string | null = null) {
  const made = await ada.call('POST /api/people', {
    body: {
      name,
      email: null,
      vendorId,
      accountEndsAt: null,
      trainingValidUntil: null,
      roles: [{ role, siteId }],
    },
  })
  const client = broker.client()
  await client.setUp(made.setUpLink)
  return { client, id: made.person.id }
}

type VncBody = Extract<BodyInput<'POST /api/assets/:id/endpoints'>, { protocol: 'vnc' }>

/** An asset with a gateway and one VNC endpoint. */
async function panel(change: Partial<VncBody> = {}) {
  last += 1
  const asset = await ada.call('POST /api/assets', {
    body: assetBody(plant.site.id, plant.zone.id, `10.20.30.${last}`),
  })
  const gatewayId = newId()
  await broker.database.owner.sql`INSERT INTO gateway (id, site_id, zone_id, name, created_at)
    VALUES (${gatewayId}, ${plant.site.id}, ${plant.dmz.id}, ${`gw ${gatewayId}`}, now())`
  await ada.call('PATCH /api/assets/:id', { params: { id: asset.id }, body: { gatewayId, reason: 'near' } })
  const made = await ada.call('POST /api/assets/:id/endpoints', {
    params: { id: asset.id },
    body: { protocol: 'vnc', port: 5900, security: 'plain', authentication: 'password', ...change },
  })
  const endpoint = made.endpoints[0] as Answer<'GET /api/assets/:id'>['endpoints'][number]
  return { assetId: asset.id, asset: made, endpoint, endpointId: endpoint.id }
}

const bodyFor = (endpointId: string, change: Partial<BodyInput<'POST /api/exceptions'>> = {}) => ({
  endpointId,
  kinds: ['no-encryption' as const, 'no-server-identity' as const],
  reason: 'The panel knows no encryption',
  compensatingControl: 'A network of its own with the gateway',
  ownerId: owner,
  expiresAt: later(30 * DAY),
  ...change,
})

test('a VNC endpoint says what it lacks, and its certificate is pinned like a host key', async () => {
  const { asset, endpointId } = await panel({ security: 'x509' })
  expect(asset.endpoints[0]).toMatchObject({
    protocol: 'vnc',
    vnc: { security: 'x509', authentication: 'password', seen: null },
    deviations: [],
  })
  expect(asset.incomplete).toContain('an accepted certificate (vnc port 5900)')
  shows = { identity: CERTIFICATE, vnc: { security: 'x509', authentication: 'none' }, rdp: null }
  const params = { id: endpointId }
  expect(await ada.call('POST /api/endpoints/:id/identity/probe', { params, body: {} })).toEqual(shows)
  const accept = (algorithm: string) =>
    ada.ask('POST /api/endpoints/:id/identity/accept', {
      params,
      body: { algorithm, fingerprint: CERTIFICATE.fingerprint, reason: 'read at the panel' },
    })
  expect(code(await accept('ssh-ed25519'))).toBe('identity-of-another-protocol')
  const accepted = (await accept('x509-sha256')).body as Answer<'GET /api/assets/:id'>
  expect(accepted.endpoints[0]?.identity).toMatchObject({ state: 'accepted', accepted: [CERTIFICATE] })
  // What was seen is not what was declared: shown, and nothing is trusted for it.
  expect(accepted.incomplete).toContain('a declaration that fits what was seen (vnc port 5900)')

  const key = await ada.ask('PUT /api/endpoints/:id/accounts/:account/credential', {
    params: { id: endpointId, account: 'vnc' },
    body: { kind: 'private-key', privateKey: 'x', passphrase: null },
  })
  expect(key.status).toBe(400)
  await ada.call('PUT /api/endpoints/:id/accounts/:account/credential', {
    params: { id: endpointId, account: 'vnc' },
    body: { kind: 'password', password: 'panel-1' },
  })

  const declared = await ada.call('PATCH /api/endpoints/:id', {
    params,
    body: { protocol: 'vnc', security: 'plain', authentication: 'none', reason: 'as it is' },
  })
  expect(declared.endpoints[0]).toMatchObject({
    identity: { accepted: [] },
    deviations: [
      { kind: 'no-encryption', exception: null },
      { kind: 'no-server-identity', exception: null },
      { kind: 'no-authentication', exception: null },
    ],
  })
  expect(declared.incomplete).toContain('an exception for no authentication (vnc port 5900)')
  expect(code(await accept('x509-sha256'))).toBe('nothing-to-pin')
  const password = await ada.ask('PUT /api/endpoints/:id/accounts/:account/credential', {
    params: { id: endpointId, account: 'vnc' },
    body: { kind: 'password', password: 'panel-1' },
  })
  expect(code(password)).toBe('no-credential-needed')
  const { sql } = broker.database.db
  const [row] = await readEndpoints(sql, 'id', [endpointId])
  if (!row) throw new Error('the endpoint is gone')
  await broker.audit.verifyObject(sql, 'endpoint', endpointId, canonicalEndpoint(row))
})

test('the form of an SSH endpoint is what it was before there was VNC', async () => {
  const asset = await ada.call('POST /api/assets', {
    body: assetBody(plant.site.id, plant.zone.id, '10.20.30.99'),
  })
  await ada.call('POST /api/assets/:id/endpoints', {
    params: { id: asset.id },
    body: { protocol: 'ssh', port: 22 },
  })
  const [row] = await readEndpoints(broker.database.db.sql, 'asset_id', [asset.id])
  expect(row && canonicalEndpoint(row)).toEqual({
    v: 1,
    id: row?.id,
    assetId: asset.id,
    protocol: 'ssh',
    port: 22,
  })
})

test('opened with everything that it must say, replaced, closed; each told at once', async () => {
  const { assetId, endpointId } = await panel()
  const told: unknown[] = []
  const subscription = await broker.database.db.listen(INVENTORY_CHANGED, (payload) =>
    told.push(JSON.parse(payload)),
  )
  const opened = await olga.call('POST /api/exceptions', { body: bodyFor(endpointId) })
  expect(opened).toMatchObject([
    {
      kind: 'no-encryption',
      state: 'open',
      counts: true,
      asset: { id: assetId },
      site: { id: plant.site.id, timeZone: 'Europe/Berlin' },
      owner: { id: owner, name: 'Olga Operator', enabled: true },
      openedBy: { name: 'Olga Operator' },
      closed: null,
    },
    { kind: 'no-server-identity' },
  ])
  const covered = await ada.call('GET /api/assets/:id', { params: { id: assetId } })
  expect(covered.endpoints[0]?.deviations.map(({ exception }) => exception?.state)).toEqual(['open', 'open'])
  expect(covered.incomplete).not.toContain('an exception for no encryption (vnc port 5900)')

  const [again] = await olga.call('POST /api/exceptions', {
    body: bodyFor(endpointId, { kinds: ['no-encryption'], expiresAt: later(200 * DAY) }),
  })
  const closed = await olga.call('GET /api/exceptions', { query: { state: 'closed' } })
  expect(closed.items).toMatchObject([
    { id: opened[0]?.id, closed: { reason: 'Another exception takes its place.' } },
  ])
  const over = await olga.call('POST /api/exceptions/:id/close', {
    params: { id: again?.id ?? '' },
    body: { reason: 'The panel was replaced' },
  })
  expect(over).toMatchObject({ state: 'closed', counts: true, closed: { by: { name: 'Olga Operator' } } })
  await until(() => told.length === 3, 'every change was told')
  expect(told).toEqual(Array(3).fill({ kind: 'endpoint', id: endpointId }))
  const twice = await olga.ask('POST /api/exceptions/:id/close', {
    params: { id: again?.id ?? '' },
    body: { reason: 'again' },
  })
  expect(code(twice)).toBe('exception-closed')
  await subscription.close()
})

test('what does not fit is refused, by name', async () => {
  const { endpointId } = await panel({ security: 'anonymous-tls' })
  const company = await ada.call('POST /api/vendors', {
    body: { name: 'Acme', contractEndsAt: '2030-01-01T00:00:00.000Z', sponsorId: owner, tier: '1' },
  })
  const vera = await join('Vera Vendor', 'vendor', plant.site.id, company.id)
  const kinds = ['no-server-identity' as const]
  for (const [change, status, expected] of [
    [{ kinds: ['no-encryption'] }, 409, 'exception-not-needed'],
    [{ kinds, expiresAt: later(-1000) }, 422, 'expiry-in-the-past'],
    [{ kinds, expiresAt: later(367 * DAY) }, 422, 'expiry-too-late'],
    [{ kinds, ownerId: vera.id }, 422, 'owner-not-of-the-site'],
    [{ kinds, ownerId: newId() }, 422, 'owner-not-of-the-site'],
    [{ kinds, endpointId: newId() }, 404, 'not-found'],
    [{ kinds: [] }, 400, 'invalid-input'],
    [{ kinds, compensatingControl: ' ' }, 400, 'invalid-input'],
    [{ kinds, approved: true }, 400, 'invalid-input'],
  ] as const) {
    const body = { ...bodyFor(endpointId), ...change } as BodyInput<'POST /api/exceptions'>
    const answer = await olga.ask('POST /api/exceptions', { body })
    expect([answer.status, code(answer)]).toEqual([status, expected])
  }
  expect((await olga.ask('GET /api/exceptions', { query: { cursor: 'x' } })).status).toBe(400)
})

test('read by the staff of the site, changed by its operators, nothing for vendors and other sites', async () => {
  const { endpointId } = await panel()
  const [exception] = await olga.call('POST /api/exceptions', { body: bodyFor(endpointId) })
  const there = await testPlant(ada, 'Werk Sued')
  const paul = (await join('Paul Approver', 'approver', plant.site.id)).client
  const audrey = (await join('Audrey Auditor', 'auditor', plant.site.id)).client
  const other = (await join('Otto Otherwhere', 'operator', there.site.id)).client
  const company = await ada.call('POST /api/vendors', {
    body: { name: 'Beta', contractEndsAt: '2030-01-01T00:00:00.000Z', sponsorId: owner, tier: '1' },
  })
  const vera = (await join('Vera Beta', 'vendor', plant.site.id, company.id)).client
  for (const reader of [paul, audrey, ada]) {
    const { items } = await reader.call('GET /api/exceptions', { query: {} })
    expect(items.some(({ id }) => id === exception?.id)).toBe(true)
  }
  expect(await other.call('GET /api/exceptions', { query: {} })).toEqual({ items: [], next: null })
  expect(await other.call('GET /api/exceptions', { query: { siteId: plant.site.id } })).toEqual({
    items: [],
    next: null,
  })
  expect((await vera.ask('GET /api/exceptions', { query: {} })).status).toBe(403)
  const close = (who: ApiClient) =>
    who.ask('POST /api/exceptions/:id/close', {
      params: { id: exception?.id ?? '' },
      body: { reason: 'because' },
    })
  expect((await close(paul)).status).toBe(403)
  expect((await close(audrey)).status).toBe(403)
  expect((await close(other)).status).toBe(404)
  expect((await other.ask('POST /api/exceptions', { body: bodyFor(endpointId) })).status).toBe(404)
  expect((await other.ask('GET /api/exceptions/owners', { query: { siteId: plant.site.id } })).status).toBe(
    404,
  )
  const owners = await olga.call('GET /api/exceptions/owners', { query: { siteId: plant.site.id } })
  expect(owners.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['Olga Operator', 'Paul Approver', 'Audrey Auditor']),
  )
  expect(owners.map(({ name }) => name)).not.toContain('Vera Beta')
  expect(owners.map(({ name }) => name)).not.toContain('Otto Otherwhere')
})

test('the broker itself can change nothing of an exception but its closing, and takes none away', async () => {
  const { sql } = broker.database.db
  await expect(sql`UPDATE access_exception SET kind = 'no-encryption'`).rejects.toThrow('permission denied')
  await expect(sql`DELETE FROM access_exception`).rejects.toThrow('permission denied')
})

test('filters by state and pages in the order of expiry; a row that was edited by hand does not count', async () => {
  const { sql } = broker.database.owner
  const days = [10, 20, 90]
  const ids: string[] = []
  for (const day of days) {
    const { endpointId } = await panel({ security: 'anonymous-tls' })
    const [made] = await olga.call('POST /api/exceptions', {
      body: bodyFor(endpointId, { kinds: ['no-server-identity'], expiresAt: later(day * DAY) }),
    })
    ids.push(made?.id ?? '')
  }
  const mine = (answer: Answer<'GET /api/exceptions'>) =>
    answer.items.map(({ id }) => id).filter((id) => ids.includes(id))
  expect(mine(await olga.call('GET /api/exceptions', { query: { state: 'open' } }))).toEqual(ids)
  expect(mine(await olga.call('GET /api/exceptions', { query: { state: 'expiring' } }))).toEqual(
    ids.slice(0, 2),
  )
  const paged: string[] = []
  let cursor: string | undefined
  do {
    const page = await olga.call('GET /api/exceptions', {
      query: { state: 'open', limit: 1, ...(cursor ? { cursor } : {}) },
    })
    paged.push(...mine(page))
    cursor = page.next ?? undefined
  } while (cursor)
  expect(paged).toEqual(ids)

  await sql`UPDATE access_exception SET expires_at = expires_at + interval '200 days' WHERE id = ${ids[2] ?? ''}`
  const edited = await olga.call('GET /api/exceptions', { query: { state: 'open' } })
  expect(edited.items.filter(({ counts }) => !counts).map(({ id }) => id)).toEqual([ids[2]])
  expect(broker.alarms.map(({ subject }) => subject)).toContain(`exception ${ids[2]}`)

  broker.clock.shift(11 * DAY)
  await olga.signIn()
  const expired = await olga.call('GET /api/exceptions', { query: { state: 'expired' } })
  expect(mine(expired)).toEqual([ids[0]])
  broker.clock.shift(-11 * DAY)
})
