import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { issueServerCertificate, makeSiteCa } from '../../broker/http/site-ca.ts'
import { ApiClient, type ConnectTo } from '../lab/api-client.ts'
import { type Namespace, type Network, netnsMissing, openNetwork } from '../lab/netns.ts'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { inDays } from '../lab/plant.ts'
import { Terminal } from '../lab/terminal.ts'
import { newTicketSigner } from '../lab/ticket-signer.ts'
import { until } from '../lab/until.ts'
import { type SallyportProcess, startSallyport } from './sallyport-process.ts'

const NAME = 'access.plant.example'
const WEB = 443
const LINK = 8444
const missing = opensshMissing() ?? (await netnsMissing())

/**
 * The plant as architecture.md draws it, each part on a machine of its own:
 *
 *   vendor --- broker --- gateway --- asset
 *                |
 *            database
 */
describe.skipIf(missing !== null)(
  `broker and gateway on machines of their own${missing ? ` (skipped: ${missing})` : ''}`,
  () => {
    let folder: string
    let network: Network
    let vendor: Namespace
    let brokerSide: Namespace
    let gatewaySide: Namespace
    let assetSide: Namespace
    let databaseSide: Namespace
    const address = { web: '', link: '', gatewayOut: '', gatewayIn: '', asset: '', database: '' }
    let database: ChildProcess
    let databaseUrl: string
    let broker: SallyportProcess
    let gateway: SallyportProcess | null = null
    let sshd: LabSshd
    let ca: string
    let at: { ca: string; connectTo: ConnectTo }

    beforeAll(async () => {
      folder = await mkdtemp(path.join(tmpdir(), 'sallyport-apart-'))
      await chmod(folder, 0o711)
      network = openNetwork()
      vendor = await network.add('vendor')
      brokerSide = await network.add('broker')
      gatewaySide = await network.add('gateway')
      assetSide = await network.add('asset')
      databaseSide = await network.add('database')
      ;[, address.web] = await network.cable(vendor, brokerSide, '88.1')
      ;[address.gatewayOut, address.link] = await network.cable(gatewaySide, brokerSide, '88.2')
      ;[address.gatewayIn, address.asset] = await network.cable(gatewaySide, assetSide, '88.3')
      ;[, address.database] = await network.cable(brokerSide, databaseSide, '88.4')

      database = spawn(
        '/usr/sbin/ip',
        [
          ...databaseSide.command.slice(1),
          process.execPath,
          fileURLToPath(new URL('./database-server.ts', import.meta.url)),
          path.join(folder, 'database'),
          address.database,
        ],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      )
      let printed = ''
      database.stdout?.setEncoding('utf8').on('data', (text: string) => {
        printed += text
      })
      await until(() => printed.includes('\n') || database.exitCode !== null, 'the database', 60_000)
      databaseUrl = printed.trim()
      expect(databaseUrl).toContain('postgres://')

      const authority = await makeSiteCa([NAME], Date.now())
      const server = await issueServerCertificate(authority, [NAME], Date.now())
      ca = authority.certificate
      await writeFile(path.join(folder, 'server.pem'), server.certificate)
      await writeFile(path.join(folder, 'server.key'), server.key, { mode: 0o600 })
      sshd = await startOpenssh({ inside: { command: assetSide.command, address: address.asset } })

      broker = startSallyport(['broker'], {
        inside: brokerSide.command,
        env: {
          DATABASE_URL: databaseUrl,
          SALLYPORT_DATA: path.join(folder, 'broker'),
          SALLYPORT_PUBLIC_NAME: NAME,
          SALLYPORT_CERTIFICATE: path.join(folder, 'server.pem'),
          SALLYPORT_CERTIFICATE_KEY: path.join(folder, 'server.key'),
          SALLYPORT_WEB_HOST: address.web,
          SALLYPORT_WEB_PORT: String(WEB),
          SALLYPORT_LINK_HOST: address.link,
          SALLYPORT_LINK_PORT: String(LINK),
          SALLYPORT_RESERVE_BYTES: '1048576',
          SALLYPORT_LOG_LEVEL: 'warn',
        },
      })
      await broker.says('First administrator')
      // The test sits at the vendor's desk: all its HTTP and WebSockets leave from that namespace.
      const socketPath = path.join(folder, 'desk.sock')
      await vendor.relay(socketPath, { host: address.web, port: WEB })
      at = { ca, connectTo: { socketPath } }
    })
    afterAll(async () => {
      await gateway?.stop()
      await broker?.stop()
      await sshd?.stop()
      if (database && database.exitCode === null) {
        const ended = new Promise((done) => database.once('exit', done))
        database.kill('SIGTERM')
        await ended
      }
      await network?.close()
      if (folder) await rm(folder, { recursive: true, force: true })
    })

    /** Local sockets that listen, TCP and UDP, of everything in the namespace. */
    async function listeners(of: Namespace): Promise<string[]> {
      const lines = await of.run('ss', '-H', '-ltun')
      return lines
        .split('\n')
        .map((line) => line.trim().split(/\s+/)[4] ?? '')
        .filter(Boolean)
        .sort()
    }

    /** Whether TCP from one namespace gets through: "connected", or the system's word for why not. */
    async function dial(from: Namespace, host: string, port: number): Promise<string> {
      const script = `const s = require('net').connect({ host: '${host}', port: ${port}, timeout: 1500 })
        s.on('connect', () => { console.log('connected'); process.exit() })
        s.on('timeout', () => { console.log('timeout'); process.exit() })
        s.on('error', (e) => { console.log(e.code); process.exit() })`
      return (await from.run(process.execPath, '-e', script)).trim()
    }

    it('a session goes through both, over a gateway without a listening port, on a database elsewhere', async () => {
      const admin = new ApiClient(`https://${NAME}`, at)
      const link = /https:\S+#\S+/.exec(broker.stdout())?.[0]
      if (!link) throw new Error(broker.stdout())
      const adminId = (await admin.setUp(link)).person.id
      const site = await admin.call('POST /api/sites', {
        body: { name: 'Body shop Graz', timeZone: 'Europe/Vienna', notice: 'This session is recorded.' },
      })
      const zone = (name: string, range: string) =>
        admin.call('POST /api/zones', { body: { siteId: site.id, name, ranges: [range] } })
      const dmz = await zone('Plant DMZ', '10.88.2.0/30')
      const cell = await zone('Robot cell 4', '10.88.3.0/30')
      await admin.call('POST /api/conduits', {
        body: {
          siteId: site.id,
          name: 'DMZ to cell 4',
          fromZoneId: dmz.id,
          toZoneId: cell.id,
          protocols: ['ssh'],
        },
      })

      // Enrolment, as an administrator does it: a token from the page, carried to the gateway's machine.
      const announced = await admin.call('POST /api/gateways', {
        body: { name: 'gateway-graz', siteId: site.id, zoneId: dmz.id },
      })
      gateway = startSallyport(['gateway'], {
        inside: gatewaySide.command,
        env: {
          SALLYPORT_GATEWAY_DATA: path.join(folder, 'gateway'),
          SALLYPORT_GATEWAY_NAME: 'gateway-graz',
          SALLYPORT_GATEWAY_BROKER: `https://${address.link}:${LINK}`,
          SALLYPORT_ENROLMENT_TOKEN: announced.enrolmentToken,
          SALLYPORT_GATEWAY_RESERVE_BYTES: '1048576',
          SALLYPORT_LOG_LEVEL: 'info',
        },
      })
      const child = gateway
      await until(
        async () => (await admin.call('GET /api/gateways', {}))[0]?.state === 'online',
        'the gateway is online',
        60_000,
      ).catch((error: Error) => {
        throw new Error(`${error.message}\n${child.stderr()}`)
      })

      // One desk, four people.
      const company = await admin.call('POST /api/vendors', {
        body: { name: 'Krantz Robotics', contractEndsAt: inDays(365), sponsorId: adminId, tier: '1' },
      })
      const person = async (
        name: string,
        vendorId: string | null,
        roles: ('vendor' | 'approver' | 'auditor')[],
      ) => {
        const made = await admin.call('POST /api/people', {
          body: {
            name,
            email: null,
            vendorId,
            accountEndsAt: vendorId ? inDays(90) : null,
            trainingValidUntil: vendorId ? inDays(90) : null,
            roles: roles.map((role) => ({ role, siteId: site.id })),
          },
        })
        const client = new ApiClient(`https://${NAME}`, at)
        await client.setUp(made.setUpLink)
        const listed = (await admin.call('GET /api/people', {})).items.find(
          (one) => one.id === made.person.id,
        )
        for (const passkey of listed?.passkeys ?? [])
          await admin.call('POST /api/people/:id/passkeys/:passkeyId/confirm', {
            params: { id: made.person.id, passkeyId: passkey.id },
            body: {},
          })
        return client
      }
      const vera = await person('Vera Vendor', company.id, ['vendor'])
      const paul = await person('Paul Plant', null, ['approver', 'auditor'])

      const asset = await admin.call('POST /api/assets', {
        body: {
          siteId: site.id,
          zoneId: cell.id,
          name: 'Robot 4-left',
          description: 'Welding robot',
          type: 'robot',
          criticality: 'C4',
          owner: 'Maintenance body shop',
          address: address.asset,
          consequence: { safety: 1, availability: 1, integrity: 1, confidentiality: 0, regulatory: 0 },
          hazard: 'The arm may move.',
          compensatingControls: 'Cell fenced',
          lastVerifiedAt: new Date().toISOString(),
        },
      })
      await admin.call('PATCH /api/assets/:id', {
        params: { id: asset.id },
        body: { gatewayId: announced.gateway.id, enabled: true, reason: 'commissioned' },
      })
      const { endpoints } = await admin.call('POST /api/assets/:id/endpoints', {
        params: { id: asset.id },
        body: { protocol: 'ssh', port: sshd.port },
      })
      const endpointId = endpoints[0]?.id ?? ''
      const { identity } = await admin.call('POST /api/endpoints/:id/identity/probe', {
        params: { id: endpointId },
        body: {},
      })
      if (!identity) throw new Error('no host key was shown')
      expect(sshd.fingerprints).toContainEqual(identity)
      await admin.call('POST /api/endpoints/:id/identity/accept', {
        params: { id: endpointId },
        body: { ...identity, reason: 'compared at the console' },
      })
      await admin.call('PUT /api/endpoints/:id/accounts/:account/credential', {
        params: { id: endpointId, account: sshd.user },
        body: { kind: 'password', password: sshd.password },
      })
      const signer = await newTicketSigner()
      await admin.call('POST /api/ticket-keys', {
        body: { siteId: site.id, name: 'Export', jwk: signer.jwk as { kty: string } },
      })
      const hour = 3_600_000
      await admin.call('POST /api/ticket-files', {
        body: {
          siteId: site.id,
          jws: await signer.sign([
            {
              key: 'CHG100',
              title: 'Gripper program',
              state: 'approved',
              plannedStart: new Date(Date.now() - hour).toISOString(),
              plannedEnd: new Date(Date.now() + 4 * hour).toISOString(),
              items: ['Robot 4-left'],
              link: null,
            },
          ]),
        },
      })
      const request = await vera.call('POST /api/requests', {
        body: {
          endpointId,
          account: sshd.user,
          features: [],
          purpose: 'Replace the gripper program',
          ticket: { system: 'file', key: 'CHG100' },
          window: {
            opensAt: new Date(Date.now() - 60_000).toISOString(),
            closesAt: new Date(Date.now() + hour).toISOString(),
          },
        },
      })
      await paul.decide(request.id, 'granted')
      const notice = await vera.call('GET /api/requests/:id/notice', { params: { id: request.id } })
      const opening = await vera.call('POST /api/requests/:id/session', {
        params: { id: request.id },
        body: { noticeVersion: notice.version },
      })
      const terminal = await Terminal.connect(opening, vera, at)
      terminal.start()
      await terminal.sees('$ ')
      terminal.type('echo apart-$((40+2))\n')
      await terminal.sees('apart-42')

      // While it runs: who listens where, and who talks to whom.
      expect(await listeners(gatewaySide)).toEqual([])
      expect(await listeners(brokerSide)).toEqual([`${address.web}:${WEB}`, `${address.link}:${LINK}`].sort())
      expect(await listeners(assetSide)).toEqual([`${address.asset}:${sshd.port}`])
      const toAsset = (await assetSide.run('ss', '-H', '-tn', 'state', 'established'))
        .split('\n')
        .map((line) => line.trim().split(/\s+/)[3] ?? '')
        .filter(Boolean)
      expect(toAsset.length).toBeGreaterThan(0)
      for (const peer of toAsset) expect(peer.startsWith(`${address.gatewayIn}:`), peer).toBe(true)

      terminal.leave()
      await until(
        async () =>
          (await paul.call('GET /api/sessions/:id', { params: { id: opening.sessionId } })).recording ===
          'complete',
        'the recording has arrived at the broker',
        30_000,
      )
      const session = await paul.call('GET /api/sessions/:id', { params: { id: opening.sessionId } })
      expect(session).toMatchObject({ state: 'closed', end: 'vendor-left' })
      const checked = await paul.call('POST /api/recordings/:id/verify', {
        params: { id: session.recordingId },
        body: {},
      })
      expect({
        verdict: checked.verdict,
        failed: checked.checks.filter((one) => one.result === 'failed'),
      }).toEqual({
        verdict: 'VALID',
        failed: [],
      })
      const { items } = await paul.call('GET /api/audit', {
        query: { session: opening.sessionId, limit: 200 },
      })
      const actions = items.map((entry) => entry.action)
      for (const action of ['session.start', 'credential.handed-out', 'session.live', 'session.end'])
        expect(actions).toContain(action)
      // All of it is in the plant's database; none was made beside it.
      expect(existsSync(path.join(folder, 'broker', 'database.json'))).toBe(false)
    })

    it('the vendor reaches the web port and nothing else, even with a route through the broker', async () => {
      expect(await dial(vendor, address.web, WEB)).toBe('connected')
      expect(await dial(vendor, address.web, LINK)).toBe('ECONNREFUSED')
      for (const host of [address.gatewayOut, address.gatewayIn, address.asset, address.database])
        expect(await dial(vendor, host, 22), host).toBe('ENETUNREACH')
      // Somebody on the vendor's side sets routes: the broker is no router.
      expect((await brokerSide.run('cat', '/proc/sys/net/ipv4/ip_forward')).trim()).toBe('0')
      await vendor.run('ip', 'route', 'add', 'default', 'via', address.web)
      try {
        expect(await dial(vendor, address.asset, sshd.port)).not.toBe('connected')
        expect(await dial(vendor, address.database, 5432)).not.toBe('connected')
      } finally {
        await vendor.run('ip', 'route', 'delete', 'default')
      }
    })

    it('only the gateway reaches the asset, and nobody reaches the gateway', async () => {
      expect(await dial(gatewaySide, address.asset, sshd.port)).toBe('connected')
      expect(await dial(brokerSide, address.asset, sshd.port)).toBe('ENETUNREACH')
      expect(await dial(databaseSide, address.asset, sshd.port)).toBe('ENETUNREACH')
      for (const port of [22, 80, 443, LINK])
        expect(await dial(brokerSide, address.gatewayOut, port), String(port)).toBe('ECONNREFUSED')
      expect(await dial(assetSide, address.gatewayIn, 22)).toBe('ECONNREFUSED')
      expect(await dial(gatewaySide, address.database, 5432)).toBe('ENETUNREACH')
    })

    it('the gateway holds no database password, no vault key and no credential', async () => {
      const pid = gateway?.pid ?? -1
      expect(await readFile(`/proc/${pid}/environ`, 'utf8')).not.toContain('DATABASE')
      const password = new URL(databaseUrl).password
      const vault = await readFile(path.join(folder, 'broker', 'keys', 'vault.key'))
      const files = (await gatewaySide.run('find', path.join(folder, 'gateway'), '-type', 'f'))
        .trim()
        .split('\n')
      expect(files.length).toBeGreaterThan(0)
      for (const file of files) {
        const content = await readFile(file)
        expect(content.includes(password), file).toBe(false)
        expect(content.includes(vault), file).toBe(false)
        expect(content.includes(sshd.password), file).toBe(false)
      }
    })

    it('both end cleanly when asked', async () => {
      expect(await gateway?.stop()).toBe(0)
      gateway = null
      expect(await broker.stop()).toBe(0)
      expect(await listeners(brokerSide)).toEqual([])
    })
  },
)
