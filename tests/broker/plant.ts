import { generateKeyPairSync } from 'node:crypto'
import { chmod, cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { CompactSign, calculateJwkThumbprint, type JWK } from 'jose'
import { pino } from 'pino'
import { TICKET_FILE_TYPE } from '../../approvals/tickets/ticket-file.ts'
import { type BrokerConfig, type RunningBroker, startBroker } from '../../broker/broker.ts'
import type { Answer } from '../../broker/contract/api/index.ts'
import { enrol } from '../../gateway/enrol.ts'
import { type RunningGateway, startGateway } from '../../gateway/gateway.ts'
import { rooms } from '../../main.ts'
import { ApiClient } from '../lab/api-client.ts'
import { NO_POWER_CUT, readyDatabase } from '../lab/ready-database.ts'
import { Terminal } from '../lab/terminal.ts'

export const NAME = 'plant.test'

/** A whole installation in this process: broker with its own PostgreSQL, one gateway, three people with passkeys. */
export interface Plant {
  broker: RunningBroker
  gateway: RunningGateway
  dataDir: string
  admin: ApiClient
  vendor: ApiClient
  approver: ApiClient
  vendorId: string
  vendorPersonId: string
  siteId: string
  gatewayZoneId: string
  /** A client of somebody who has no account yet. */
  client(): ApiClient
  asset(of: {
    name: string
    port: number
    account: string
    password: string
    criticality?: 'C1' | 'C2' | 'C3' | 'C4'
  }): Promise<{
    assetId: string
    endpointId: string
  }>
  /** Approved and open: `minutes` from now to the window's end. */
  approved(of: { endpointId: string; account: string; ci: string; minutes?: number }): Promise<string>
  tickets(tickets: Record<string, unknown>[]): Promise<void>
  open(requestId: string, who?: ApiClient): Promise<Answer<'POST /api/requests/:id/session'>>
  socket(
    opening: { socket: string; ticket: string },
    who: ApiClient,
    change?: { origin?: string },
  ): Promise<Terminal>
  /** Another broker of the same installation: its own data folder with the same keys; the database must be external. */
  anotherBroker(): Promise<RunningBroker>
  /** Stops the broker and starts it again on the same folder and ports; the gateway and its sessions go on. */
  restartBroker(): Promise<void>
  close(): Promise<void>
}

export async function startPlant(
  change: Partial<BrokerConfig> = {},
  options: { gateway?: false; anchorEveryMs?: number } = {},
): Promise<Plant> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'sallyport-plant-'))
  // The database runs as another user when the tests are root; what it may not reach would go to /var/lib and stay.
  await chmod(dataDir, 0o711)
  const settings: BrokerConfig = {
    dataDir: path.join(dataDir, 'broker'),
    publicUrl: `https://${NAME}`,
    deploymentName: 'Test plant',
    version: '0.0.0',
    web: { host: '127.0.0.1', port: 0 },
    link: { host: '127.0.0.1', port: 0 },
    webDir: null,
    providers: [],
    limits: { signIn: { burst: 1000, perSecond: 1000 }, address: { burst: 10_000, perSecond: 10_000 } },
    logger: pino({ level: process.env.PLANT_LOG ?? 'silent' }, pino.destination(2)),
    postgresSettings: NO_POWER_CUT,
    ...change,
  }
  const house = rooms({ recordings: path.join(dataDir, 'recordings'), reserveBytes: 0, ticketFolder: null })
  if (!settings.ownerUrl) await readyDatabase(settings.dataDir)
  let broker = await startBroker(settings, house)
  const client = () =>
    new ApiClient(broker.origin.origin, {
      ca: broker.siteCa ?? '',
      connectTo: { host: '127.0.0.1', port: broker.web.port },
    })
  let gateway: RunningGateway | null = null
  const others: RunningBroker[] = []
  const close = async () => {
    await gateway?.stop()
    for (const other of others) await other.stop()
    await broker.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
  try {
    const admin = client()
    const first = await broker.identity.ensureFirstAdministrator()
    if (!first) throw new Error('there is an administrator already')
    const me = await admin.setUp(first.setUpLink)
    const token = await broker.firstGateway({
      site: 'Hamburg',
      timeZone: 'Europe/Berlin',
      zone: 'DMZ',
      gateway: 'gateway-1',
    })
    if (!token) throw new Error('there is a gateway already')
    const folder = path.join(dataDir, 'gateway')
    const linkUrl = `https://127.0.0.1:${broker.link.port}`
    if (options.gateway !== false) {
      await enrol({ token: token.token, broker: linkUrl, dataDir: folder, name: 'gateway-1' })
      gateway = await startGateway({
        dataDir: folder,
        workers: 1,
        reserveBytes: 0,
        healthEveryMs: 500,
        anchorEveryMs: options.anchorEveryMs ?? 1_000,
      })
    }
    const [site] = await admin.call('GET /api/sites', {})
    const [zone] = await admin.call('GET /api/zones', {})
    if (!site || !zone) throw new Error('no site')
    const assetZone = await admin.call('POST /api/zones', {
      body: { siteId: site.id, name: 'Cell 4', ranges: ['127.0.0.0/8'] },
    })
    await admin.call('POST /api/conduits', {
      body: {
        siteId: site.id,
        name: 'DMZ to cell 4',
        fromZoneId: zone.id,
        toZoneId: assetZone.id,
        protocols: ['ssh'],
      },
    })
    const company = await admin.call('POST /api/vendors', {
      body: {
        name: 'Robotics AG',
        contractEndsAt: new Date(Date.now() + 365 * 86_400_000).toISOString(),
        sponsorId: me.person.id,
        tier: '1',
      },
    })
    const add = async (
      name: string,
      vendorId: string | null,
      roles: ('vendor' | 'approver' | 'operator' | 'auditor')[],
    ) => {
      const made = await admin.call('POST /api/people', {
        body: {
          name,
          email: null,
          vendorId,
          accountEndsAt: null,
          trainingValidUntil: new Date(Date.now() + 30 * 86_400_000).toISOString(),
          roles: roles.map((role) => ({ role, siteId: site.id })),
        },
      })
      const person = client()
      await person.setUp(made.setUpLink)
      return { person, id: made.person.id }
    }
    const vendor = await add('Vera Vendor', company.id, ['vendor'])
    const approver = await add('Paul Plant', null, ['approver', 'operator', 'auditor'])
    const people = await admin.call('GET /api/people', { query: {} })
    const paul = people.items.find((person) => person.id === approver.id)
    await admin.call('POST /api/people/:id/passkeys/:passkeyId/confirm', {
      params: { id: approver.id, passkeyId: paul?.passkeys[0]?.id ?? '' },
      body: {},
    })
    const pair = generateKeyPairSync('ed25519')
    const jwk = pair.publicKey.export({ format: 'jwk' }) as JWK
    const kid = await calculateJwkThumbprint(jwk)
    await admin.call('POST /api/ticket-keys', {
      body: { siteId: site.id, name: 'Export', jwk: jwk as { kty: string } },
    })
    let issued = Math.floor(Date.now() / 1000) - 3_600

    const plant: Plant = {
      broker,
      gateway: gateway as RunningGateway,
      dataDir,
      admin,
      vendor: vendor.person,
      approver: approver.person,
      vendorId: company.id,
      vendorPersonId: vendor.id,
      siteId: site.id,
      gatewayZoneId: zone.id,
      client,
      async asset({ name, port, account, password, criticality = 'C4' }) {
        const asset = await admin.call('POST /api/assets', {
          body: {
            siteId: site.id,
            zoneId: assetZone.id,
            name,
            description: 'Robot controller',
            type: 'robot',
            criticality,
            owner: 'Otto Owner',
            address: '127.0.0.1',
            consequence: { safety: 1, availability: 1, integrity: 1, confidentiality: 1, regulatory: 1 },
            hazard: 'The arm may move.',
            compensatingControls: '',
            lastVerifiedAt: null,
          },
        })
        const gateways = await admin.call('GET /api/gateways', {})
        await admin.call('PATCH /api/assets/:id', {
          params: { id: asset.id },
          body: { gatewayId: gateways[0]?.id ?? '', reason: 'near' },
        })
        const { endpoints } = await admin.call('POST /api/assets/:id/endpoints', {
          params: { id: asset.id },
          body: { protocol: 'ssh', port },
        })
        const endpointId = endpoints[0]?.id ?? ''
        const { identity } = await admin.call('POST /api/endpoints/:id/identity/probe', {
          params: { id: endpointId },
          body: {},
        })
        if (!identity) throw new Error('no host key was shown')
        await admin.call('POST /api/endpoints/:id/identity/accept', {
          params: { id: endpointId },
          body: { ...identity, reason: 'compared at the console' },
        })
        await admin.call('PUT /api/endpoints/:id/accounts/:account/credential', {
          params: { id: endpointId, account },
          body: { kind: 'password', password },
        })
        return { assetId: asset.id, endpointId }
      },
      async tickets(tickets) {
        issued += 60
        const jws = await new CompactSign(new TextEncoder().encode(JSON.stringify({ v: 1, tickets })))
          .setProtectedHeader({
            alg: 'Ed25519',
            typ: TICKET_FILE_TYPE,
            cty: 'application/json',
            kid,
            iat: issued,
          })
          .sign(pair.privateKey)
        await approver.person.call('POST /api/ticket-files', { body: { siteId: site.id, jws } })
      },
      async approved({ endpointId, account, ci, minutes = 60 }) {
        const key = `CHG${Math.floor(Math.random() * 1e9)}`
        await plant.tickets([
          {
            key,
            title: 'Maintenance',
            state: 'approved',
            plannedStart: new Date(Date.now() - 3_600_000).toISOString(),
            plannedEnd: new Date(Date.now() + 8 * 3_600_000).toISOString(),
            items: [ci],
            link: null,
          },
        ])
        const request = await vendor.person.call('POST /api/requests', {
          body: {
            endpointId,
            account,
            features: [],
            purpose: 'Update the firmware',
            ticket: { system: 'file', key },
            window: {
              opensAt: new Date(Date.now() - 60_000).toISOString(),
              closesAt: new Date(Date.now() + minutes * 60_000).toISOString(),
            },
          },
        })
        await approver.person.decide(request.id, 'granted')
        return request.id
      },
      async open(requestId, who = vendor.person) {
        const notice = await who.call('GET /api/requests/:id/notice', { params: { id: requestId } })
        return await who.call('POST /api/requests/:id/session', {
          params: { id: requestId },
          body: { noticeVersion: notice.version },
        })
      },
      socket: (opening, who, socketChange = {}) =>
        Terminal.connect(opening, who, {
          ca: broker.siteCa ?? '',
          connectTo: { host: '127.0.0.1', port: broker.web.port },
          ...socketChange,
        }),
      async anotherBroker() {
        const folder = path.join(dataDir, `broker-${others.length + 2}`)
        await mkdir(folder, { mode: 0o700 })
        for (const name of ['keys', 'tls'])
          await cp(path.join(settings.dataDir, name), path.join(folder, name), { recursive: true })
        const other = await startBroker({ ...settings, dataDir: folder }, house)
        others.push(other)
        return other
      },
      async restartBroker() {
        const { web, link } = broker
        await broker.stop()
        broker = await startBroker({ ...settings, web, link }, house)
        plant.broker = broker
      },
      close,
    }
    return plant
  } catch (error) {
    await close()
    throw error
  }
}
