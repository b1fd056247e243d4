import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { JWS_TYPES } from '../../broker/domain/grant.ts'
import { newId } from '../../broker/domain/ids.ts'
import { enrol } from '../../gateway/enrol.ts'
import { type RunningGateway, startGateway } from '../../gateway/gateway.ts'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { until } from '../lab/until.ts'
import { type House, openSession } from './house.ts'
import { TestBroker } from './test-broker.ts'

const missing = opensshMissing()

describe.skipIf(missing)(`two brokers${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let lab: LabSshd
  let a: TestBroker
  let b: TestBroker
  let gateway: RunningGateway
  let dataDir: string
  beforeAll(async () => {
    lab = await startOpenssh()
    a = await TestBroker.start()
    dataDir = await mkdtemp(join(tmpdir(), 'sallyport-two-'))
    await enrol({ token: a.token, broker: a.url, dataDir, name: 'gw' })
    b = await TestBroker.start(a)
    gateway = await startGateway({ dataDir, brokers: [a.url, b.url], workers: 1, reserveBytes: 1024 * 1024 })
    await until(() => gateway.links().length === 2, 'both links')
  })
  afterAll(async () => {
    await gateway?.stop()
    await a?.stop().catch(() => {})
    await b?.stop()
    await rm(dataDir, { recursive: true, force: true })
    await lab?.stop()
  })

  it('a ticket used at one is used up at the other; a stop by the other works; events follow the link', async () => {
    const { grant, browser } = await openSession({ broker: a } as House, lab)
    browser.type('echo first-$((1+1))\n')
    await browser.sees('first-2')
    const watch = a.ticket(grant, 'watch', { person: newId(), personName: 'Olga' })
    const ticket = await a.sign(JWS_TYPES.ticket, watch)
    expect((await a.browserWith(grant, ticket)).refused).toBeNull()
    expect((await b.browserWith(grant, ticket)).refused).toBe(403)
    // The same session opened by both is one session.
    expect(await b.open(grant)).toMatchObject({ ok: false, code: 'already-open' })
    const events = (broker: TestBroker) => broker.eventsOf('refused-by-gateway', grant.session).length
    await until(() => events(a) + events(b) >= 2)
    // Broker A goes away for good, and the browser's splice with it.
    await a.cutLink()
    await until(() => gateway.links().length === 1)
    const back = await b.browser(grant, 'attach')
    back.start()
    await back.sees('first-2')
    expect(await b.command(grant, 'stop')).toMatchObject({ ok: true })
    expect((await b.closed(grant)).end).toBe('operator-stopped')
    await until(() => b.receipts.has(grant.recording), 'receipt from the broker that is left', 20_000)
  })

  it('a key that the broker has dropped signs nothing any more', async () => {
    const old = b.signing
    const { generateKeyPairSync, randomUUID } = await import('node:crypto')
    const pair = generateKeyPairSync('ed25519')
    b.signing = {
      kid: randomUUID(),
      x: pair.publicKey.export({ format: 'jwk' }).x ?? '',
      privateKey: pair.privateKey,
    }
    b.control!.send({ type: 'welcome', gateway: b.gateway, wall: Date.now(), brokerKeys: b.brokerKeys() })
    const grant = b.grant(lab)
    const signed = async (key: typeof old) => [
      await b.sign(JWS_TYPES.grant, grant, key),
      await b.sign(JWS_TYPES.lease, b.lease(grant), key),
    ]
    const [oldGrant = '', oldLease = ''] = await signed(old)
    await until(async () => (await b.openRaw(oldGrant, oldLease))?.code === 'unknown-key', 'old key refused')
    const [newGrant = '', newLease = ''] = await signed(b.signing)
    expect(await b.openRaw(newGrant, newLease)).toMatchObject({ ok: true })
    await b.command(grant, 'stop')
  })
})
