import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { connect } from 'node:tls'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { api, type RouteKey } from '../../broker/contract/api/index.ts'
import type { RouteSpec } from '../../broker/contract/route.ts'
import { buildApp } from '../../broker/http/app.ts'
import { publicOrigin } from '../../broker/http/origin.ts'
import type { ApiClient } from '../lab/api-client.ts'
import { startCluster, type TestCluster } from './database.ts'
import { assetBody, stubs, type TestBroker, testBroker, testPlant } from './identity-support.ts'

let cluster: TestCluster
let broker: TestBroker
let ada: ApiClient
let plant: Awaited<ReturnType<typeof testPlant>>

beforeAll(async () => {
  cluster = await startCluster()
  const webDir = await mkdtemp(path.join(cluster.dataDir, 'web-'))
  await mkdir(path.join(webDir, 'assets'))
  await writeFile(path.join(webDir, 'index.html'), '<!doctype html><title>Pages</title>')
  await writeFile(path.join(webDir, 'assets/app-a1b2c3d4.js'), 'export {}')
  await writeFile(path.join(webDir, 'icon.svg'), '<svg/>')
  await writeFile(path.join(webDir, '.secret'), 'hidden')
  await writeFile(path.join(path.dirname(webDir), 'outside.txt'), 'outside')
  broker = await testBroker(cluster, { webDir })
  ada = await broker.administrator()
  plant = await testPlant(ada)
})
afterAll(async () => {
  await broker?.close()
  await cluster?.close()
})

const options = () => ({
  origin: publicOrigin('https://plant.example'),
  signIns: broker.identity,
  recordDenied: async () => undefined,
  clock: broker.clock,
  tls: null,
  webDir: null,
  logger: null,
})
const code = (answer: { body: unknown }) => (answer.body as { code?: string }).code

test('every contract route has exactly one handler, or nothing starts', () => {
  expect(() => buildApp({ ...options(), handlers: [stubs(), broker.identity.routes] })).toThrow(
    'has two handlers',
  )
  const { 'GET /api/me': _gone, ...rest } = stubs()
  expect(() => buildApp({ ...options(), handlers: [rest] })).toThrow('no handler: GET /api/me')
  const unknown = { ...stubs(), 'GET /api/backdoor': async () => ({}) }
  expect(() => buildApp({ ...options(), handlers: [unknown] })).toThrow('no route of the contract')
})

test('the OpenAPI document has exactly the routes of the contract', async () => {
  const answer = await broker.client().fetch('GET', '/api/openapi.json')
  const document = answer.body as {
    paths: Record<string, Record<string, { responses: object; description: string; requestBody?: object }>>
  }
  const written = Object.entries(document.paths).flatMap(([url, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${url.replaceAll(/\{(\w+)\}/g, ':$1')}`),
  )
  expect(written.sort()).toEqual(Object.keys(api).sort())
  for (const key of Object.keys(api) as RouteKey[]) {
    const [method = '', url = ''] = key.split(' ')
    const operation = document.paths[url.replaceAll(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()]
    const spec: RouteSpec = api[key]
    expect(operation?.requestBody !== undefined, key).toBe(spec.body !== undefined)
    expect(Object.keys(operation?.responses ?? {}), key).toEqual(
      expect.arrayContaining(['200', '4XX', '5XX']),
    )
  }
})

test('unknown and wrong fields are refused at the field, and nothing changes', async () => {
  const body = { name: 'Zone X', siteId: plant.site.id, ranges: ['10.9.0.0/16'] }
  const unknown = await ada.fetch('POST', '/api/zones', { ...body, isAdmin: true, extra: 1 })
  expect(unknown.status).toBe(400)
  expect(unknown.body).toMatchObject({
    code: 'invalid-input',
    fields: [
      { path: 'isAdmin', message: 'Unknown field' },
      { path: 'extra', message: 'Unknown field' },
    ],
  })
  const nested = await ada.fetch('POST', '/api/assets', {
    ...assetBody(plant.site.id, plant.zone.id),
    consequence: { safety: 9, availability: 2, integrity: 2, confidentiality: 0, regulatory: 1, fame: 1 },
    criticality: 'C9',
  })
  expect((nested.body as { fields: { path: string }[] }).fields.map((field) => field.path).sort()).toEqual([
    'consequence.fame',
    'consequence.safety',
    'criticality',
  ])
  expect(code(await ada.fetch('GET', '/api/people?serach=x'))).toBe('invalid-input')
  expect(code(await ada.fetch('POST', '/api/zones', '{"siteId":'))).toBe('invalid-input')
  expect((await ada.call('GET /api/zones', {})).map((zone) => zone.name).sort()).toEqual([
    'OT DMZ',
    'Robot cell 4',
  ])
})

test('text that no row, no hash and no gateway can hold is refused on every route (threat 10)', async () => {
  // Red without `requirePlainText` in http/app.ts.
  const request = {
    endpointId: plant.site.id,
    account: 'service',
    features: [],
    ticket: { system: 'file', key: 'CHG1' },
    window: { opensAt: '2026-03-01T02:00:00.000Z', closesAt: '2026-03-01T03:00:00.000Z' },
  }
  const requests: [method: string, url: string, body: object | null][] = [
    ['POST', '/api/requests', { ...request, purpose: 'firmware \0' }],
    ['POST', '/api/requests', { ...request, purpose: 'firmware \ud800' }],
    ['POST', `/api/sessions/${plant.site.id}/hold`, { cause: 'a\0b' }],
    ['POST', `/api/sessions/${plant.site.id}/hold`, { cause: 'a\ud800b' }],
    ['GET', '/api/people?search=%00', null],
  ]
  const app = buildApp({ ...options(), handlers: [stubs()], signIns: everybody() })
  for (const [method, url, body] of requests) {
    const answer = await app.inject({
      method: method as 'GET',
      url,
      headers: {
        origin: 'https://plant.example',
        cookie: `__Host-sallyport-sign-in=${'A'.repeat(64)}`,
        'x-csrf-token': 'token',
      },
      ...(body ? { payload: body } : {}),
    })
    expect({ url, status: answer.statusCode, code: answer.json().code }).toEqual({
      url,
      status: 422,
      code: 'text-not-plain',
    })
  }
  await app.close()
})

test('hostile bodies: not JSON, forms, too large, prototype games', async () => {
  const raw = (payload: string, type = 'application/json') =>
    broker.app.inject({
      method: 'POST',
      url: '/api/sign-in/passkey/options',
      headers: { origin: 'https://plant.example', 'content-type': type },
      payload,
    })
  expect((await raw('{')).json()).toMatchObject({ code: 'invalid-json' })
  expect((await raw('')).json()).toMatchObject({ code: 'invalid-json' })
  expect((await raw('a=1', 'application/x-www-form-urlencoded')).statusCode).toBe(415)
  expect((await raw('x', 'text/plain')).statusCode).toBe(415)
  expect((await raw(`{"a":"${'x'.repeat(70_000)}"}`)).statusCode).toBe(413)
  const proto = await raw('{"__proto__":{"admin":true}}')
  expect([400, 500].indexOf(proto.statusCode)).toBe(0)
})

test('cross-site requests are refused, with or without the cookie (threat 27)', async () => {
  const me = await ada.me()
  const send = (headers: Record<string, string>) =>
    broker.app.inject({
      method: 'POST',
      url: '/api/zones',
      headers: { 'content-type': 'application/json', cookie: ada.cookieHeader(), ...headers },
      payload: { siteId: plant.site.id, name: 'CSRF', ranges: ['10.8.0.0/16'] },
    })
  const token = { 'x-csrf-token': me.csrf }
  for (const [headers, expected] of [
    [{ ...token, origin: 'https://evil.example' }, 'cross-site'],
    [{ ...token, origin: 'null' }, 'cross-site'],
    [{ ...token, origin: 'https://sub.plant.example' }, 'cross-site'],
    [{ ...token, origin: 'http://plant.example' }, 'cross-site'],
    [{ ...token }, 'cross-site'],
    [{ ...token, 'sec-fetch-site': 'same-site' }, 'cross-site'],
    [{ ...token, origin: 'https://plant.example', 'sec-fetch-site': 'cross-site' }, 'cross-site'],
    [{ origin: 'https://plant.example' }, 'csrf-token'],
    [{ origin: 'https://plant.example', 'x-csrf-token': 'x' }, 'csrf-token'],
  ] as [Record<string, string>, string][]) {
    const answer = await send(headers)
    expect([answer.statusCode, answer.json().code], JSON.stringify(headers)).toEqual([403, expected])
  }
  const other = broker.client()
  await other.fetch('GET', '/healthz')
  expect((await ada.call('GET /api/zones', {})).some((zone) => zone.name === 'CSRF')).toBe(false)
  // Sign-in itself, too: nobody signs a browser in from another page.
  const login = await broker.app.inject({
    method: 'POST',
    url: '/api/sign-in/passkey/options',
    headers: { origin: 'https://evil.example', 'content-type': 'application/json' },
    payload: {},
  })
  expect(login.json().code).toBe('cross-site')
})

test("one person's CSRF token is no other's", async () => {
  const made = await ada.call('POST /api/people', {
    body: {
      name: 'Second Admin',
      email: null,
      vendorId: null,
      accountEndsAt: null,
      trainingValidUntil: null,
      roles: [{ role: 'administrator', siteId: plant.site.id }],
    },
  })
  const second = broker.client()
  const { csrf } = await second.setUp(made.setUpLink)
  const answer = await ada.fetch('POST', '/api/zones', {}, { 'x-csrf-token': csrf })
  expect(code(answer)).toBe('csrf-token')
})

test('identity headers of a client are ignored (threat 36)', async () => {
  const me = await ada.me()
  const answer = await broker.client().fetch('GET', '/api/me', undefined, {
    authorization: 'Bearer admin',
    'x-forwarded-user': me.person.id,
    'x-remote-user': 'admin',
    'x-principal': JSON.stringify({ personId: me.person.id }),
    'x-sallyport-person': me.person.id,
    cookie: `sallyport-sign-in=${'A'.repeat(64)}; __Host-sallyport-sign-in=${'A'.repeat(64)}`,
  })
  expect(answer.status).toBe(401)
  // And neither does a forwarded address count: it would split the rate limit and forge the audit log.
  await broker
    .client()
    .fetch('POST', '/api/zones', {}, { origin: 'https://evil.example', 'x-forwarded-for': '8.8.8.8' })
  await expect
    .poll(async () => {
      const rows = await broker.database.db.sql<{ text: string }[]>`
        SELECT convert_from(bytes, 'UTF8') AS text FROM audit.entry WHERE action = 'http.denied'`
      return rows.map(({ text }) => JSON.parse(text))
    })
    .toContainEqual(expect.objectContaining({ source: '127.0.0.1', reason: 'cross-site', result: 'denied' }))
})

test('only UUIDs reach a handler: everything else in a path is 404 (threat 20)', async () => {
  for (const id of ['..%2f..%2fetc%2fpasswd', '%2e%2e', '1', "x' OR 1=1", '%00', 'x'.repeat(300)]) {
    const answer = await ada.fetch('GET', `/api/assets/${encodeURI(id)}`)
    expect(answer.status, id).toBe(404)
  }
})

test('security headers on every answer', async () => {
  for (const url of ['/', '/api/me', '/healthz', '/nothing/here', '/trust', '/assets/app-a1b2c3d4.js']) {
    const { headers } = await broker.client().fetch('GET', url)
    const csp = String(headers['content-security-policy'])
    expect(csp, url).toContain("script-src 'self' 'wasm-unsafe-eval'")
    expect(csp).toContain("img-src 'self' data: blob:")
    expect(csp).toContain("frame-ancestors 'none'")
    expect(csp).not.toMatch(/script-src[^;]*unsafe-inline/)
    expect(headers['strict-transport-security']).toBe('max-age=31536000')
    expect(headers['x-content-type-options']).toBe('nosniff')
    expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/)
  }
  expect((await broker.client().fetch('GET', '/api/me')).headers['cache-control']).toBe('no-store')
})

test('pages: hashed files for ever, the start page for every other path, nothing else', async () => {
  const client = broker.client()
  const asset = await client.fetch('GET', '/assets/app-a1b2c3d4.js')
  expect(asset.headers['cache-control']).toBe('public, max-age=31536000, immutable')
  for (const url of ['/', '/decide/0190', '/sessions?x=1']) {
    const page = await client.fetch('GET', url)
    expect([page.status, page.headers['cache-control']], url).toEqual([200, 'no-cache'])
    expect(String(page.body)).toContain('<title>Pages')
  }
  for (const url of [
    '/api/nothing',
    '/auth/nothing',
    '/ws/nothing',
    '/link/nothing',
    '/missing.js',
    '/.secret',
    '/../outside.txt',
    '/..%2foutside.txt',
    '/assets/%2e%2e/.secret',
  ]) {
    const answer = await client.fetch('GET', url)
    expect(answer.status, url).toBe(404)
    expect(code(answer), url).toBe('not-found')
  }
})

test('the trust page brings the CA to a phone, without script', async () => {
  const page = await broker.client().fetch('GET', '/trust')
  expect(String(page.body)).toContain(broker.tls.ca?.fingerprint ?? 'missing')
  expect(String(page.body)).toContain('data:image/png;base64,')
  expect(String(page.body)).not.toContain('<script')
  const file = await broker.client().fetch('GET', '/trust/ca.crt')
  expect(file.headers['content-type']).toBe('application/x-x509-ca-cert')
  expect(file.raw.toString()).toBe(broker.tls.ca?.certificate)
})

test('the site CA vouches for its own name and no other', async () => {
  const handshake = (servername: string) =>
    new Promise<string>((resolve) => {
      const socket = connect({ ...broker.at, servername, ca: broker.tls.ca?.certificate ?? '' }, () => {
        resolve('ok')
        socket.destroy()
      })
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'))
    })
  expect(await handshake('plant.example')).toBe('ok')
  expect(await handshake('other.example')).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
})

test('an IP address as public name is refused with the reason', () => {
  for (const text of [
    'https://10.1.2.3',
    'https://[::1]:8443',
    'http://plant.example',
    'https://plant.example/x',
    'http://localhost:3000',
    'plant',
  ]) {
    expect(() => publicOrigin(text), text).toThrow(expect.objectContaining({ code: 'public-name' }))
  }
  expect(() => publicOrigin('https://10.1.2.3')).toThrow('passkeys')
  expect(publicOrigin('https://Plant.example:8443')).toMatchObject({
    host: 'plant.example:8443',
    rpId: 'plant.example',
  })
  expect(publicOrigin('http://localhost:3000', { allowHttpLocalhost: true }).secure).toBe(false)
  expect(() => publicOrigin('http://127.0.0.1:3000', { allowHttpLocalhost: true })).toThrow()
})

test('limits come before authentication, and stop keeps a way of its own (threat 30)', async () => {
  const limited = buildApp({
    ...options(),
    handlers: [stubs()],
    limits: { address: { burst: 5, perSecond: 0.001 }, signIn: { burst: 2, perSecond: 0.001 } },
  })
  const send = (method: 'GET' | 'POST', url: string, remoteAddress = '10.0.0.9') =>
    limited.inject({
      method,
      url,
      remoteAddress,
      headers: { origin: 'https://plant.example', ...asAda() },
      ...(method === 'POST' ? { payload: {} } : {}),
    })
  for (let i = 0; i < 5; i++) expect((await send('GET', '/healthz')).statusCode).toBe(418)
  const over = await send('GET', '/api/me')
  expect(over.statusCode).toBe(429)
  expect(over.json().code).toBe('rate-limited')
  expect(Number(over.headers['retry-after'])).toBeGreaterThan(0)
  expect((await send('GET', '/healthz', '10.0.0.10')).statusCode).toBe(418)
  const stop = await send('POST', '/api/sessions/0190a5d2-ac96-774b-bcce-b302099a8057/stop')
  expect(stop.statusCode).toBe(403)
  expect(stop.json().code).toBe('role-needed')
  for (let i = 0; i < 2; i++) {
    expect((await send('POST', '/api/sign-in/passkey/options', '10.0.0.11')).statusCode).toBe(418)
  }
  expect((await send('POST', '/api/sign-in/passkey/options', '10.0.0.11')).statusCode).toBe(429)
  await limited.close()
})

test('refused attempts reach the audit log at a bounded rate, with a count of the rest', async () => {
  const events: { details?: Record<string, unknown> }[] = []
  const app = buildApp({
    ...options(),
    handlers: [stubs()],
    recordDenied: async (event) => {
      events.push(event)
    },
  })
  for (let i = 0; i < 50; i++) {
    await app.inject({
      method: 'POST',
      url: '/api/zones',
      headers: { origin: 'https://evil.example' },
      payload: {},
    })
  }
  expect(events).toHaveLength(10)
  broker.clock.shift(10_000)
  await app.inject({
    method: 'POST',
    url: '/api/zones',
    headers: { origin: 'https://evil.example' },
    payload: {},
  })
  expect(events.at(-1)?.details).toMatchObject({ leftOut: 40 })
  await app.close()
})

test('the log says who asked for what and holds no cookie, token, query or body', async () => {
  const lines: string[] = []
  const logger = pino({ level: 'trace' }, { write: (line: string) => lines.push(line) })
  const app = buildApp({
    ...options(),
    logger,
    handlers: [
      broker.identity.routes,
      broker.inventory.routes,
      stubs(broker.identity.routes, broker.inventory.routes),
    ],
  })
  const cookie = ada.cookieHeader()
  await app.inject({ method: 'GET', url: '/api/people?search=Hidden-Query', headers: { cookie } })
  await app.inject({
    method: 'POST',
    url: '/api/set-up/options',
    headers: { origin: 'https://plant.example' },
    payload: { token: 'set-up-token-in-a-body' },
  })
  await app.inject({ method: 'GET', url: '/auth/oidc/x/callback?code=secret-code&state=secret-state' })
  const all = lines.join('')
  expect(all).toContain('"route":"GET /api/people"')
  expect(all).toContain((await ada.me()).person.id)
  expect(all).not.toContain(cookie.split('=')[1] ?? 'x')
  expect(all).not.toMatch(/Hidden-Query|set-up-token|secret-code|secret-state/)
  await app.close()
})

test('an unexpected error is a plain 500 that says nothing', async () => {
  const app = buildApp({
    ...options(),
    handlers: [
      {
        ...stubs(),
        'GET /healthz': async () => Promise.reject(new Error('password=hunter2 at 10.20.30.41')),
      },
    ],
  })
  const answer = await app.inject({ method: 'GET', url: '/healthz' })
  expect(answer.statusCode).toBe(500)
  expect(answer.json()).toMatchObject({ code: 'internal' })
  expect(answer.body).not.toMatch(/hunter2|10\.20/)
  await app.close()
})

test('an answer that the contract does not know is refused, not sent', async () => {
  const app = buildApp({
    ...options(),
    handlers: [{ ...stubs(), 'GET /healthz': async () => ({ ok: true, password: 'leak' }) as never }],
  })
  const answer = await app.inject({ method: 'GET', url: '/healthz' })
  expect(answer.statusCode).toBe(500)
  expect(answer.body).not.toContain('leak')
  await app.close()
})

test('without the database public pages and stop by memory still answer; everything else is 503', async () => {
  await ada.signIn()
  const made = await ada.call('POST /api/people', {
    body: {
      name: 'Olga Operator',
      email: null,
      vendorId: null,
      accountEndsAt: null,
      trainingValidUntil: null,
      roles: [{ role: 'operator', siteId: plant.site.id }],
    },
  })
  const olga = broker.client()
  await olga.setUp(made.setUpLink)
  await olga.me()
  await cluster.server.stop()
  try {
    expect((await olga.ask('GET /healthz', {})).status).toBe(200)
    const me = await olga.ask('GET /api/me', {})
    expect([me.status, code(me)]).toEqual([503, 'database-unavailable'])
    const started = performance.now()
    const stop = await olga.ask('POST /api/sessions/:id/stop', {
      params: { id: '0190a5d2-ac96-774b-bcce-b302099a8057' },
      body: {},
    })
    expect([stop.status, code(stop)]).toEqual([418, 'stub'])
    expect(performance.now() - started).toBeLessThan(5_000)
    // The administrator is no operator.
    const refused = await ada.ask('POST /api/sessions/:id/stop', {
      params: { id: '0190a5d2-ac96-774b-bcce-b302099a8057' },
      body: {},
    })
    expect(refused.status).toBe(503)
  } finally {
    await cluster.server.start()
  }
})

/** What Ada's page sends with a change. */
function asAda() {
  const cookie = ada.cookieHeader()
  return { cookie, 'x-csrf-token': broker.identity.csrfToken(cookie.slice(cookie.indexOf('=') + 1)) }
}

/** Somebody with every role, signed in freshly. */
function everybody() {
  const roles = (['vendor', 'approver', 'operator', 'auditor', 'administrator'] as const).map((role) => ({
    role,
    siteId: role === 'administrator' ? null : plant.site.id,
  }))
  const principal = {
    personId: '0190a5d2-ac96-774b-bcce-b302099a8057',
    issuer: 'local',
    subject: 'x',
    name: 'Olga',
    vendorId: null,
    roles,
    signInId: '0190a5d2-ac96-774b-bcce-b302099a8058',
    method: 'passkey',
    authenticatedAt: broker.clock.wall(),
  } as const
  return {
    authenticate: async () => principal,
    authenticateFromMemory: () => principal,
    csrfToken: () => 'token',
  }
}

test('strangers at an operator’s address do not use up their stop (threat 30)', async () => {
  const limited = buildApp({
    ...options(),
    handlers: [stubs()],
    limits: { address: { burst: 5, perSecond: 0.001 }, urgent: { burst: 3, perSecond: 0.001 } },
  })
  const stop = (headers: Record<string, string>) =>
    limited.inject({
      method: 'POST',
      url: '/api/sessions/0190a5d2-ac96-774b-bcce-b302099a8057/stop',
      remoteAddress: '10.0.0.9',
      headers: { origin: 'https://plant.example', ...headers },
      payload: {},
    })
  const made = `__Host-sallyport-sign-in=${'A'.repeat(64)}`
  for (let i = 0; i < 5; i++) expect((await stop(i % 2 ? { cookie: made } : {})).statusCode).toBe(401)
  expect((await stop({})).statusCode).toBe(429)
  expect((await stop({ cookie: made })).statusCode).toBe(429)
  // Ada is known, though no operator here; her own bucket has an end too.
  for (let i = 0; i < 3; i++) expect((await stop(asAda())).statusCode).toBe(403)
  expect((await stop(asAda())).statusCode).toBe(429)
  await limited.close()
})

test('a database that hangs does not hold up a stop', async () => {
  const principal = {
    personId: '0190a5d2-ac96-774b-bcce-b302099a8057',
    issuer: 'local',
    subject: 'x',
    name: 'Olga',
    vendorId: null,
    roles: [{ role: 'operator', siteId: plant.site.id }],
    signInId: '0190a5d2-ac96-774b-bcce-b302099a8058',
    method: 'passkey',
    authenticatedAt: Date.now(),
  } as const
  const app = buildApp({
    ...options(),
    handlers: [stubs()],
    signIns: {
      authenticate: () => new Promise(() => undefined),
      authenticateFromMemory: () => principal,
      csrfToken: () => 'token',
    },
  })
  const started = performance.now()
  const answer = await app.inject({
    method: 'POST',
    url: '/api/sessions/0190a5d2-ac96-774b-bcce-b302099a8057/stop',
    headers: {
      origin: 'https://plant.example',
      cookie: `__Host-sallyport-sign-in=${'A'.repeat(64)}`,
      'x-csrf-token': 'token',
    },
    payload: {},
  })
  expect(answer.statusCode).toBe(418)
  expect(performance.now() - started).toBeLessThan(3_000)
  await app.close()
})
