import { randomInt } from 'node:crypto'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RunningBroker } from '../../broker/broker.ts'
import { Secret } from '../../broker/domain/secret.ts'
import { type EmbeddedPostgres, startEmbedded } from '../../broker/store/embedded.ts'
import { openDatabase } from '../../broker/store/sql.ts'
import { enrol } from '../../gateway/enrol.ts'
import { type RunningGateway, startGateway } from '../../gateway/gateway.ts'
import type { ApiClient } from '../lab/api-client.ts'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { readNotice } from '../lab/read-notice.ts'
import { Terminal } from '../lab/terminal.ts'
import { until } from '../lab/until.ts'
import { type Plant, startPlant } from './plant.ts'

/*
 * Two brokers on one PostgreSQL, with one gateway that is linked to both. Whatever one of them did, the other knows: a
 * browser may be sent to either of them with every request.
 */

const missing = opensshMissing()

describe.skipIf(missing !== null)(`two brokers${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let folder: string
  let database: EmbeddedPostgres
  let plant: Plant
  let b: RunningBroker
  let gateway: RunningGateway
  let sshd: LabSshd
  const target = { endpointId: '', account: '', ci: 'Robot cell 4' }
  const atB = (who: ApiClient) => who.at({ host: '127.0.0.1', port: b.web.port })

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'sallyport-two-brokers-'))
    await chmod(folder, 0o711)
    const address = `127.${randomInt(64, 128)}.${randomInt(256)}.${randomInt(1, 255)}`
    const hba = path.join(folder, 'pg_hba.conf')
    await writeFile(hba, 'local all all scram-sha-256\nhost all all 127.0.0.0/8 scram-sha-256\n', {
      mode: 0o644,
    })
    database = await startEmbedded({
      dataDir: path.join(folder, 'database'),
      settings: { fsync: 'off', listen_addresses: address, hba_file: hba },
    })
    const server = openDatabase(database.connection('postgres', 'postgres'), { max: 1 })
    await server.sql.unsafe(`CREATE ROLE plant_owner LOGIN CREATEROLE PASSWORD 'owner-password'`)
    await server.sql.unsafe('DROP DATABASE sallyport')
    await server.sql.unsafe('DROP ROLE sallyport_app')
    await server.sql.unsafe('CREATE DATABASE plant OWNER plant_owner')
    await server.close()
    const ownerUrl = new Secret(`postgres://plant_owner:owner-password@${address}:5432/plant`)
    plant = await startPlant({ ownerUrl }, { gateway: false })
    b = await plant.anotherBroker()
    const { enrolmentToken: token } = await plant.admin.call('POST /api/gateways', {
      body: { name: 'gateway-1', siteId: plant.siteId, zoneId: plant.gatewayZoneId },
    })
    const brokers = [plant.broker, b].map(({ link }) => `https://127.0.0.1:${link.port}`)
    const dataDir = path.join(folder, 'gateway')
    // Its token was made by one broker and is redeemed at the other.
    await enrol({ token, broker: brokers[1] ?? '', dataDir, name: 'gateway-1' })
    gateway = await startGateway({ dataDir, brokers, workers: 1, reserveBytes: 0, healthEveryMs: 500 })
    await until(() => gateway.links().length === 2, 'the gateway is linked to both')
    sshd = await startOpenssh()
    const { endpointId } = await plant.asset({
      name: target.ci,
      port: sshd.port,
      account: sshd.user,
      password: sshd.password,
    })
    Object.assign(target, { endpointId, account: sshd.user })
  })
  afterAll(async () => {
    await gateway?.stop()
    await plant?.close()
    await database?.stop()
    await sshd?.stop()
    await rm(folder, { recursive: true, force: true })
  })

  const openAt = async (broker: RunningBroker, who: ApiClient, request: string) => {
    const opening = await plant.open(request, who)
    const terminal = await Terminal.connect(opening, who, {
      ca: broker.siteCa ?? '',
      connectTo: { host: '127.0.0.1', port: broker.web.port },
    })
    terminal.start()
    await until(() => terminal.output.includes('$ '), 'a prompt')
    return { id: opening.sessionId, terminal }
  }

  it('a sign-in at one is one at the other, and so is its end', async () => {
    const paul = atB(plant.approver)
    expect((await paul.me()).person.name).toBe('Paul Plant')
    await plant.approver.call('POST /api/sign-out', { body: {} })
    expect((await paul.ask('GET /api/me', {})).status).toBe(401)
    await paul.signIn()
    expect((await plant.approver.me()).person.name).toBe('Paul Plant')
  })

  it('asked at one, approved at the other, opened at the first, stopped from the second', async () => {
    const vera = atB(plant.vendor)
    await vera.me()
    await plant.tickets([
      {
        key: 'CHG7',
        title: 'Maintenance',
        state: 'approved',
        plannedStart: new Date(Date.now() - 3_600_000).toISOString(),
        plannedEnd: new Date(Date.now() + 8 * 3_600_000).toISOString(),
        items: [target.ci],
        link: null,
      },
    ])
    const { id: request } = await vera.call('POST /api/requests', {
      body: {
        endpointId: target.endpointId,
        account: target.account,
        features: [],
        purpose: 'Update the firmware',
        ticket: { system: 'file', key: 'CHG7' },
        window: {
          opensAt: new Date(Date.now() - 60_000).toISOString(),
          closesAt: new Date(Date.now() + 3_600_000).toISOString(),
        },
      },
    })
    await plant.approver.decide(request, 'granted')
    const { id, terminal } = await openAt(b, vera, request)
    const seen = await plant.approver.call('GET /api/sessions', { query: { live: 'true' } })
    expect(seen.items.map((one) => one.id)).toContain(id)
    // The first broker is not told by the second; it finds the session in the database.
    await until(() => plant.broker.sessions.live.get(id) !== undefined, 'the other renews it too', 60_000)
    const stopped = await plant.approver.call('POST /api/sessions/:id/stop', { params: { id }, body: {} })
    expect(stopped.closedAfterMs).toBeLessThan(5_000)
    await until(() => terminal.closed !== null, 'the browser hears it')
    await until(
      async () =>
        (await atB(plant.approver).call('GET /api/sessions/:id', { params: { id } })).state === 'closed',
      'both know the end',
    )
    const again = await (await readNotice(vera, request))()
    expect(again.status).toBe(403)
    expect(JSON.stringify(again.body)).toContain('operator-stopped')
  })

  it('two people who press "start" at two brokers at once: one of them gets the endpoint', async () => {
    const request = await plant.approved(target)
    const answers = await Promise.all(
      [plant.vendor, atB(plant.vendor)].map(async (who) => (await readNotice(who, request))()),
    )
    expect(answers.map(({ status }) => status).sort()).toEqual([200, expect.any(Number)])
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    const opened = answers.find(({ status }) => status === 200)?.body.sessionId ?? ''
    await plant.approver.call('POST /api/sessions/:id/stop', { params: { id: opened }, body: {} })
  })

  it('a broker goes away: its session goes on at the other, which renews it', async () => {
    const request = await plant.approved(target)
    const vera = atB(plant.vendor)
    await vera.me()
    const { id } = await openAt(b, vera, request)
    await b.stop()
    const back = await plant.vendor.call('POST /api/sessions/:id/attach', { params: { id }, body: {} })
    const terminal = await plant.socket(back, plant.vendor)
    terminal.start()
    terminal.type('echo still-$((1+1))\n')
    await until(() => terminal.output.includes('still-2'), 'it answers')
    const known = () => plant.broker.sessions.live.get(id)
    await until(() => known() !== undefined && known()?.lostAt === null, 'it is renewed here')
    const before = known()?.decideAt ?? 0
    await until(() => (known()?.decideAt ?? 0) > before, 'it is renewed again', 60_000)
    terminal.type('echo alive-$((2+2))\n')
    await until(() => terminal.output.includes('alive-4'), 'it answers')
    await plant.approver.call('POST /api/sessions/:id/stop', { params: { id }, body: {} })
  })

  it('the log is one log, and nothing in it is amiss', async () => {
    const { audit, store } = plant.broker
    expect(await store.db.sql`SELECT kind, subject FROM alarm WHERE closed_at IS NULL`).toEqual([])
    await audit.checkpoint()
    expect(audit.health().broken).toBeNull()
  })
})
