import { once } from 'node:events'
import { request } from 'node:https'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { CONTROL_PROTOCOL, type ControlDown, type ControlUp } from '../../broker/contract/link.ts'
import { sha256 } from '../../broker/domain/canonical.ts'
import { systemClock } from '../../broker/domain/clock.ts'
import { newId } from '../../broker/domain/ids.ts'
import { createLinkCa, LINK_NAME } from '../../broker/link/link-authority.ts'
import { Completeness } from '../../broker/sessions/completeness.ts'
import { GatewayEvents } from '../../broker/sessions/gateway-events.ts'
import { enrol } from '../../gateway/enrol.ts'
import type { GatewayIdentity } from '../../gateway/identity/identity.ts'
import { anchorTree } from '../../recordings/format/anchor.ts'
import { until } from '../lab/until.ts'
import { gatewayCertificate } from './link-support.ts'
import { type Plant, startPlant } from './plant.ts'

interface Caller {
  certificate: string
  key: string
  ca: string
}

/** A control connection that says what the test wants. */
class FakeGateway {
  readonly ws: WebSocket
  readonly heard: ControlDown[] = []
  closed: { code: number; reason: string } | null = null

  constructor(port: number, caller: Caller) {
    this.ws = new WebSocket(`wss://127.0.0.1:${port}/link/v1/control`, CONTROL_PROTOCOL, {
      ca: caller.ca,
      cert: caller.certificate,
      key: caller.key,
      servername: LINK_NAME,
    } as object)
    this.ws.on('message', (data) => this.heard.push(JSON.parse(String(data)) as ControlDown))
    this.ws.on('close', (code, reason) => {
      this.closed = { code, reason: String(reason) }
    })
    this.ws.on('error', () => undefined)
  }

  async hello(change: Partial<ControlUp & { type: 'hello' }> = {}): Promise<this> {
    await once(this.ws, 'open')
    this.say({
      type: 'hello',
      link: 1,
      version: '0',
      boot: newId(),
      wall: Date.now(),
      sessions: [],
      ...change,
    })
    await until(() => this.heard.some((message) => message.type === 'welcome'), 'it is welcome')
    return this
  }

  say(message: ControlUp): void {
    this.ws.send(JSON.stringify(message))
  }

  acknowledged(seq: number): number {
    return this.heard.filter((message) => message.type === 'event-ack' && message.seq === seq).length
  }
}

let plant: Plant
let port: number
let identity: GatewayIdentity
let caller: Caller
let gatewayId: string

beforeAll(async () => {
  plant = await startPlant({}, { gateway: false })
  port = plant.broker.link.port
  const { token } = await announce('gateway-1')
  identity = await enrolAs(token, 'one')
  caller = callerOf(identity)
  gatewayId = identity.gateway
})
afterAll(() => plant?.close())

async function announce(name: string): Promise<{ token: string; id: string }> {
  await plant.admin.signIn()
  const made = await plant.admin.call('POST /api/gateways', {
    body: { name, siteId: plant.siteId, zoneId: plant.gatewayZoneId },
  })
  return { token: made.enrolmentToken, id: made.gateway.id }
}
const enrolAs = (token: string, folder: string, replace = false) =>
  enrol({
    token,
    broker: `https://127.0.0.1:${port}`,
    dataDir: path.join(plant.dataDir, folder),
    name: folder,
    ...(replace ? { replace } : {}),
  })
const callerOf = (of: GatewayIdentity): Caller => ({
  certificate: of.tls.certificate,
  key: of.tls.key.reveal(),
  ca: of.tls.ca,
})
const actions = async (action: string) =>
  (
    await plant.broker.store.db.sql<{ bytes: Buffer }[]>`
    SELECT bytes FROM audit.entry WHERE action = ${action} ORDER BY staged`
  ).map(
    (row) =>
      JSON.parse(String(row.bytes)) as {
        details: Record<string, unknown>
        object: { id: string }
        reason: string
      },
  )

/** Status of a plain request on the link port. */
function ask(
  method: string,
  url: string,
  who: Partial<Caller>,
  headers: Record<string, string> = {},
  body = '',
): Promise<number> {
  return new Promise((resolve, reject) => {
    const call = request(
      {
        host: '127.0.0.1',
        port,
        method,
        path: url,
        servername: LINK_NAME,
        ca: caller.ca,
        cert: who.certificate,
        key: who.key,
        agent: false,
        headers,
      },
      (answer) => {
        answer.resume()
        resolve(answer.statusCode ?? 0)
      },
    )
    call.on('error', reject)
    call.end(body)
  })
}

describe('enrolment', () => {
  it('a token works once, for the gateway that it was made for', async () => {
    const { token } = await announce('gateway-2')
    await enrolAs(token, 'two')
    await expect(enrolAs(token, 'two-again')).rejects.toMatchObject({ code: 'enrolment-refused' })
    const [secret, rest] = [token.slice(4, 47), token.slice(47)]
    await expect(enrolAs(`sp1.${[...secret].reverse().join('')}${rest}`, 'guess')).rejects.toMatchObject({
      code: 'enrolment-refused',
    })
    const rows = await plant.broker.store.db.sql`SELECT t::text AS row FROM enrolment_token t`
    expect(JSON.stringify(rows)).not.toContain(secret)
  })

  it('an hour later it is worth nothing', async () => {
    const { token, id } = await announce('gateway-late')
    await plant.broker.store.db.sql`
      UPDATE enrolment_token SET expires_at = now() - interval '1 second' WHERE gateway_id = ${id}`
    await expect(enrolAs(token, 'late')).rejects.toMatchObject({ code: 'enrolment-refused' })
  })

  it('enrolling again rotates the keys: the former certificate is out at once', async () => {
    const first = await announce('gateway-3')
    const before = callerOf(await enrolAs(first.token, 'three'))
    const link = await new FakeGateway(port, before).hello()
    const second = await announce('gateway-3')
    expect(second.id).toBe(first.id)
    const after = callerOf(await enrolAs(second.token, 'three', true))
    expect(await ask('GET', '/link/v1/x', before)).toBe(401)
    expect(await ask('GET', '/link/v1/x', after)).toBe(404)
    await until(() => link.closed !== null, 'the old link is closed')
  })
})

describe('what somebody must look at', () => {
  it('a certificate that ends soon', async () => {
    const { deps } = plant.broker.sessions
    const inAYear = { ...systemClock, wall: () => Date.now() + 350 * 86_400_000 }
    await new Completeness({ ...deps, clock: inAYear }).check()
    const alarms = await plant.broker.store.db.sql<{ kind: string }[]>`
      SELECT kind FROM alarm WHERE subject = ${`gateway ${gatewayId}`} AND closed_at IS NULL`
    expect(alarms.map((alarm) => alarm.kind)).toContain('gateway-certificate-ends')
  })
})

describe('who may speak', () => {
  it('nobody without a certificate of this CA that is in force', async () => {
    expect(await ask('GET', '/link/v1/x', {})).toBe(401)
    const foreign = await gatewayCertificate(await createLinkCa('other', Date.now()), gatewayId)
    expect(await ask('GET', '/link/v1/x', foreign)).toBe(401)
    // Signed by our own CA, but not the certificate of the last enrolment.
    const ours = await gatewayCertificate(plant.broker.keys.linkCa, gatewayId)
    expect(await ask('GET', '/link/v1/x', ours)).toBe(401)
    expect(await ask('GET', '/link/v1/x', caller)).toBe(404)
  })

  it('a row that somebody edited lets nobody in (threat 10)', async () => {
    const { token, id } = await announce('gateway-4')
    const four = callerOf(await enrolAs(token, 'four'))
    const mallory = await gatewayCertificate(plant.broker.keys.linkCa, id)
    await plant.broker.store.db.sql`UPDATE gateway SET certificate = ${mallory.fingerprint} WHERE id = ${id}`
    expect(await ask('GET', '/link/v1/x', mallory)).not.toBe(404)
    expect(await ask('GET', '/link/v1/x', four)).not.toBe(404)
    const alarms = await plant.broker.store.db.sql`SELECT kind FROM alarm WHERE subject = ${`gateway ${id}`}`
    expect(alarms).toMatchObject([{ kind: 'row-not-vouched-for' }])
  })

  it('and only in the words of the contract', async () => {
    for (const [text, why] of [
      ['{"type":"reboot"}', 'unknown-message'],
      ['not json', 'unknown-message'],
      [JSON.stringify({ type: 'health', extra: 1 }), 'unknown-message'],
    ] as const) {
      const link = await new FakeGateway(port, caller).hello()
      link.ws.send(text)
      await until(() => link.closed !== null, 'it is closed')
      expect(link.closed).toMatchObject({ code: 4000, reason: why })
    }
    const early = new FakeGateway(port, caller)
    await once(early.ws, 'open')
    early.say({ type: 'credential', id: 1, grant: newId(), session: newId() })
    await until(() => early.closed !== null, 'it is closed')
    expect(early.closed?.reason).toBe('out-of-order')
    const large = await new FakeGateway(port, caller).hello()
    large.ws.send('x'.repeat(300 * 1024))
    await until(() => large.closed !== null, 'it is closed')
    expect(large.closed?.code).not.toBe(1000)
  })

  it('a silent gateway is lost after three heartbeats', async () => {
    const link = await new FakeGateway(port, caller).hello()
    await until(() => plant.broker.gateways.online(gatewayId), 'it is online')
    link.ws.pause()
    await until(() => !plant.broker.gateways.online(gatewayId), 'it is not', 8_000)
    link.ws.terminate()
  })
})

describe('events', () => {
  it('count once, in order, and are acknowledged when they stand in the log', async () => {
    const boot = newId()
    const event = { kind: 'storage' as const, freeBytes: 5, reserveBytes: 10, below: true, at: 1 }
    const before = (await actions('gateway.storage')).length
    const link = await new FakeGateway(port, caller).hello({ boot })
    link.say({ type: 'event', seq: 7, event })
    await until(() => link.acknowledged(7) === 1, 'it is acknowledged')
    expect(await actions('gateway.storage')).toHaveLength(before + 1)
    const again = await new FakeGateway(port, caller).hello({ boot })
    again.say({ type: 'event', seq: 7, event })
    await until(() => again.acknowledged(7) === 1, 'it is acknowledged')
    expect(await actions('gateway.storage')).toHaveLength(before + 1)
    const [alarm] = await plant.broker.store.db
      .sql`SELECT closed_at FROM alarm WHERE kind = 'storage-below-reserve' AND subject = ${`gateway ${gatewayId}`}`
    expect(alarm).toMatchObject({ closed_at: null })
    again.say({ type: 'event', seq: 8, event: { ...event, below: false } })
    await until(() => again.acknowledged(8) === 1, 'it is acknowledged')
    again.ws.close()
  })

  it('of an earlier run are known again, so that a killed gateway says nothing twice', async () => {
    // Red without `boot` in `isFresh` of link/link.ts.
    const boot = newId()
    const event = { kind: 'refused-by-gateway' as const, session: null, code: newId(), at: 1 }
    const mine = async () =>
      (await actions('gateway.refused')).filter((entry) => entry.reason === event.code).length
    const link = await new FakeGateway(port, caller).hello({ boot })
    link.say({ type: 'event', seq: 3, event })
    await until(() => link.acknowledged(3) === 1, 'it is acknowledged')
    link.ws.terminate()
    const again = await new FakeGateway(port, caller).hello()
    again.say({ type: 'event', seq: 3, boot, event })
    again.say({ type: 'event', seq: 4, boot, event })
    again.say({ type: 'event', seq: 5, event })
    await until(() => again.acknowledged(5) === 1, 'all are acknowledged')
    expect(again.acknowledged(3)).toBe(1)
    expect(await mine()).toBe(3)
    again.ws.close()
  })

  it('that a person must look at are an entry and an alarm, which closes when it is acknowledged', async () => {
    const link = await new FakeGateway(port, caller).hello()
    const event = {
      kind: 'gateway-problem' as const,
      code: 'recording-unreadable' as const,
      detail: 'recording x: EIO',
      session: null,
      at: 1,
    }
    const open = () => plant.broker.store.db.sql<{ id: string; message: string; site: string | null }[]>`
      SELECT id, message, site_id AS site FROM alarm
      WHERE kind = 'recording-unreadable' AND subject = ${`gateway ${gatewayId}`} AND closed_at IS NULL`
    link.say({ type: 'event', seq: 0, event })
    await until(() => link.acknowledged(0) === 1, 'it is acknowledged')
    expect((await actions('gateway.problem')).at(-1)).toMatchObject({
      reason: event.detail,
      object: { kind: 'gateway', id: gatewayId },
      details: { code: event.code },
    })
    const [alarm] = await open()
    expect(alarm).toMatchObject({ site: plant.siteId, message: expect.stringContaining('look at the disk') })
    await plant.admin.signIn()
    await plant.admin.call('POST /api/alarms/:id/acknowledge', {
      params: { id: alarm?.id ?? '' },
      body: { reason: 'The disk was replaced.' },
    })
    expect(await open()).toEqual([])
    link.say({ type: 'event', seq: 1, event })
    await until(() => link.acknowledged(1) === 1, 'it is acknowledged')
    expect(await open()).toHaveLength(1)
    link.say({
      type: 'health',
      wall: Date.now(),
      sessions: 0,
      freeBytes: 1,
      reserveBytes: 1,
      spooledRecordings: 0,
      rssBytes: 1,
      workers: { running: 1, configured: 4 },
    })
    await until(async () => {
      const { gateways } = await plant.admin.call('GET /api/health', {})
      return gateways.find(({ id }) => id === gatewayId)?.workers?.running === 1
    }, 'fewer threads are shown')
    link.ws.close()
  })

  it('one that cannot be stored leaves a trace and stands before nothing else', async () => {
    // Red without `setAside` in link/event-inbox.ts: the next event is never taken.
    const link = await new FakeGateway(port, caller).hello()
    const heads = [
      { recording: newId(), stream: 'screen' as const, segment: 0, seq: 2 ** 32 - 1, c: '00'.repeat(32) },
    ]
    const root = anchorTree(heads)?.root.toString('hex') ?? ''
    const anchor = { kind: 'anchor' as const, root, size: 1, heads, at: 1 }
    link.say({ type: 'event', seq: 0, event: anchor })
    const storage = { kind: 'storage' as const, freeBytes: 5, reserveBytes: 10, below: false, at: 1 }
    link.say({ type: 'event', seq: 1, event: storage })
    await until(() => link.acknowledged(0) === 1 && link.acknowledged(1) === 1, 'both are acknowledged')
    expect((await actions('gateway.event-unreadable')).at(-1)).toMatchObject({
      object: { id: gatewayId },
      details: { seq: 0, kind: 'anchor', hash: sha256(JSON.stringify(anchor)).toString('hex') },
    })
    const alarms = await plant.broker.store.db.sql`
      SELECT 1 FROM alarm WHERE kind = 'gateway-event-unreadable' AND closed_at IS NULL`
    expect(alarms).toHaveLength(1)
    link.ws.close()
  })

  it('text that no row can hold is brought into a form that it can', async () => {
    const link = await new FakeGateway(port, caller).hello()
    link.say({
      type: 'event',
      seq: 0,
      event: { kind: 'refused-by-gateway', session: null, code: 'a\0b\ud800', at: 1 } as never,
    })
    await until(() => link.acknowledged(0) === 1, 'it is acknowledged')
    expect((await actions('gateway.refused')).at(-1)?.reason).toBe('a\ufffdb\ufffd')
    link.ws.close()
  })

  it("about somebody else's session change nothing and are told", async () => {
    const link = await new FakeGateway(port, caller).hello()
    const session = newId()
    link.say({
      type: 'event',
      seq: 0,
      event: {
        kind: 'session-closed',
        session,
        end: 'vendor-left',
        message: '',
        by: null,
        closedAfterMs: null,
        bytesOut: 0,
        bytesIn: 0,
        at: 1,
      },
    })
    await until(() => link.acknowledged(0) === 1, 'it is acknowledged')
    expect((await actions('gateway.out-of-place')).some((entry) => entry.object.id === session)).toBe(true)
    link.ws.close()
  })

  it('anchors: the root must be the one over the heads; each head keeps its proof', async () => {
    const link = await new FakeGateway(port, caller).hello()
    const heads = ['screen', 'input', 'screen'].map((stream, n) => ({
      recording: newId(),
      stream: stream as 'screen' | 'input',
      segment: n,
      seq: 9,
      c: Buffer.alloc(32, n).toString('hex'),
    }))
    const tree = anchorTree(heads)
    if (!tree) throw new Error('no tree')
    const root = tree.root.toString('hex')
    link.say({ type: 'event', seq: 0, event: { kind: 'anchor', root, size: 3, heads, at: 1 } })
    link.say({
      type: 'event',
      seq: 1,
      event: { kind: 'anchor', root: '00'.repeat(32), size: 3, heads, at: 1 },
    })
    await until(() => link.acknowledged(1) === 1, 'both are acknowledged')
    const anchored = await actions('recording.anchor')
    expect(anchored.at(-1)?.details).toMatchObject({ root, size: 3 })
    expect((await actions('recording.anchor-refused')).at(-1)?.details).toMatchObject({ size: 3 })
    const kept = await plant.broker.store.db.sql<{ index: number; path: string[] }[]>`
      SELECT leaf_index AS index, path FROM anchor_head WHERE recording_id = ${heads[1]?.recording ?? ''}`
    const place = tree.heads.findIndex((head) => head.recording === heads[1]?.recording)
    expect(kept).toMatchObject([
      { index: place, path: tree.proof(place).path.map((node) => node.toString('hex')) },
    ])
    link.ws.close()
  })

  it('a clock that is apart is told and counts for new sessions', async () => {
    const link = await new FakeGateway(port, caller).hello({ wall: Date.now() + 90_000 })
    await until(
      async () => (await actions('clock.anomaly')).some((entry) => entry.object.id === gatewayId),
      'it is told',
    )
    const runtime = await plant.broker.sessions.runtime(gatewayId, null, null)
    expect(runtime).toMatchObject({ gatewayOnline: true, clock: 'apart' })
    link.ws.close()
    await until(() => !plant.broker.gateways.online(gatewayId), 'it is gone')
  })
})

describe('what a gateway asks and tells beside its events', () => {
  it('has an end too: the log belongs to all', async () => {
    // Red without `#tooMany` in link/link.ts and TELL_EVERY_MS in link/link-clocks.ts.
    const { token } = await announce('flooding')
    const flooding = await enrolAs(token, 'flooding')
    const link = await new FakeGateway(port, callerOf(flooding)).hello()
    const health = { sessions: 0, freeBytes: 1, reserveBytes: 1, spooledRecordings: 0, rssBytes: 1 }
    const asks = 1_000
    const since = performance.now()
    for (let n = 1; n <= asks; n += 1) {
      link.say({ type: 'health', wall: Date.now() + (n % 2) * 3_600_000, ...health })
      link.say({ type: 'credential', id: n, grant: newId(), session: newId() })
    }
    const answers = () => link.heard.filter((message) => message.type === 'credential')
    await until(() => answers().length === asks, 'all are answered', 60_000)
    const refused = answers().filter((answer) => 'code' in answer && answer.code === 'too-many')
    // 300 at once and five a second, as long as it took.
    const atMost = () => 301 + ((performance.now() - since) / 1_000) * 5
    expect(refused.length).toBeGreaterThanOrEqual(asks - atMost())
    const mine = async (action: string) =>
      (
        await plant.broker.store.db.sql`
        SELECT 1 FROM audit.entry WHERE action = ${action} AND position(${Buffer.from(flooding.gateway)}::bytea IN bytes) > 0`
      ).length
    expect(await mine('credential.refused')).toBeLessThanOrEqual(atMost())
    expect((await mine('clock.anomaly')) + (await mine('clock.agrees'))).toBeLessThanOrEqual(2)
    await until(async () => {
      const alarms = await plant.broker.store.db.sql`
        SELECT 1 FROM alarm WHERE kind = 'gateway-events' AND subject = ${`gateway ${flooding.gateway}`}`
      return alarms.length === 1
    }, 'there is an alarm')
    link.ws.close()
  })
})

describe('credentials and evidence', () => {
  it('no credential for a session that is not there, or not this gateway’s', async () => {
    const link = await new FakeGateway(port, caller).hello()
    link.say({ type: 'credential', id: 1, grant: newId(), session: newId() })
    await until(() => link.heard.some((message) => message.type === 'credential'), 'it is answered')
    expect(link.heard.find((message) => message.type === 'credential')).toMatchObject({
      ok: false,
      code: 'not-yours',
      jwe: null,
    })
    expect((await actions('credential.refused')).at(-1)?.reason).toBe('not-yours')
    link.ws.close()
    const events = new GatewayEvents(plant.broker.sessions, plant.broker.renewals)
    expect(await events.ownsRecording(gatewayId, newId())).toBe(false)
  })

  it('evidence only for its own recordings, within its limits', async () => {
    const recording = newId()
    const sha = { 'x-sallyport-sha256': '0'.repeat(64) }
    const file = `/link/v1/evidence/${recording}/screen/0.spr`
    expect(await ask('PUT', file, {}, sha, 'x')).toBe(401)
    expect(await ask('PUT', file, caller, sha, 'x')).toBe(403)
    expect(await ask('PUT', file, caller, {}, 'x')).toBe(400)
    expect(await ask('PUT', file, caller, { ...sha, 'content-length': '99999999999' })).toBe(413)
    expect(await ask('PUT', `/link/v1/evidence/${recording}/../../x`, caller, sha, 'x')).toBe(404)
    expect(await ask('PUT', `/link/v1/evidence/${recording}/screen/%2e%2e.spr`, caller, sha, 'x')).toBe(404)
    expect(await ask('GET', file, caller, sha)).toBe(404)
  })
})
