import { afterAll, beforeAll, expect, test } from 'vitest'
import { Secret } from '../../broker/domain/secret.ts'
import { buildApp } from '../../broker/http/app.ts'
import { publicOrigin } from '../../broker/http/origin.ts'
import { openIdentity } from '../../broker/identity/identity.ts'
import type { OidcProvider } from '../../broker/identity/oidc.ts'
import { ApiClient } from '../lab/api-client.ts'
import { freePort } from '../lab/free-port.ts'
import { startOidcProvider } from '../lab/oidc-provider.ts'
import { ProviderBrowser, stubs } from './identity-support.ts'
import { mapping, type OidcHouse, SIGN_IN, startOidcHouse } from './oidc-support.ts'

/* Answers that are mixed up, replayed or of somebody else: tests/attacks/25-mixed-up-providers.test.ts. */

const SITE = 'Werk Nord'
let house: OidcHouse
let { broker, ca, lab, other, ada, people, trip, signIn, refusedWith } = {} as OidcHouse

beforeAll(async () => {
  house = await startOidcHouse()
  ;({ broker, ca, lab, other, ada, people, trip, signIn, refusedWith } = house)
})
afterAll(() => house?.close())

test('one click signs in, with organisation and roles from the claims', async () => {
  const mara = await signIn(broker.client(), 'mara')
  expect(mara.person).toMatchObject({
    name: 'Mara Lindqvist',
    email: 'mara@acme.example',
    vendor: { name: 'Acme Robotics' },
    signedInWith: 'Provider lab',
  })
  expect(mara.roles).toEqual([{ role: 'vendor', site: expect.objectContaining({ name: SITE }) }])
  expect(mara.stepUpUntil).not.toBeNull()
  const tomas = await signIn(broker.client(), 'tomas')
  expect(tomas.roles).toEqual([{ role: 'approver', site: expect.objectContaining({ name: SITE }) }])
  expect(tomas.signingPasskey).toBe(false)
  expect((await signIn(broker.client(), 'admin')).roles).toEqual([{ role: 'administrator', site: null }])
})

test('the request at the provider has PKCE, nonce, state and our own callback', async () => {
  const start = await broker.client().fetch('GET', '/auth/oidc/lab/start')
  const { searchParams } = new URL(String(start.headers.location))
  expect(searchParams.get('code_challenge_method')).toBe('S256')
  for (const name of ['code_challenge', 'nonce', 'state'])
    expect(searchParams.get(name)).toMatch(/^[\w-]{43,}$/)
  expect(searchParams.get('redirect_uri')).toBe('https://plant.example/auth/oidc/lab/callback')
  const [cookie = ''] = [start.headers['set-cookie'] ?? []].flat()
  expect(cookie).toMatch(
    /^__Host-sallyport-trip=[\w-]+; Path=\/; HttpOnly; SameSite=Lax; Max-Age=600; Secure$/,
  )
})

test('who has no organisation or no role here stays outside', async () => {
  for (const [sub, code] of [
    ['stranger', 'organisation-unknown'],
    ['nobody', 'no-role'],
  ] as const) {
    const client = broker.client()
    expect(await refusedWith(client, await trip(client, sub))).toBe(code)
  }
})

test('only a path of ours is returned to', async () => {
  for (const [returnTo, expected] of [
    ['/decide/1?x=1', '/decide/1?x=1'],
    ['https://evil.example/', '/'],
    ['//evil.example/', '/'],
    ['/\\evil.example', '/'],
    ['/%09/evil.example', '/%09/evil.example'],
    ['javascript:alert(1)', '/'],
  ] as const) {
    const client = broker.client()
    const path = await trip(client, 'anna', { search: `?returnTo=${encodeURIComponent(returnTo)}` })
    expect((await client.fetch('GET', path)).headers.location, returnTo).toBe(expected)
  }
})

test('step-up asks the provider for a new sign-in of the same person', async () => {
  const client = broker.client()
  const browser = new ProviderBrowser(ca.certificate)
  await client.fetch('GET', await trip(client, 'oleg', { browser }))
  const cookie = client.cookies.get(SIGN_IN)
  await client.me()

  const start = await client.fetch('GET', '/auth/oidc/lab/start?stepUp=1')
  const { searchParams } = new URL(String(start.headers.location))
  expect([searchParams.get('prompt'), searchParams.get('max_age')]).toEqual(['login', '0'])

  const path = await trip(client, 'oleg', { search: '?stepUp=1&returnTo=%2Fstepped-up', browser })
  expect((await client.fetch('GET', path)).headers.location).toBe('/stepped-up')
  expect(client.cookies.get(SIGN_IN)).toBe(cookie)

  const wrong = await trip(client, 'anna', {
    search: '?stepUp=1',
    browser: new ProviderBrowser(ca.certificate),
  })
  expect((await client.fetch('GET', wrong)).headers.location).toBe('/stepped-up?problem=other-person')
  expect((await client.me()).person.name).toBe('Oleg Brandt')
})

test('roles follow the claims; what an administrator gave stays', async () => {
  const me = await signIn(broker.client(), 'ines')
  const [site] = me.sites
  await ada.call('PATCH /api/people/:id', {
    params: { id: me.person.id },
    body: { roles: [{ role: 'auditor', siteId: site?.id ?? '' }], reason: 'stands in' },
  })
  const { sql } = broker.database.db
  const again = await signIn(broker.client(), 'ines')
  expect(again.roles.map(({ role }) => role).sort()).toEqual(['approver', 'auditor'])
  const rows = await sql<{ role: string; source: string }[]>`
    SELECT role, source FROM role WHERE person_id = ${me.person.id} ORDER BY role`
  expect(rows.map(({ role, source }) => `${role} ${source}`)).toEqual(['approver claims', 'auditor local'])
  const ines = people.find(({ sub }) => sub === 'ines')
  if (ines) ines.groups = []
  expect((await signIn(broker.client(), 'ines')).roles.map(({ role }) => role)).toEqual(['auditor'])
})

test('people of a provider do not come in by a passkey, so a leaver there is a leaver here', async () => {
  const client = broker.client()
  await signIn(client, 'anna')
  const begun = await client.call('POST /api/me/passkeys/options', { body: {} })
  const attestation = await client.passkey.create(begun.options as never)
  await client.call('POST /api/me/passkeys', {
    body: { challengeId: begun.challengeId, attestation: { ...attestation }, label: 'Phone' },
  })
  // It steps up …
  await client.signIn()
  // … and signs nobody in.
  client.cookies.clear()
  await expect(client.signIn()).rejects.toThrow('use-your-provider')
})

test('back-channel logout ends the sign-in within five seconds, everywhere', async () => {
  const client = broker.client()
  const me = await signIn(client, 'tomas')
  const [row] = await broker.database.db.sql<{ session: string }[]>`
    SELECT provider_session AS session FROM sign_in WHERE person_id = ${me.person.id} AND ended_at IS NULL
    ORDER BY created_at DESC LIMIT 1`
  const sid = row?.session ?? ''
  expect(sid).not.toBe('')
  const heard: string[] = []
  broker.identity.revocations.on((revoked) => heard.push(revoked.reason))
  const logout = (token: string) =>
    broker.app.inject({
      method: 'POST',
      url: '/auth/oidc/lab/back-channel-logout',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: `logout_token=${encodeURIComponent(token)}`,
    })
  for (const bend of [
    { iss: other.issuer },
    { aud: 'somebody-else' },
    { nonce: 'n' },
    { events: {} },
    { events: { 'http://schemas.openid.net/event/other': {} } },
  ]) {
    expect((await logout(await lab.logoutToken({ sid }, bend))).statusCode, JSON.stringify(bend)).toBe(400)
  }
  expect((await logout(await other.logoutToken({ sid }))).statusCode).toBe(400)
  expect((await logout(await lab.logoutToken({}))).statusCode).toBe(400)
  expect((await logout('no.token.here')).statusCode).toBe(400)
  expect((await client.ask('GET /api/me', {})).status).toBe(200)

  const token = await lab.logoutToken({ sid, sub: 'tomas' })
  const started = performance.now()
  expect((await logout(token)).statusCode).toBe(200)
  expect((await client.ask('GET /api/me', {})).status).toBe(401)
  await expect.poll(() => heard).toContain('back-channel-logout')
  expect(performance.now() - started).toBeLessThan(5_000)
  // Used up.
  expect((await logout(token)).statusCode).toBe(400)
})

test('refused ways in are in the audit log, without codes or tokens', async () => {
  await broker.client().fetch('GET', '/auth/oidc/untrusted/start')
  for (let n = 0; n < 4; n++) await refusedWith(broker.client(), await trip(broker.client(), 'anna'))
  const rows = await broker.database.db.sql<{ text: string }[]>`
    SELECT convert_from(bytes, 'UTF8') AS text FROM audit.entry WHERE action = 'sign-in.refused'`
  expect(rows.length).toBeGreaterThan(5)
  const all = rows.map(({ text }) => text).join('\n')
  expect(all).toContain('provider-unavailable')
  expect(all).toContain('trip-unknown')
  expect(all).toMatch(/unable to (verify|get)|self-signed certificate/i)
  expect(all).not.toMatch(/code=|eyJ/)
})

test('on http://localhost, for the demo only: the same journey without HTTPS', async () => {
  const port = await freePort()
  const origin = publicOrigin(`http://localhost:${port}`, { allowHttpLocalhost: true })
  const plain = await startOidcProvider({
    clientId: 'sallyport',
    clientSecret: 'lab-secret',
    redirectUri: `${origin.origin}/auth/oidc/lab/callback`,
  })
  const settings = {
    id: 'lab',
    name: 'Lab',
    issuer: plain.issuer,
    clientId: 'sallyport',
    clientSecret: new Secret('lab-secret'),
    mapping,
  }
  const open = (provider: OidcProvider) =>
    openIdentity({
      db: broker.database.db,
      audit: broker.audit,
      clock: broker.clock,
      origin,
      deploymentName: 'Demo',
      key: new Secret(Buffer.alloc(32, 3)),
      providers: [provider],
    })
  await expect(open(settings)).rejects.toThrow('is not HTTPS')
  await expect(
    open({ ...settings, issuer: 'http://plant.example', allowHttpLocalhost: true }),
  ).rejects.toThrow()
  const identity = await open({ ...settings, allowHttpLocalhost: true })
  const app = buildApp({
    handlers: [identity.routes, stubs(identity.routes)],
    origin,
    signIns: identity,
    recordDenied: async () => undefined,
    clock: broker.clock,
    tls: null,
    webDir: null,
    logger: null,
  })
  await app.listen({ host: '127.0.0.1', port })
  const client = new ApiClient(origin.origin, { connectTo: { host: '127.0.0.1', port } })
  const start = await client.fetch('GET', '/auth/oidc/lab/start')
  const back = await new ProviderBrowser('').choose(String(start.headers.location), 'oleg')
  expect(new URL(back).origin).toBe(origin.origin)
  expect((await client.fetch('GET', new URL(back).pathname + new URL(back).search)).headers.location).toBe(
    '/',
  )
  expect([...client.cookies.keys()]).toEqual(['sallyport-sign-in'])
  expect((await client.me()).person.name).toBe('Oleg Brandt')
  await app.close()
  await identity.close()
  await plain.close()
})

test('a mail address counts only when its provider checked it, and is not lost without one', async () => {
  const oleg = people.find(({ sub }) => sub === 'oleg')
  if (!oleg) throw new Error('no Oleg')
  const mail = async () => {
    await signIn(broker.client(), 'oleg')
    const { items } = await ada.call('GET /api/people', { query: { search: 'Oleg' } })
    return items.find(({ subject }) => subject === 'oleg')?.email
  }
  const { email } = oleg
  expect(await mail()).toBe(email)
  // He writes a colleague's address at his provider, and then none that counts.
  oleg.email = 'tomas@plant.example'
  oleg.email_verified = false
  expect(await mail()).toBe(email)
  oleg.email_verified = true
  expect(await mail()).toBe('tomas@plant.example')
  oleg.email = email
})
