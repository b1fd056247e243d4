import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { newId } from '../../broker/domain/ids.ts'
import { rowStates } from '../../broker/inventory/row-states.ts'
import { noteSeenIdentity } from '../../broker/inventory/rows.ts'
import type { ApiClient } from '../lab/api-client.ts'
import { startCluster, type TestCluster } from './database.ts'
import { assetBody, type TestBroker, testBroker, testPlant } from './identity-support.ts'

let cluster: TestCluster
let broker: TestBroker
let ada: ApiClient
let plant: Awaited<ReturnType<typeof testPlant>>
const names = new Map<string, string[]>([['plc4.plant.example', ['10.20.30.4']]])
const probed: unknown[] = []
const KEY = { algorithm: 'ssh-ed25519', fingerprint: `SHA256:${'k'.repeat(43)}` }

beforeAll(async () => {
  cluster = await startCluster()
  broker = await testBroker(cluster, {
    resolve: async (name) => names.get(name) ?? [],
    probe: async (gatewayId, protocol, address) => {
      probed.push({ gatewayId, protocol, address })
      return { identity: KEY, vnc: null, rdp: null }
    },
  })
  ada = await broker.administrator()
  plant = await testPlant(ada)
})
afterAll(async () => {
  await broker?.close()
  await cluster?.close()
})

const code = (answer: { body: unknown }) => (answer.body as { code?: string }).code

/** A gateway in the DMZ, as the link room would make it. */
async function gateway(siteId = plant.site.id, zoneId = plant.dmz.id): Promise<string> {
  const id = newId()
  await broker.database.owner.sql`INSERT INTO gateway (id, site_id, zone_id, name, created_at)
    VALUES (${id}, ${siteId}, ${zoneId}, ${`gw ${id}`}, now())`
  return id
}

test('from nothing to complete: the asset says what is missing', async () => {
  const asset = await ada.call('POST /api/assets', { body: assetBody(plant.site.id, plant.zone.id) })
  expect(asset.ending).toEqual({ mode: 'operator-confirm', holdSeconds: 1800, inputDuringGrace: false })
  expect(asset.incomplete).toEqual(['a gateway', 'an endpoint'])
  const gatewayId = await gateway()
  const chosen = await ada.call('PATCH /api/assets/:id', {
    params: { id: asset.id },
    body: { gatewayId, reason: 'its gateway' },
  })
  expect(chosen.incomplete).toEqual(['a conduit from its gateway’s zone', 'an endpoint'])
  await ada.call('POST /api/conduits', {
    body: {
      siteId: plant.site.id,
      name: 'Vendor way to cell 4',
      fromZoneId: plant.dmz.id,
      toZoneId: plant.zone.id,
      protocols: ['ssh'],
    },
  })
  const withEndpoint = await ada.call('POST /api/assets/:id/endpoints', {
    params: { id: asset.id },
    body: { protocol: 'ssh', port: 22 },
  })
  const endpointId = withEndpoint.endpoints[0]?.id ?? ''
  expect(withEndpoint.incomplete).toEqual([
    'an accepted host key (ssh port 22)',
    'an account with a credential (ssh port 22)',
  ])
  expect(
    await ada.call('POST /api/endpoints/:id/identity/probe', { params: { id: endpointId }, body: {} }),
  ).toEqual({ identity: KEY, vnc: null, rdp: null })
  expect(probed).toEqual([{ gatewayId, protocol: 'ssh', address: { host: '10.20.30.41', port: 22 } }])
  const seen = await ada.call('GET /api/assets/:id', { params: { id: asset.id } })
  // Seen is not accepted.
  expect(seen.endpoints[0]?.identity).toMatchObject({ state: 'none', seen: KEY })
  const pinned = await ada.call('POST /api/endpoints/:id/identity/accept', {
    params: { id: endpointId },
    body: { ...KEY, reason: 'compared with the label' },
  })
  expect(pinned.endpoints[0]?.identity).toMatchObject({ state: 'accepted', accepted: [KEY] })
  const done = await ada.call('PUT /api/endpoints/:id/accounts/:account/credential', {
    params: { id: endpointId, account: 'engineer' },
    body: { kind: 'password', password: 'hunter2-plant' },
  })
  expect(done.incomplete).toEqual([])
  expect(done.endpoints[0]?.accounts).toEqual([{ name: 'engineer', credential: 'password' }])
  expect(JSON.stringify(done)).not.toContain('hunter2')

  const { sql } = broker.database.db
  expect(await broker.inventory.target(endpointId)).toEqual({
    gatewayId,
    address: { host: '10.20.30.41', port: 22 },
    named: { host: '10.20.30.41', port: 22 },
    zone: 'Robot cell 4',
  })
  const credential = await broker.inventory.credential(sql, endpointId, 'engineer')
  expect(credential?.kind === 'password' && credential.password.reveal()).toBe('hunter2-plant')
  expect(await broker.inventory.credential(sql, endpointId, 'root')).toBeNull()
  const entries = await sql<{ text: string }[]>`SELECT convert_from(bytes, 'UTF8') AS text FROM audit.entry`
  expect(entries.map(({ text }) => text).join()).not.toContain('hunter2')

  // Another key is seen: changed, until a person decides.
  const other = { algorithm: 'ssh-ed25519', fingerprint: `SHA256:${'z'.repeat(43)}` }
  await noteSeenIdentity(sql, endpointId, other, new Date())
  const changed = await ada.call('GET /api/assets/:id', { params: { id: asset.id } })
  expect(changed.endpoints[0]?.identity.state).toBe('changed')
  const again = await ada.call('POST /api/endpoints/:id/identity/accept', {
    params: { id: endpointId },
    body: { ...other, reason: 'controller was replaced, MOC-7' },
  })
  expect(again.endpoints[0]?.identity).toMatchObject({ state: 'accepted', accepted: [other] })
})

test('addresses: only those of the zone, resolved once, every answer checked (threat 19)', async () => {
  const add = (address: string) =>
    ada.ask('POST /api/assets', { body: assetBody(plant.site.id, plant.zone.id, address) })
  names.set('two.plant.example', ['10.20.30.5', '127.0.0.1'])
  names.set('meta.plant.example', ['169.254.169.254'])
  for (const [address, expected] of [
    ['127.0.0.1', 'address-not-allowed'],
    ['::1', 'address-not-allowed'],
    ['::ffff:127.0.0.1', 'address-not-allowed'],
    ['169.254.169.254', 'address-not-allowed'],
    ['10.20.31.1', 'address-not-allowed'],
    ['2130706433', 'address-not-readable'],
    ['0x7f000001', 'address-not-readable'],
    ['two.plant.example', 'address-not-allowed'],
    ['meta.plant.example', 'address-not-allowed'],
    ['unknown.plant.example', 'address-not-resolved'],
    ['http://10.20.30.4/', 'address-not-readable'],
  ] as const) {
    const answer = await add(address)
    expect([answer.status, code(answer)], address).toEqual([400, expected])
  }
  const named = await add('plc4.plant.example')
  expect(named.status).toBe(200)
  await ada.call('POST /api/assets/:id/endpoints', {
    params: { id: named.body.id },
    body: { protocol: 'ssh', port: 22 },
  })
  await ada.call('PATCH /api/assets/:id', {
    params: { id: named.body.id },
    body: { gatewayId: await gateway(), reason: 'x' },
  })
  const view = await ada.call('GET /api/assets/:id', { params: { id: named.body.id } })
  const endpointId = view.endpoints[0]?.id ?? ''
  expect((await broker.inventory.target(endpointId))?.address.host).toBe('10.20.30.4')
  // The name is bent after it was accepted.
  names.set('plc4.plant.example', ['169.254.169.254'])
  await expect(broker.inventory.target(endpointId)).rejects.toMatchObject({
    code: 'address-not-allowed',
  })
  names.set('plc4.plant.example', ['10.20.30.4'])
})

test('a test plant on loopback says so in its zone', async () => {
  const lab = await ada.call('POST /api/zones', {
    body: { siteId: plant.site.id, name: 'Lab', ranges: ['127.20.0.0/24'] },
  })
  expect(
    (await ada.ask('POST /api/assets', { body: assetBody(plant.site.id, lab.id, '127.20.0.7') })).status,
  ).toBe(200)
  for (const ranges of [['0.0.0.0/0'], ['10.0.0.1/8'], ['plant']]) {
    const answer = await ada.ask('POST /api/zones', { body: { siteId: plant.site.id, name: 'Bad', ranges } })
    expect(code(answer)).toBe('range-not-usable')
  }
})

test('bad input, said in words, changes nothing', async () => {
  const site = (body: object) =>
    ada.fetch('POST', '/api/sites', { name: 'S', timeZone: 'Europe/Berlin', notice: 'n', ...body })
  for (const timeZone of ['Mars/Base', '+01:00', '', "'; DROP TABLE site"]) {
    expect(code(await site({ timeZone })), timeZone).toBe('time-zone-unknown')
  }
  expect(code(await site({ name: plant.site.name }))).toBe('taken')
  const conduit = await ada.ask('POST /api/conduits', {
    body: {
      siteId: plant.site.id,
      name: 'Loop',
      fromZoneId: plant.zone.id,
      toZoneId: plant.zone.id,
      protocols: ['ssh'],
    },
  })
  expect(code(conduit)).toBe('one-zone')
  const [asset] = await ada.call('GET /api/assets', {})
  const endpointId = asset?.endpoints[0]?.id ?? ''
  const accept = await ada.ask('POST /api/endpoints/:id/identity/accept', {
    params: { id: endpointId },
    body: { algorithm: 'ssh-ed25519', fingerprint: 'MD5:aa:bb', reason: 'x' },
  })
  expect(code(accept)).toBe('fingerprint-not-readable')
  const put = (body: object) => ada.fetch('PUT', `/api/endpoints/${endpointId}/accounts/x/credential`, body)
  expect(code(await put({ kind: 'private-key', privateKey: 'nonsense', passphrase: null }))).toBe(
    'private-key-not-readable',
  )
  const { privateKey } = generateKeyPairSync('ed25519')
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' })
  expect(String(pem)).toContain('PRIVATE KEY')
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
    type: 'pkcs1',
    format: 'pem',
  })
  expect((await put({ kind: 'private-key', privateKey: String(rsa), passphrase: null })).status).toBe(200)
  const long = await ada.ask('POST /api/assets', {
    body: {
      ...assetBody(plant.site.id, plant.zone.id, '10.20.30.77'),
      ending: { mode: 'grace', holdSeconds: 1800, inputDuringGrace: false },
    },
  })
  expect(code(long)).toBe('ending-too-long')
})

test('addresses and ranges are for administrators only; other sites see nothing at all', async () => {
  const join = async (role: 'approver' | 'auditor', siteId: string) => {
    const made = await ada.call('POST /api/people', {
      body: {
        name: `${role} ${siteId}`,
        email: null,
        vendorId: null,
        accountEndsAt: null,
        trainingValidUntil: null,
        roles: [{ role, siteId }],
      },
    })
    const client = broker.client()
    await client.setUp(made.setUpLink)
    return client
  }
  const approver = await join('approver', plant.site.id)
  const assets = await approver.call('GET /api/assets', {})
  expect(assets.length).toBeGreaterThan(0)
  const text = JSON.stringify([
    assets,
    await approver.call('GET /api/zones', {}),
    await approver.call('GET /api/conduits', {}),
  ])
  expect(text).not.toMatch(/10\.20\.|plc4\.plant|127\.20/)
  const elsewhere = await testPlant(ada, 'Werk Ost')
  const stranger = await join('auditor', elsewhere.site.id)
  expect(await stranger.call('GET /api/assets', {})).toEqual([])
  const own = await stranger.call('GET /api/sites', {})
  expect(own.map(({ name }) => name)).toEqual(['Werk Ost'])
  for (const asset of assets) {
    expect((await stranger.ask('GET /api/assets/:id', { params: { id: asset.id } })).status).toBe(404)
  }
})

test('rows edited by hand lead nowhere (threat 10)', async () => {
  const assets = await ada.call('GET /api/assets', {})
  const asset = assets.find(({ address }) => address === '10.20.30.41')
  const endpointId = asset?.endpoints[0]?.id ?? ''
  const { sql } = broker.database.owner
  const app = broker.database.db.sql
  const target = () => broker.inventory.target(endpointId)
  await target()
  await sql`UPDATE asset SET address = '10.20.30.99' WHERE id = ${asset?.id ?? ''}`
  await expect(target()).rejects.toMatchObject({ code: 'row-not-vouched-for' })
  const change = await ada.ask('PATCH /api/assets/:id', {
    params: { id: asset?.id ?? '' },
    body: { enabled: true, reason: 'wash' },
  })
  expect(code(change)).toBe('row-not-vouched')
  await sql`UPDATE asset SET address = '10.20.30.41' WHERE id = ${asset?.id ?? ''}`
  await target()
  await sql`UPDATE zone SET ranges = '["0.0.0.0/0"]' WHERE id = ${plant.zone.id}`
  await expect(target()).rejects.toMatchObject({ code: 'row-not-vouched-for' })
  await sql`UPDATE zone SET ranges = '["10.20.30.0/24"]' WHERE id = ${plant.zone.id}`
  await sql`UPDATE endpoint SET port = 2222 WHERE id = ${endpointId}`
  await expect(target()).rejects.toMatchObject({ code: 'row-not-vouched-for' })
  await sql`UPDATE endpoint SET port = 22 WHERE id = ${endpointId}`

  // A credential moved to another account, or an older one put back.
  await sql`UPDATE credential SET account = 'root' WHERE endpoint_id = ${endpointId} AND account = 'engineer'`
  await expect(broker.inventory.credential(app, endpointId, 'root')).rejects.toMatchObject({
    code: 'row-not-vouched-for',
  })
  await sql`UPDATE credential SET account = 'engineer' WHERE endpoint_id = ${endpointId} AND account = 'root'`
  expect(await broker.inventory.credential(app, endpointId, 'engineer')).not.toBeNull()

  // A pinned key inserted by hand: the log vouches for no such row.
  const id = newId()
  const me = (await ada.me()).person.id
  await sql`INSERT INTO endpoint_identity (id, endpoint_id, algorithm, fingerprint, accepted_by, accepted_at, reason)
    VALUES (${id}, ${endpointId}, 'ssh-rsa', ${`SHA256:${'e'.repeat(43)}`}, ${me}, now(), 'dba')`
  const states = await rowStates(app, [{ kind: 'endpoint-identity', id }])
  await expect(broker.audit.verifyObjects(app, states)).rejects.toMatchObject({ code: 'row-not-vouched-for' })
  await sql`DELETE FROM endpoint_identity WHERE id = ${id}`
})

test('every kind of row has a form, and untouched rows are vouched for', async () => {
  await ada.call('POST /api/vendors', {
    body: {
      name: 'Acme Robotics',
      contractEndsAt: '2030-01-01T00:00:00.000Z',
      sponsorId: (await ada.me()).person.id,
      tier: '1',
    },
  })
  const asset = await ada.call('POST /api/assets', {
    body: assetBody(plant.site.id, plant.zone.id, '10.20.30.77'),
  })
  const { endpoints } = await ada.call('POST /api/assets/:id/endpoints', {
    params: { id: asset.id },
    body: { protocol: 'vnc', port: 5900, security: 'plain', authentication: 'password' },
  })
  await ada.call('POST /api/exceptions', {
    body: {
      endpointId: endpoints[0]?.id ?? '',
      kinds: ['no-encryption'],
      reason: 'Old panel',
      compensatingControl: 'A network of its own',
      ownerId: (await ada.me()).person.id,
      expiresAt: new Date(Date.now() + 86_400_000).toISOString(),
    },
  })
  const { sql } = broker.database.db
  const rows: { kind: string; id: string }[] = []
  for (const [kind, table] of [
    ['person', 'person'],
    ['vendor', 'vendor'],
    ['role', 'role'],
    ['passkey', 'passkey'],
    ['site', 'site'],
    ['zone', 'zone'],
    ['conduit', 'conduit'],
    ['asset', 'asset'],
    ['endpoint', 'endpoint'],
    ['endpoint-identity', 'endpoint_identity'],
    ['exception', 'access_exception'],
  ] as const) {
    const found = await sql<{ id: string }[]>`SELECT id FROM ${sql(table)}`
    expect(found.length, table).toBeGreaterThan(0)
    rows.push(...found.map(({ id }) => ({ kind, id })))
  }
  await broker.audit.verifyObjects(sql, await rowStates(sql, rows))
  // In the order asked for, and a row that is not there has no form.
  const gone = { kind: 'person', id: newId() }
  const states = await rowStates(sql, [gone, ...rows])
  expect(states.map(({ kind, id }) => ({ kind, id }))).toEqual([gone, ...rows])
  expect(states[0]?.current).toBeNull()
  await expect(rowStates(sql, [{ kind: 'nonsense', id: newId() }])).rejects.toThrow('no canonical form')
})
