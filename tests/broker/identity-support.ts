import { mkdtemp } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import type { FastifyInstance } from 'fastify'
import type { AuditLog } from '../../broker/audit/log.ts'
import { api, type RouteKey } from '../../broker/contract/api/index.ts'
import type { Handlers } from '../../broker/contract/handler.ts'
import { type Clock, systemClock } from '../../broker/domain/clock.ts'
import { Failure } from '../../broker/domain/failure.ts'
import { Secret } from '../../broker/domain/secret.ts'
import { type AppOptions, buildApp } from '../../broker/http/app.ts'
import { type PublicOrigin, publicOrigin } from '../../broker/http/origin.ts'
import { type ServerTls, siteCaTls } from '../../broker/http/tls.ts'
import { type Identity, type IdentityOptions, openIdentity } from '../../broker/identity/identity.ts'
import type { Probe } from '../../broker/inventory/assets.ts'
import { type Inventory, openInventory } from '../../broker/inventory/inventory.ts'
import { ApiClient } from '../lab/api-client.ts'
import { testLog } from './audit-support.ts'
import type { TestCluster, TestDatabase } from './database.ts'

export interface TestBroker {
  database: TestDatabase
  audit: AuditLog
  clock: ShiftingClock
  identity: Identity
  inventory: Inventory
  app: FastifyInstance
  origin: PublicOrigin
  tls: ServerTls
  /** Where it listens. */
  at: { host: string; port: number }
  /** Integrity alarms that were raised. */
  alarms: { subject: string }[]
  client(): ApiClient
  /** The first administrator, set up and signed in. */
  administrator(): Promise<ApiClient>
  close(): Promise<void>
}

/** The machine's clock, moved on by tests. */
export interface ShiftingClock extends Clock {
  shift(ms: number): void
}

export function shiftingClock(): ShiftingClock {
  let by = 0
  return {
    wall: () => Date.now() + by,
    monotonic: () => performance.now() + by,
    after: (ms, run) => systemClock.after(ms, run),
    shift: (ms) => {
      by += ms
    },
  }
}

export interface TestBrokerOptions {
  providers?: IdentityOptions['providers']
  probe?: Probe
  resolve?: (name: string) => Promise<string[]>
  limits?: AppOptions['limits']
  webDir?: string
}

/** Identity, inventory and the HTTP application on a real database and real TLS; other rooms' routes are stubs. */
export async function testBroker(cluster: TestCluster, options: TestBrokerOptions = {}): Promise<TestBroker> {
  const database = await cluster.database()
  const { log: audit, alarms } = await testLog(cluster, database)
  const clock = shiftingClock()
  const origin = publicOrigin('https://plant.example')
  const identity = await openIdentity({
    db: database.db,
    audit,
    clock,
    origin,
    deploymentName: 'Test plant',
    key: new Secret(Buffer.alloc(32, 3)),
    providers: options.providers ?? [],
  })
  const inventory = openInventory({
    db: database.db,
    audit,
    clock,
    vaultKey: new Secret(Buffer.alloc(32, 5)),
    probe:
      options.probe ??
      (async () => ({
        identity: { algorithm: 'ssh-ed25519', fingerprint: `SHA256:${'A'.repeat(43)}` },
        vnc: null,
        rdp: null,
      })),
    ...(options.resolve ? { resolve: options.resolve } : {}),
  })
  const tls = await siteCaTls({
    folder: await mkdtemp(path.join(cluster.dataDir, 'tls-')),
    origin,
    clock: systemClock,
  })
  const app = buildApp({
    handlers: [identity.routes, inventory.routes, stubs(identity.routes, inventory.routes)],
    origin,
    signIns: identity,
    recordDenied: async (event) => {
      await audit.record(database.db.sql, event)
    },
    clock,
    tls,
    webDir: options.webDir ?? null,
    logger: null,
    limits: options.limits ?? {},
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const at = { host: '127.0.0.1', port: (app.server.address() as AddressInfo).port }
  const client = () => new ApiClient(origin.origin, { ca: tls.ca?.certificate ?? '', connectTo: at })
  return {
    database,
    audit,
    clock,
    identity,
    inventory,
    app,
    origin,
    tls,
    at,
    alarms,
    client,
    async administrator() {
      const link = await identity.ensureFirstAdministrator()
      if (!link) throw new Error('the set-up was done before')
      const administrator = client()
      await administrator.setUp(link.setUpLink)
      return administrator
    },
    async close() {
      app.server.closeAllConnections()
      await app.close()
      await identity.close()
      await audit.close()
      tls.close()
    },
  }
}

/** Handlers of the rooms that are not under test: they say that the access gate let the caller through. */
export function stubs(...parts: readonly object[]): Partial<Handlers> {
  const there = new Set(parts.flatMap((part) => Object.keys(part)))
  return Object.fromEntries(
    (Object.keys(api) as RouteKey[])
      .filter((key) => !there.has(key))
      .map((key) => [
        key,
        async () => {
          throw new Failure(418, 'stub', 'A stub.', 'Nothing.')
        },
      ]),
  ) as Partial<Handlers>
}

/** A site with a zone and people in every role, made through the API. */
export async function testPlant(administrator: ApiClient, name = 'Werk Nord') {
  const site = await administrator.call('POST /api/sites', {
    body: { name, timeZone: 'Europe/Berlin', notice: 'You are recorded.' },
  })
  const zone = await administrator.call('POST /api/zones', {
    body: { siteId: site.id, name: 'Robot cell 4', ranges: ['10.20.30.0/24'] },
  })
  const dmz = await administrator.call('POST /api/zones', {
    body: { siteId: site.id, name: 'OT DMZ', ranges: ['10.20.1.0/24'] },
  })
  return { site, zone, dmz }
}

/** An asset's body with every field right. */
export function assetBody(siteId: string, zoneId: string, address = '10.20.30.41') {
  return {
    siteId,
    zoneId,
    name: `Robot ${address.replaceAll(/\W/g, '-')}`,
    description: 'Welding robot',
    type: 'robot' as const,
    criticality: 'C2' as const,
    owner: 'Maintenance',
    address,
    consequence: { safety: 3, availability: 2, integrity: 2, confidentiality: 0, regulatory: 1 },
    hazard: 'The arm moves.',
    compensatingControls: '',
    lastVerifiedAt: null,
  }
}

/** The part of a browser that talks to an identity provider: cookies, redirects by hand, the provider's CA. */
export class ProviderBrowser {
  readonly #ca: string
  readonly #cookies = new Map<string, string>()

  constructor(ca: string) {
    this.#ca = ca
  }

  async send(
    url: string,
    form?: Record<string, string>,
  ): Promise<{ status: number; location: string | null; body: string }> {
    const body = form ? new URLSearchParams(form).toString() : null
    return new Promise((resolve, reject) => {
      const outgoing = (url.startsWith('https:') ? httpsRequest : httpRequest)(
        url,
        {
          method: body === null ? 'GET' : 'POST',
          ca: this.#ca,
          agent: false,
          headers: {
            cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; '),
            ...(body === null
              ? {}
              : { 'content-type': 'application/x-www-form-urlencoded', 'content-length': body.length }),
          },
        },
        (incoming) => {
          for (const line of incoming.headers['set-cookie'] ?? []) {
            const [pair = ''] = line.split(';')
            this.#cookies.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1))
          }
          const chunks: Buffer[] = []
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
          incoming.on('end', () => {
            const { location } = incoming.headers
            resolve({
              status: incoming.statusCode ?? 0,
              location: location === undefined ? null : new URL(location, url).href,
              body: Buffer.concat(chunks).toString(),
            })
          })
        },
      )
      outgoing.on('error', reject)
      outgoing.end(body ?? undefined)
    })
  }

  /** Follows the provider's pages as `sub` until it sends the browser back; answers with that address. */
  async choose(start: string, sub: string): Promise<string> {
    const issuer = new URL(start).origin
    let at = start
    for (let step = 0; step < 10; step++) {
      if (new URL(at).origin !== issuer) return at
      const answer = at.includes('/interaction/') ? await this.send(at, { person: sub }) : await this.send(at)
      if (!answer.location)
        throw new Error(`the provider stopped at ${at}: ${answer.status} ${answer.body.slice(0, 300)}`)
      at = answer.location
    }
    throw new Error('the provider sends in circles')
  }
}
