import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { type BrokerConfig, type RunningBroker, startBroker } from '../../broker/broker.ts'
import type { BodyInput } from '../../broker/contract/api/index.ts'
import type { RdpSecurity } from '../../broker/domain/rdp.ts'
import { deviationsOf, hasIdentity, type VncSecurity } from '../../broker/domain/vnc.ts'
import type { Criticality, Role } from '../../broker/domain/words.ts'
import { enrol } from '../../gateway/enrol.ts'
import { type GatewayConfig, type RunningGateway, startGateway } from '../../gateway/gateway.ts'
import { rooms } from '../../main.ts'
import { ApiClient } from './api-client.ts'
import { freePort } from './free-port.ts'
import { NO_POWER_CUT, readyDatabase } from './ready-database.ts'
import { newTicketSigner, type TicketSigner } from './ticket-signer.ts'
import { until } from './until.ts'

export interface LabTarget {
  /** 127.0.0.1 by default. */
  address?: string
  port: number
  user: string
  /** One of the two. */
  password?: string
  privateKey?: string
}

export interface LabPlant {
  broker: RunningBroker
  gateway: RunningGateway
  dataDir: string
  /** What browsers show, and the CA they trust it by (PEM; null on http://localhost). */
  origin: string
  host: string
  ca: string | null
  admin: ApiClient
  adminId: string
  siteId: string
  zoneId: string
  vendorId: string
  tickets: TicketSigner
  /** A new person, set up with a software passkey that the administrator confirmed. */
  person(name: string, roles: Role[], vendor?: boolean): Promise<{ client: ApiClient; id: string }>
  /** Makes a person and returns the set-up link unused, for a browser. */
  invite(name: string, roles: Role[], vendor?: boolean): Promise<{ link: string; id: string }>
  confirmPasskeys(personId: string): Promise<void>
  /** An asset with one endpoint, its host key or certificate probed and accepted, its credential in the vault. */
  asset(options: {
    name: string
    criticality: Criticality
    target: LabTarget
    /** A welding robot, unless told otherwise. */
    about?: Partial<Pick<BodyInput<'POST /api/assets'>, 'type' | 'description' | 'owner' | 'hazard'>>
    ending?: BodyInput<'POST /api/assets'>['ending']
    /** A VNC endpoint instead, protected so; what it lacks has an exception. `target.user` is then `vnc`. */
    vnc?: VncSecurity
    /** An RDP endpoint instead. */
    rdp?: RdpSecurity
  }): Promise<{ assetId: string; endpointId: string }>
  /** Hands in a change ticket that plans the given hours around now. */
  ticket(
    key: string,
    items: string[],
    options?: { state?: 'approved' | 'closed' | 'waiting'; fromMs?: number; toMs?: number; title?: string },
  ): Promise<void>
  client(): ApiClient
  stop(): Promise<void>
}

export interface LabPlantOptions {
  http?: boolean
  port?: number
  webDir?: string | null
  host?: string
  providers?: BrokerConfig['providers']
  broker?: Partial<BrokerConfig>
  gateway?: Partial<GatewayConfig>
  dataDir?: string
  names?: { deployment: string; site: string; timeZone: string; zone: string; vendor: string }
  /** Called before the gateway first dials: where the plant's data is, and the broker's link port. */
  enrolled?: (dataDir: string, linkPort: number) => void
  /**
   * Redeems the first administrator's link somewhere else (a browser) and returns the set-up link of a second one,
   * who is `admin` of this plant.
   */
  firstAdministrator?: (
    link: string,
    at: { origin: string; host: string; ca: string | null },
  ) => Promise<string>
}

/**
 * The whole product on this machine, composed as `sallyport up` composes it, with a site, a zone, a vendor and an
 * administrator made through the API. Everything is real: database, broker, gateway, certificates.
 */
export async function startPlant(options: LabPlantOptions = {}): Promise<LabPlant> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'sallyport-plant-')))
  // The database runs as another user when the tests are root; what it may not reach would go to /var/lib and stay.
  if (!options.dataDir) await chmod(dataDir, 0o711)
  const host = options.http ? 'localhost' : (options.host ?? 'access.plant.example')
  const port = options.port ?? (await freePort())
  const origin = `${options.http ? 'http' : 'https'}://${host}:${port}`
  const names = options.names ?? {
    deployment: 'Lab plant',
    site: 'Body shop Graz',
    timeZone: 'Europe/Vienna',
    zone: 'Robot cells',
    vendor: 'Krantz Robotics',
  }
  const logger = pino({ level: process.env.PLANT_LOG ?? 'silent', base: null }, pino.destination(2))
  // A folder that is given may be used again, and after a power cut too.
  if (!options.dataDir) await readyDatabase(join(dataDir, 'broker'))
  const broker = await startBroker(
    {
      dataDir: join(dataDir, 'broker'),
      publicUrl: origin,
      deploymentName: names.deployment,
      version: '0.0.0-lab',
      web: { host: '127.0.0.1', port },
      link: { host: '127.0.0.1', port: 0 },
      ...(options.http ? { allowHttpLocalhost: true } : {}),
      webDir: options.webDir ?? null,
      providers: options.providers ?? [],
      logger,
      ...(options.dataDir ? {} : { postgresSettings: NO_POWER_CUT }),
      ...options.broker,
    },
    rooms({ recordings: join(dataDir, 'recordings'), reserveBytes: 1024 * 1024, ticketFolder: null }),
  )
  const first = await broker.firstGateway({
    site: names.site,
    timeZone: names.timeZone,
    zone: 'Plant DMZ',
    gateway: 'gateway-1',
  })
  if (!first) throw new Error('this data folder has been used before')
  const gatewayDir = join(dataDir, 'gateway')
  await enrol({
    token: first.token,
    broker: `https://127.0.0.1:${broker.link.port}`,
    dataDir: gatewayDir,
    name: 'gateway-1',
  })
  options.enrolled?.(dataDir, broker.link.port)
  const gateway = await startGateway({
    dataDir: gatewayDir,
    workers: 2,
    reserveBytes: 1024 * 1024,
    ...options.gateway,
  })
  await until(() => gateway.links().length === 1, 'the gateway is linked')

  const ca = broker.siteCa
  const client = () =>
    new ApiClient(origin, { ...(ca ? { ca } : {}), connectTo: { host: '127.0.0.1', port } })
  const admin = client()
  const made = await broker.identity.ensureFirstAdministrator()
  if (!made) throw new Error('there is an administrator already')
  const link = options.firstAdministrator
    ? await options.firstAdministrator(made.setUpLink, { origin, host, ca })
    : made.setUpLink
  const adminId = (await admin.setUp(link)).person.id
  const site = (await admin.call('GET /api/sites', {}))[0]
  if (!site) throw new Error('the first start made no site')
  const siteId = site.id
  const zone = await admin.call('POST /api/zones', {
    body: { siteId, name: names.zone, ranges: ['127.0.0.0/8'] },
  })
  const dmz = (await admin.call('GET /api/zones', {})).find((one) => one.name === 'Plant DMZ')
  if (!dmz) throw new Error('the first start made no gateway zone')
  await admin.call('POST /api/conduits', {
    body: {
      siteId,
      name: `DMZ to ${names.zone}`,
      fromZoneId: dmz.id,
      toZoneId: zone.id,
      protocols: ['ssh', 'vnc', 'rdp'],
    },
  })
  const vendor = await admin.call('POST /api/vendors', {
    body: { name: names.vendor, contractEndsAt: inDays(365), sponsorId: adminId, tier: '1' },
  })
  const tickets = await newTicketSigner()
  await admin.call('POST /api/ticket-keys', {
    body: { siteId, name: 'Change export', jwk: tickets.jwk as { kty: string } },
  })

  const plant: LabPlant = {
    broker,
    gateway,
    dataDir,
    origin,
    host,
    ca,
    admin,
    adminId,
    siteId,
    zoneId: zone.id,
    vendorId: vendor.id,
    tickets,
    client,
    async invite(name, roles, ofVendor = false) {
      const added = await admin.call('POST /api/people', {
        body: {
          name,
          email: null,
          vendorId: ofVendor ? vendor.id : null,
          accountEndsAt: ofVendor ? inDays(180) : null,
          trainingValidUntil: ofVendor ? inDays(90) : null,
          roles: roles.map((role) => ({ role, siteId })),
        },
      })
      return { link: added.setUpLink, id: added.person.id }
    },
    async person(name, roles, ofVendor = false) {
      const { link, id } = await plant.invite(name, roles, ofVendor)
      const person = client()
      await person.setUp(link)
      await plant.confirmPasskeys(id)
      return { client: person, id }
    },
    async confirmPasskeys(personId) {
      const people = await admin.call('GET /api/people', {})
      for (const passkey of people.items.find((one) => one.id === personId)?.passkeys ?? []) {
        if (passkey.confirmedBy) continue
        await admin.call('POST /api/people/:id/passkeys/:passkeyId/confirm', {
          params: { id: personId, passkeyId: passkey.id },
          body: {},
        })
      }
    },
    async asset({ name, criticality, target, about, ending, vnc = null, rdp = null }) {
      const asset = await admin.call('POST /api/assets', {
        body: {
          siteId,
          zoneId: zone.id,
          name,
          description: 'KR-210 welding robot, left side',
          type: 'robot',
          criticality,
          owner: 'Maintenance body shop',
          address: target.address ?? '127.0.0.1',
          ...(ending ? { ending } : {}),
          consequence: { safety: 2, availability: 3, integrity: 2, confidentiality: 0, regulatory: 1 },
          hazard: 'An unexpected motion can hurt people in the cell; a broken program stops the line.',
          compensatingControls: 'Cell fenced, safety PLC locked',
          lastVerifiedAt: new Date().toISOString(),
          ...about,
        },
      })
      const gatewayId = (await admin.call('GET /api/gateways', {}))[0]?.id
      if (!gatewayId) throw new Error('there is no gateway')
      await admin.call('PATCH /api/assets/:id', {
        params: { id: asset.id },
        body: { gatewayId, enabled: true, reason: 'commissioned' },
      })
      const withEndpoint = await admin.call('POST /api/assets/:id/endpoints', {
        params: { id: asset.id },
        body: vnc
          ? { protocol: 'vnc', port: target.port, ...vnc }
          : rdp
            ? {
                protocol: 'rdp',
                port: target.port,
                ...rdp,
                ...(rdp.security === 'tls'
                  ? { reason: 'Its RDP server knows no Network Level Authentication' }
                  : {}),
              }
            : { protocol: 'ssh', port: target.port },
      })
      const endpointId = withEndpoint.endpoints[0]?.id
      if (!endpointId) throw new Error('the endpoint was not made')
      await admin.call('PUT /api/endpoints/:id/accounts/:account/credential', {
        params: { id: endpointId, account: target.user },
        body: target.privateKey
          ? { kind: 'private-key', privateKey: target.privateKey, passphrase: null }
          : { kind: 'password', password: target.password ?? '' },
      })
      const { identity } = await admin.call('POST /api/endpoints/:id/identity/probe', {
        params: { id: endpointId },
        body: {},
      })
      const kinds = deviationsOf(vnc)
      if (kinds.length > 0)
        await admin.call('POST /api/exceptions', {
          body: {
            endpointId,
            kinds,
            reason: 'The panel’s VNC server is from 2011 and knows nothing better',
            compensatingControl: 'A network of its own, which only the gateway reaches',
            ownerId: adminId,
            expiresAt: inDays(180),
          },
        })
      if (!hasIdentity(vnc)) return { assetId: asset.id, endpointId }
      if (!identity) throw new Error('no host key or certificate was shown')
      await admin.call('POST /api/endpoints/:id/identity/accept', {
        params: { id: endpointId },
        body: { ...identity, reason: 'compared with the console' },
      })
      return { assetId: asset.id, endpointId }
    },
    async ticket(key, items, more = {}) {
      const now = Date.now()
      const jws = await tickets.sign([
        {
          key,
          title: more.title ?? 'Replace the gripper program',
          state: more.state ?? 'approved',
          plannedStart: new Date(now + (more.fromMs ?? -3_600_000)).toISOString(),
          plannedEnd: new Date(now + (more.toMs ?? 8 * 3_600_000)).toISOString(),
          items,
          link: null,
        },
      ])
      await admin.call('POST /api/ticket-files', { body: { siteId, jws } })
    },
    async stop() {
      await gateway.stop()
      await broker.stop()
      if (!options.dataDir) await rm(dataDir, { recursive: true, force: true })
    },
  }
  return plant
}

export const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString()
