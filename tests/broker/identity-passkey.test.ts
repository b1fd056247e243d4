import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ApiClient } from '../lab/api-client.ts'
import { startCluster, type TestCluster } from './database.ts'
import { type TestBroker, testBroker, testPlant } from './identity-support.ts'

let cluster: TestCluster
let broker: TestBroker
let ada: ApiClient
let siteId: string

beforeAll(async () => {
  cluster = await startCluster()
  broker = await testBroker(cluster)
  ada = await broker.administrator()
  siteId = (await testPlant(ada)).site.id
})
afterAll(async () => {
  await broker?.close()
  await cluster?.close()
})

/** Adds a person and lets them set their passkey up. */
async function join(name: string, role: 'approver' | 'operator' | 'auditor' | 'administrator' = 'approver') {
  const made = await ada.call('POST /api/people', {
    body: {
      name,
      email: null,
      vendorId: null,
      accountEndsAt: null,
      trainingValidUntil: null,
      roles: [{ role, siteId }],
    },
  })
  const client = broker.client()
  const me = await client.setUp(made.setUpLink)
  return { client, me, id: made.person.id, link: made.setUpLink }
}

test('the first administrator: one link, once; the passkey is confirmed by the set-up', async () => {
  const me = await ada.me()
  expect(me.roles).toEqual([{ role: 'administrator', site: null }])
  expect(me.signingPasskey).toBe(true)
  expect(me.person.signedInWith).toBe('passkey')
  expect(await broker.identity.ensureFirstAdministrator()).toBeNull()
  const ways = await broker.client().call('GET /api/sign-in/providers', {})
  expect(ways.deployment.setupDone).toBe(true)
})

test('a set-up link works once', async () => {
  const { link } = await join('Tomas Reyes')
  const token = new URL(link).hash.slice(1)
  const again = await broker.client().ask('POST /api/set-up/options', { body: { token } })
  expect(again.status).toBe(404)
  expect(again.body).toMatchObject({ code: 'set-up-link' })
  for (const wrong of ['', 'x', token.slice(0, -2) + (token.endsWith('AA') ? 'BB' : 'AA'), 'A'.repeat(64)]) {
    expect((await broker.client().ask('POST /api/set-up/options', { body: { token: wrong } })).status).toBe(
      404,
    )
  }
})

test('a new link stops the former one, and a day ends it', async () => {
  const made = await ada.call('POST /api/people', {
    body: {
      name: 'Late Larry',
      email: null,
      vendorId: null,
      accountEndsAt: null,
      trainingValidUntil: null,
      roles: [{ role: 'auditor', siteId }],
    },
  })
  const second = await ada.call('POST /api/people/:id/set-up-link', {
    params: { id: made.person.id },
    body: { reason: 'lost' },
  })
  const tokenOf = (link: string) => ({ body: { token: new URL(link).hash.slice(1) } })
  expect((await broker.client().ask('POST /api/set-up/options', tokenOf(made.setUpLink))).status).toBe(404)
  expect((await broker.client().ask('POST /api/set-up/options', tokenOf(second.setUpLink))).status).toBe(200)
})

test("somebody's passkey signs approvals only after an administrator confirmed it", async () => {
  const { client, me, id } = await join('Ines Okafor')
  expect(me.signingPasskey).toBe(false)
  const people = await ada.call('GET /api/people', { query: { search: 'ines' } })
  const passkeyId = people.items[0]?.passkeys[0]?.id ?? ''
  const own = await client.ask('POST /api/people/:id/passkeys/:passkeyId/confirm', {
    params: { id, passkeyId },
    body: {},
  })
  expect(own.status).toBe(403)
  const done = await ada.call('POST /api/people/:id/passkeys/:passkeyId/confirm', {
    params: { id, passkeyId },
    body: {},
  })
  expect(done.passkeys[0]?.confirmedBy).toBe('First administrator')
  expect((await client.me()).signingPasskey).toBe(true)
})

test('nobody confirms their own passkey, not even an administrator', async () => {
  const me = await ada.me()
  const begun = await ada.call('POST /api/me/passkeys/options', { body: {} })
  const { SoftwareAuthenticator } = await import('../lab/software-authenticator.ts')
  const second = new SoftwareAuthenticator('https://plant.example')
  const attestation = await second.create(begun.options as never)
  const key = await ada.call('POST /api/me/passkeys', {
    body: { challengeId: begun.challengeId, attestation: { ...attestation }, label: 'Spare' },
  })
  expect(key.confirmedBy).toBeNull()
  const refused = await ada.ask('POST /api/people/:id/passkeys/:passkeyId/confirm', {
    params: { id: me.person.id, passkeyId: key.id },
    body: {},
  })
  expect(refused.body).toMatchObject({ code: 'not-yourself' })
  await ada.call('DELETE /api/me/passkeys/:id', { params: { id: key.id } })
  expect(await ada.call('GET /api/me/passkeys', {})).toHaveLength(1)
})

test('signing in: again, and never with a bent answer', async () => {
  const { client, id } = await join('Oleg Brandt', 'operator')
  client.cookies.clear()
  expect((await client.signIn()).person.id).toBe(id)
  for (const bend of [
    { origin: 'https://plant.example.evil.example' },
    { userVerified: false },
    { challenge: 'AAAA' },
    { rpId: 'evil.example' },
    { type: 'webauthn.create' },
  ]) {
    const fresh = broker.client()
    const begun = await fresh.call('POST /api/sign-in/passkey/options', { body: {} })
    const assertion = await client.passkey.get(begun.options as never, bend)
    const answer = await fresh.ask('POST /api/sign-in/passkey', {
      body: { challengeId: begun.challengeId, assertion: { ...assertion } },
    })
    expect(answer.status, JSON.stringify(bend)).toBe(401)
    expect(answer.body).toMatchObject({ code: 'passkey-refused' })
    expect(fresh.cookies.size).toBe(0)
  }
})

test('an answer counts once', async () => {
  const { client } = await join('Rita Replay', 'auditor')
  const fresh = broker.client()
  const begun = await fresh.call('POST /api/sign-in/passkey/options', { body: {} })
  const assertion = await client.passkey.get(begun.options as never)
  const body = { challengeId: begun.challengeId, assertion: { ...assertion } }
  expect((await fresh.ask('POST /api/sign-in/passkey', { body })).status).toBe(200)
  expect((await broker.client().ask('POST /api/sign-in/passkey', { body })).status).toBe(401)
})

test('the cookie is strict, and a new sign-in has a new one', async () => {
  const { client } = await join('Cora Cookie', 'auditor')
  const before = client.cookies.get('__Host-sallyport-sign-in')
  client.cookies.clear()
  const begun = await client.call('POST /api/sign-in/passkey/options', { body: {} })
  const assertion = await client.passkey.get(begun.options as never)
  const answer = await client.ask('POST /api/sign-in/passkey', {
    body: { challengeId: begun.challengeId, assertion: { ...assertion } },
  })
  const [line = ''] = [answer.headers['set-cookie'] ?? []].flat()
  expect(line).toMatch(
    /^__Host-sallyport-sign-in=[\w-]{64}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=43200; Secure$/,
  )
  expect(client.cookies.get('__Host-sallyport-sign-in')).not.toBe(before)
})

test('idle and absolute ends', async () => {
  const { client } = await join('Ida Idle', 'auditor')
  broker.clock.shift(29 * 60_000)
  expect((await client.ask('GET /api/me', {})).status).toBe(200)
  broker.clock.shift(29 * 60_000)
  expect((await client.ask('GET /api/me', {})).status).toBe(200)
  broker.clock.shift(31 * 60_000)
  expect((await client.ask('GET /api/me', {})).status).toBe(401)
  await client.signIn()
  for (let half = 0; half < 25; half++) {
    broker.clock.shift(29 * 60_000)
    const { status } = await client.ask('GET /api/me', {})
    if (status === 401) {
      expect(half).toBeGreaterThanOrEqual(24)
      break
    }
  }
  expect((await client.ask('GET /api/me', {})).status).toBe(401)
  await ada.signIn()
})

test('what needs fresh proof asks for it after five minutes, and a step-up gives it', async () => {
  await ada.signIn()
  broker.clock.shift(5 * 60_000 + 1_000)
  const body = { name: 'Werk Süd', timeZone: 'Europe/Berlin', notice: 'Recorded.' }
  const late = await ada.ask('POST /api/sites', { body })
  expect(late.status).toBe(403)
  expect(late.body).toMatchObject({ code: 'step-up-required' })
  expect((await ada.me()).stepUpUntil).toBeNull()
  const cookie = ada.cookieHeader()
  await ada.signIn()
  expect(ada.cookieHeader()).toBe(cookie)
  expect((await ada.me()).stepUpUntil).not.toBeNull()
  expect((await ada.ask('POST /api/sites', { body })).status).toBe(200)
})

test("a step-up with another person's passkey is refused", async () => {
  const { client } = await join('Otto Other', 'auditor')
  const begun = await ada.call('POST /api/sign-in/passkey/options', { body: {} })
  const { allowCredentials: _own, ...options } = begun.options as Record<string, unknown>
  const assertion = await client.passkey.get(options as never)
  const answer = await ada.ask('POST /api/sign-in/passkey', {
    body: { challengeId: begun.challengeId, assertion: { ...assertion } },
  })
  expect(answer.body).toMatchObject({ code: 'other-person' })
})

test('disabling a person ends their sign-ins at once and is heard of', async () => {
  const { client, id } = await join('Lea Leaver', 'operator')
  const heard: { id: string; reason: string }[] = []
  const off = broker.identity.revocations.on((revoked) => heard.push(revoked))
  const stolen = client.cookieHeader()
  const started = performance.now()
  await ada.call('PATCH /api/people/:id', { params: { id }, body: { enabled: false, reason: 'left' } })
  const thief = await broker.client().fetch('GET', '/api/me', undefined, { cookie: stolen })
  expect(thief.status).toBe(401)
  await expect.poll(() => heard).toContainEqual(expect.objectContaining({ id, reason: 'person-disabled' }))
  expect(performance.now() - started).toBeLessThan(5_000)
  off()
  // Enabled again, the old cookie stays worthless: the epoch has moved on.
  await ada.call('PATCH /api/people/:id', { params: { id }, body: { enabled: true, reason: 'mistake' } })
  expect((await broker.client().fetch('GET', '/api/me', undefined, { cookie: stolen })).status).toBe(401)
  expect((await client.signIn()).person.id).toBe(id)
})

test('signing out ends the cookie on the server', async () => {
  const { client } = await join('Sven Signout', 'auditor')
  await client.me()
  const stolen = client.cookieHeader()
  await client.call('POST /api/sign-out', { body: {} })
  expect(client.cookies.size).toBe(0)
  expect((await broker.client().fetch('GET', '/api/me', undefined, { cookie: stolen })).status).toBe(401)
})

test('roles are read afresh: taken away, they are gone with the next request', async () => {
  const { client, id } = await join('Rosa Role', 'auditor')
  expect((await client.ask('GET /api/assets', {})).status).toBe(200)
  await ada.call('PATCH /api/people/:id', { params: { id }, body: { roles: [], reason: 'moved' } })
  expect((await client.ask('GET /api/assets', {})).status).toBe(403)
})

test('vendors: their people, their end, and no staff roles for them', async () => {
  const sponsor = (await ada.me()).person.id
  const vendor = await ada.call('POST /api/vendors', {
    body: {
      name: 'Acme Robotics',
      contractEndsAt: '2030-01-01T00:00:00.000Z',
      sponsorId: sponsor,
      tier: '1',
    },
  })
  const body = (role: 'vendor' | 'approver') => ({
    name: 'Mara Lindqvist',
    email: 'mara@acme.example',
    vendorId: vendor.id,
    accountEndsAt: null,
    trainingValidUntil: null,
    roles: [{ role, siteId }],
  })
  const wrong = await ada.ask('POST /api/people', { body: body('approver') })
  expect(wrong.body).toMatchObject({ code: 'roles-not-possible' })
  const made = await ada.call('POST /api/people', { body: body('vendor') })
  const mara = broker.client()
  const me = await mara.setUp(made.setUpLink)
  expect(me.person.vendor?.name).toBe('Acme Robotics')
  const heard: { kind: string; id: string; reason: string }[] = []
  broker.identity.revocations.on((revoked) => heard.push(revoked))
  await ada.call('PATCH /api/vendors/:id', {
    params: { id: vendor.id },
    body: { enabled: false, reason: 'contract broken' },
  })
  expect((await mara.ask('GET /api/me', {})).status).toBe(401)
  const again = await mara.ask('POST /api/sign-in/passkey/options', { body: {} })
  const assertion = await mara.passkey.get(again.body.options as never)
  const refused = await mara.ask('POST /api/sign-in/passkey', {
    body: { challengeId: again.body.challengeId, assertion: { ...assertion } },
  })
  expect(refused.body).toMatchObject({ code: 'vendor-disabled' })
  await expect
    .poll(() => heard)
    .toContainEqual(expect.objectContaining({ kind: 'vendor', id: vendor.id, reason: 'vendor-disabled' }))
  const twin = await ada.ask('POST /api/vendors', {
    body: {
      name: 'Acme Robotics',
      contractEndsAt: '2030-01-01T00:00:00.000Z',
      sponsorId: sponsor,
      tier: '1',
    },
  })
  expect(twin.body).toMatchObject({ code: 'name-taken' })
})

test('rows edited by hand count for nothing, and raise an alarm', async () => {
  const { client, id } = await join('Dora Dba', 'auditor')
  const { sql } = broker.database.owner
  // A role given by hand.
  await sql`INSERT INTO role (id, person_id, role, site_id, granted_at)
    VALUES ('019a0000-0000-7000-8000-00000000dba1', ${id}, 'administrator', null, now())`
  expect((await client.me()).roles).toEqual([
    { role: 'auditor', site: expect.objectContaining({ id: siteId }) },
  ])
  expect((await client.ask('GET /api/people', {})).status).toBe(403)
  expect(broker.alarms.map(({ subject }) => subject)).toContain('role 019a0000-0000-7000-8000-00000000dba1')
  await sql`DELETE FROM role WHERE id = '019a0000-0000-7000-8000-00000000dba1'`

  // Another person's sign-in taken over by moving the row.
  const adaId = (await ada.me()).person.id
  await sql`UPDATE sign_in SET person_id = ${adaId} WHERE person_id = ${id}`
  expect((await client.ask('GET /api/me', {})).status).toBe(401)

  // A passkey inserted for somebody else.
  const key = client.passkey.credentials[0]
  await sql`UPDATE passkey SET person_id = ${adaId} WHERE credential_id = ${key?.id ?? ''}`
  const fresh = broker.client()
  const begun = await fresh.call('POST /api/sign-in/passkey/options', { body: {} })
  const assertion = await client.passkey.get(begun.options as never)
  assertion.response.userHandle = Buffer.from(adaId.replaceAll('-', ''), 'hex').toString('base64url')
  const answer = await fresh.ask('POST /api/sign-in/passkey', {
    body: { challengeId: begun.challengeId, assertion: { ...assertion } },
  })
  expect(answer.status).toBe(401)

  // An account that was disabled, enabled again behind the broker's back.
  const other = await join('Edna Enabled', 'auditor')
  await ada.call('PATCH /api/people/:id', {
    params: { id: other.id },
    body: { enabled: false, reason: 'left' },
  })
  await sql`UPDATE person SET enabled = true, revocation_epoch = 0 WHERE id = ${other.id}`
  expect((await other.client.ask('GET /api/me', {})).status).toBe(401)
  // And no change of ours makes the edited row true.
  const washed = await ada.ask('PATCH /api/people/:id', {
    params: { id: other.id },
    body: { name: 'Edna E.', reason: 'typo' },
  })
  expect(washed.body).toMatchObject({ code: 'row-not-vouched' })
})

test('operators are known from memory for 15 minutes, and not after a revocation', async () => {
  const { client, id } = await join('Mona Memory', 'operator')
  await client.me()
  const token = client.cookies.get('__Host-sallyport-sign-in') ?? ''
  expect(broker.identity.authenticateFromMemory(token)?.personId).toBe(id)
  expect(broker.identity.authenticateFromMemory(`${token.slice(0, -4)}AAAA`)).toBeNull()
  const auditor = await join('Axel Auditor', 'auditor')
  await auditor.client.me()
  const other = auditor.client.cookies.get('__Host-sallyport-sign-in') ?? ''
  expect(broker.identity.authenticateFromMemory(other)).toBeNull()
  await ada.call('PATCH /api/people/:id', { params: { id }, body: { enabled: false, reason: 'left' } })
  await expect.poll(() => broker.identity.authenticateFromMemory(token)).toBeNull()
})
