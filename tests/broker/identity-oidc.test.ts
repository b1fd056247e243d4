import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Secret } from '../../broker/domain/secret.ts'
import { buildApp } from '../../broker/http/app.ts'
import { publicOrigin } from '../../broker/http/origin.ts'
import { issueServerCertificate, makeSiteCa, type PemPair } from '../../broker/http/site-ca.ts'
import { openIdentity } from '../../broker/identity/identity.ts'
import type { OidcProvider } from '../../broker/identity/oidc.ts'
import { ApiClient } from '../lab/api-client.ts'
import { LAB_PEOPLE, type LabOidc, startOidcProvider } from '../lab/oidc-provider.ts'
import { startCluster, type TestCluster } from './database.ts'
import { ProviderBrowser, stubs, type TestBroker, testBroker, testPlant } from './identity-support.ts'

const SITE = 'Werk Nord'
let cluster: TestCluster
let broker: TestBroker
let ca: PemPair
let lab: LabOidc
let other: LabOidc
let ada: ApiClient
/** Our own copy: a test moves somebody to another group. */
const people = LAB_PEOPLE.map((person) => ({ ...person }))

const mapping: OidcProvider['mapping'] = {
  organisationClaim: 'company',
  organisations: { plant: 'staff', acme: { vendor: 'Acme Robotics' } },
  rolesClaim: 'groups',
  roles: {
    'vendor-engineers': [{ role: 'vendor', site: SITE }],
    'plant-managers': [{ role: 'approver', site: SITE }],
    'control-room': [{ role: 'operator', site: SITE }],
    auditors: [{ role: 'auditor', site: SITE }],
    'ot-administrators': [{ role: 'administrator', site: null }],
  },
}

beforeAll(async () => {
  cluster = await startCluster()
  ca = await makeSiteCa(['localhost'], Date.now())
  const server = await issueServerCertificate(ca, ['localhost'], Date.now())
  const start = (id: string) =>
    startOidcProvider({
      tls: server,
      clientId: 'sallyport',
      clientSecret: 'lab-secret',
      people,
      redirectUri: `https://plant.example/auth/oidc/${id}/callback`,
    })
  lab = await start('lab')
  other = await start('other')
  const provider = (id: string, issuer: string, trust: string | null): OidcProvider => ({
    id,
    name: `Provider ${id}`,
    issuer,
    clientId: 'sallyport',
    clientSecret: new Secret('lab-secret'),
    mapping,
    ...(trust ? { ca: trust } : {}),
  })
  broker = await testBroker(cluster, {
    providers: [
      provider('lab', lab.issuer, ca.certificate),
      provider('other', other.issuer, ca.certificate),
      // The lab again under another name for the same machine: nobody gave its CA.
      provider('untrusted', lab.issuer.replace('localhost', '127.0.0.1'), null),
    ],
    limits: { signIn: { burst: 1000, perSecond: 1000 } },
  })
  ada = await broker.administrator()
  await testPlant(ada, SITE)
  await ada.call('POST /api/vendors', {
    body: {
      name: 'Acme Robotics',
      contractEndsAt: '2030-01-01T00:00:00.000Z',
      sponsorId: (await ada.me()).person.id,
      tier: '1',
    },
  })
})
afterAll(async () => {
  await broker?.close()
  await lab?.close()
  await other?.close()
  await cluster?.close()
})

/** Begins at the broker, chooses a person at the provider; answers with the path back to the broker. */
async function trip(
  client: ApiClient,
  sub: string,
  options: { provider?: string; search?: string; browser?: ProviderBrowser } = {},
): Promise<string> {
  const start = await client.fetch(
    'GET',
    `/auth/oidc/${options.provider ?? 'lab'}/start${options.search ?? ''}`,
  )
  expect(start.status).toBe(303)
  const browser = options.browser ?? new ProviderBrowser(ca.certificate)
  const back = new URL(await browser.choose(String(start.headers.location), sub))
  expect(back.origin).toBe('https://plant.example')
  return back.pathname + back.search
}

async function signIn(client: ApiClient, sub: string) {
  const answer = await client.fetch('GET', await trip(client, sub))
  expect(answer.headers.location).toBe('/')
  return client.me()
}

const SIGN_IN = '__Host-sallyport-sign-in'

/** The answer that refuses: back to the sign-in page with a code, and no cookie. */
async function refusedWith(client: ApiClient, path: string): Promise<string | null> {
  const answer = await client.fetch('GET', path)
  expect(answer.status).toBe(303)
  expect(client.cookies.has(SIGN_IN)).toBe(false)
  return new URL(String(answer.headers.location), 'https://plant.example').searchParams.get('problem')
}

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

test('a code counts once', async () => {
  const client = broker.client()
  const path = await trip(client, 'anna')
  const cookies = new Map(client.cookies)
  expect((await client.fetch('GET', path)).headers.location).toBe('/')
  const again = broker.client()
  for (const [name, value] of cookies) again.cookies.set(name, value)
  expect(await refusedWith(again, path)).toBe('trip-unknown')
})

test('a used code under a fresh state is refused by the provider', async () => {
  const client = broker.client()
  const first = await trip(client, 'anna')
  await client.fetch('GET', first)
  client.cookies.clear()
  const second = new URL(await trip(client, 'anna'), 'https://plant.example')
  second.searchParams.set('code', new URL(first, 'https://plant.example').searchParams.get('code') ?? '')
  expect(await refusedWith(client, second.pathname + second.search)).toBe('answer-invalid')
})

test('bad or missing state', async () => {
  for (const bend of [
    (url: URL) => url.searchParams.set('state', 'x'.repeat(43)),
    (url: URL) => url.searchParams.delete('state'),
  ]) {
    const client = broker.client()
    const url = new URL(await trip(client, 'anna'), 'https://plant.example')
    bend(url)
    expect(await refusedWith(client, url.pathname + url.search)).toBe('trip-unknown')
  }
})

test("somebody else's answer can't be planted: the trip belongs to the browser that began it", async () => {
  const attacker = broker.client()
  const victim = broker.client()
  expect(await refusedWith(victim, await trip(attacker, 'anna'))).toBe('trip-unknown')
  // A victim who is on a trip of their own has a cookie, but another one.
  await victim.fetch('GET', '/auth/oidc/lab/start')
  expect(await refusedWith(victim, await trip(attacker, 'anna'))).toBe('trip-unknown')
})

test('wrong issuer in the answer (RFC 9207), and one that is missing', async () => {
  for (const bend of [
    (url: URL) => url.searchParams.set('iss', other.issuer),
    (url: URL) => url.searchParams.set('iss', 'https://evil.example'),
    (url: URL) => url.searchParams.delete('iss'),
  ]) {
    const client = broker.client()
    const url = new URL(await trip(client, 'anna'), 'https://plant.example')
    bend(url)
    expect(await refusedWith(client, url.pathname + url.search)).toBe('answer-invalid')
  }
})

test('an answer at the callback of another provider', async () => {
  const client = broker.client()
  const path = await trip(client, 'anna')
  expect(await refusedWith(client, path.replace('/oidc/lab/', '/oidc/other/'))).toBe('trip-unknown')
})

test('without the nonce, or with another, the ID token is refused', async () => {
  for (const nonce of ['', 'x'.repeat(43)]) {
    const client = broker.client()
    const start = await client.fetch('GET', '/auth/oidc/lab/start')
    const url = new URL(String(start.headers.location))
    if (nonce) url.searchParams.set('nonce', nonce)
    else url.searchParams.delete('nonce')
    const back = new URL(await new ProviderBrowser(ca.certificate).choose(url.href, 'anna'))
    expect(await refusedWith(client, back.pathname + back.search)).toBe('answer-invalid')
  }
})

test('a code without its PKCE verifier is refused', async () => {
  const client = broker.client()
  const start = await client.fetch('GET', '/auth/oidc/lab/start')
  const url = new URL(String(start.headers.location))
  url.searchParams.set('code_challenge', 'A'.repeat(43))
  const back = new URL(await new ProviderBrowser(ca.certificate).choose(url.href, 'anna'))
  expect(await refusedWith(client, back.pathname + back.search)).toBe('answer-invalid')
})

test('a provider whose certificate nobody vouches for is refused (threat 40)', async () => {
  const answer = await broker.client().fetch('GET', '/auth/oidc/untrusted/start')
  expect(answer.headers.location).toBe('/sign-in?problem=provider-unavailable')
  expect((await broker.client().fetch('GET', '/auth/oidc/nowhere/start')).headers.location).toBe(
    '/sign-in?problem=unknown-provider',
  )
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
  expect((await client.fetch('GET', wrong)).headers.location).toBe('/sign-in?problem=other-person')
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

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

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
