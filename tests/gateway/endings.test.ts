import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Grant } from '../../broker/domain/grant.ts'
import { DEFAULT_ENDING } from '../../broker/domain/words.ts'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { until } from '../lab/until.ts'
import { type House, openSession, startHouse } from './house.ts'

const missing = opensshMissing()

describe.skipIf(missing)(`how sessions end${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let lab: LabSshd
  let house: House
  beforeAll(async () => {
    lab = await startOpenssh()
    house = await startHouse()
  })
  afterAll(async () => {
    await house?.stop()
    await lab?.stop()
  })
  /** Only an open session is given so short a time: on a busy machine opening it takes longer than that. */
  const endsIn = async (seconds: number, grant: Grant): Promise<Grant> => {
    const now = Math.floor(Date.now() / 1000)
    const next = {
      ...grant,
      jti: crypto.randomUUID(),
      serial: grant.serial + 1,
      iat: now,
      exp: now + seconds,
    }
    await house.broker.renew(grant, next)
    return next
  }
  const c2 = { id: crypto.randomUUID(), name: 'Kiln PLC', criticality: 'C2' as const, hash: 'a'.repeat(64) }
  const c3 = { ...c2, name: 'Historian', criticality: 'C3' as const }

  it('an operator’s stop under a flood: sockets closed in 5 s, measured', async () => {
    const { broker } = house
    const { grant, browser } = await openSession(house, lab)
    browser.keepText = false
    browser.type('yes flood-flood-flood\n')
    await until(() => browser.bytes > 2_000_000)
    const before = (await lab.connections()).length
    const asked = performance.now()
    const done = await broker.command(grant, 'stop')
    expect(done).toMatchObject({ ok: true })
    expect((done as { tookMs: number }).tookMs).toBeLessThan(5000)
    await until(async () => (await lab.connections()).length < before, 'sshd connection gone', 5000)
    await until(() => browser.closed !== null, 'browser closed', 5000)
    expect(performance.now() - asked).toBeLessThan(5000)
    const closed = await broker.closed(grant)
    expect(closed).toMatchObject({ end: 'operator-stopped', by: 'Olga Operator' })
    expect(closed.closedAfterMs).toBeLessThan(5000)
    expect(closed.message).toContain('crane moving')
  })

  it('C4 is cut when the permit ends', async () => {
    const { grant, browser } = await openSession(house, lab)
    await endsIn(2, grant)
    const closed = await house.broker.closed(grant)
    expect(closed.end).toBe('window-closed')
    await until(() => browser.closed?.code === 4000)
  })

  it('C3 goes on view-only, input frozen, then ends', async () => {
    const ending = { mode: 'grace' as const, holdSeconds: 4, inputDuringGrace: false }
    const { grant, browser } = await openSession(house, lab, { asset: c3, ending })
    browser.type('while true; do echo tick; sleep 0.2; done\n')
    await browser.sees('tick')
    await endsIn(2, grant)
    const held = await browser.state('held')
    expect(held).toMatchObject({ inputFrozen: true, cause: 'The approved window is over.' })
    const bytesIn = browser.text.length
    browser.type('\x03echo typed-in-grace\n')
    await until(() => browser.text.length > bytesIn + 20, 'screen live in grace')
    const closed = await house.broker.closed(grant)
    expect(closed.end).toBe('window-closed')
    expect(browser.text).not.toContain('typed-in-grace')
  })

  it('C2 is held for an operator, who extends, and who ends', async () => {
    const { broker } = house
    const { grant, browser } = await openSession(house, lab, { asset: c2, ending: DEFAULT_ENDING.C2 })
    const short = await endsIn(2, grant)
    await browser.state('held')
    const extended = await endsIn(600, short)
    await browser.state('live')
    browser.type('echo back-$((1+1))\n')
    await browser.sees('back-2')
    // An older serial changes nothing.
    await broker.renew(grant, { ...extended, jti: crypto.randomUUID(), serial: 1 })
    await until(() =>
      broker.eventsOf('refused-by-gateway', grant.session).some((event) => event.code === 'old-serial'),
    )
    // And the one in force is still the one that leases are for.
    await broker.renew(extended)
    browser.type('echo again-$((1+2))\n')
    await browser.sees('again-3')
    await broker.command(grant, 'end', 'window-closed')
    await browser.state('held')
    await broker.command(grant, 'end', 'operator-stopped')
    expect((await broker.closed(grant)).end).toBe('window-closed')
  })

  it('a lost lease holds C2 and a renewed one brings it back; C4 ends', async () => {
    const { broker } = house
    const held = await openSession(house, lab, { asset: c2, ending: DEFAULT_ENDING.C2 })
    const cut = await openSession(house, lab)
    for (const { grant } of [held, cut]) await broker.renew(grant, null, 2)
    expect((await broker.closed(cut.grant)).end).toBe('lease-lost')
    await held.browser.state('held')
    await broker.renew(held.grant)
    await held.browser.state('live')
    await broker.command(held.grant, 'stop')
  })

  it('an operator’s hold freezes input and shows why', async () => {
    const { broker } = house
    const { grant, browser } = await openSession(house, lab)
    await broker.command(grant, 'hold')
    expect(await browser.state('held')).toMatchObject({
      inputFrozen: true,
      cause: 'crane moving',
      by: 'Olga Operator',
    })
    browser.type('echo typed-on-hold\n')
    browser.say({ type: 'ping', id: 1 })
    await until(() => browser.last('pong')?.id === 1)
    await broker.command(grant, 'release')
    await browser.state('live')
    browser.type('echo after-$((2+3))\n')
    await browser.sees('after-5')
    expect(browser.text).not.toContain('typed-on-hold')
    await broker.command(grant, 'stop')
  })

  it('a revoked person’s browser goes at once, the asset’s side by class', async () => {
    const { broker } = house
    const ending = { mode: 'grace' as const, holdSeconds: 2, inputDuringGrace: false }
    const { grant, browser } = await openSession(house, lab, { asset: c3, ending })
    const asked = performance.now()
    await broker.command(grant, 'revoke', 'identity-revoked')
    await until(() => browser.closed !== null, 'browser closed', 5000)
    expect(browser.closed?.code).toBe(4410)
    expect(performance.now() - asked).toBeLessThan(5000)
    expect(broker.eventsOf('session-closed', grant.session)).toEqual([])
    expect((await broker.browser(grant, 'attach')).refused).toBe(403)
    expect((await broker.closed(grant)).end).toBe('identity-revoked')
  })

  it('the asset goes away', async () => {
    const { grant } = await openSession(house, lab)
    await lab.cut()
    expect((await house.broker.closed(grant)).end).toBe('asset-lost')
  })

  it('the gateway stops: sessions end with their manifests', async () => {
    const own = await startHouse()
    const { grant } = await openSession(own, lab)
    await own.gateway.stop()
    expect((await own.broker.closed(grant)).end).toBe('gateway-stopped')
    expect(own.broker.receipts.has(grant.recording)).toBe(true)
    await own.stop()
  })
})
