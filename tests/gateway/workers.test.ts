import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { until } from '../lab/until.ts'
import { type House, openSession, startHouse } from './house.ts'

const missing = opensshMissing()

describe.skipIf(missing)(`session workers that fail${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let lab: LabSshd
  let house: House
  beforeAll(async () => {
    lab = await startOpenssh()
    house = await startHouse({
      workers: 1,
      anchorEveryMs: 100,
      entries: { worker: new URL('./crashing-worker.ts', import.meta.url) },
    })
  })
  afterEach(async () => {
    for (const name of ['no-start', 'crash-now', 'hang-now'])
      await rm(join(house.dataDir, name), { force: true })
  })
  afterAll(async () => {
    await house?.stop()
    await lab?.stop()
  })

  it('a thread that dies: its sessions are reported, their recordings recovered, a new thread takes over', async () => {
    const { broker } = house
    const { grant, browser } = await openSession(house, lab)
    browser.type('echo kept-$((1+1))\n')
    await browser.sees('kept-2')
    await until(() => broker.eventsOf('session-live', grant.session).length > 0)
    await until(() => broker.anchored(grant), 'something on disk to recover')
    await writeFile(join(house.dataDir, 'crash-now'), '')
    expect((await broker.closed(grant)).end).toBe('gateway-stopped')
    await rm(join(house.dataDir, 'crash-now'))
    await until(() => broker.receipts.has(grant.recording), 'receipt')
    await until(() => browser.closed !== null)
    expect(broker.eventsOf('session-closed', grant.session)).toHaveLength(1)
    await until(async () => (await broker.open(broker.grant(lab)))?.ok === true, 'a new worker')
  })

  it('a thread that does not start again: told once, openings refused for what it is, and tried again', async () => {
    // Red without `#startAgain` and `short` in gateway/pool/pool.ts.
    const { broker } = house
    const told = () =>
      broker.events.filter((event) => event.kind === 'gateway-problem' && event.code === 'worker-lost')
    await writeFile(join(house.dataDir, 'no-start'), '')
    await writeFile(join(house.dataDir, 'crash-now'), '')
    await until(() => told().length > 0, 'told')
    await rm(join(house.dataDir, 'crash-now'))
    await until(() => broker.health?.workers?.running === 0, 'health', 15_000)
    expect(broker.health?.workers).toEqual({ running: 0, configured: 1 })
    expect(await broker.open(broker.grant(lab))).toMatchObject({ ok: false, code: 'no-session-threads' })
    await rm(join(house.dataDir, 'no-start'))
    await until(async () => (await broker.open(broker.grant(lab)))?.ok === true, 'a new worker', 15_000)
    expect(told()).toHaveLength(1)
    expect(told()).toMatchObject([{ session: null, detail: expect.stringContaining('0 of 1') }])
  })

  it('a thread that hangs: an operator’s stop still closes the asset’s socket in 5 s', async () => {
    const { broker } = house
    const { grant } = await openSession(house, lab)
    const before = (await lab.connections()).length
    await writeFile(join(house.dataDir, 'hang-now'), '')
    await until(() => existsSync(join(house.dataDir, 'hanging')))
    const asked = performance.now()
    const done = await broker.command(grant, 'stop')
    expect(done).toMatchObject({ ok: true })
    await rm(join(house.dataDir, 'hang-now'))
    await until(async () => (await lab.connections()).length < before, 'socket closed', 5000)
    expect(performance.now() - asked).toBeLessThan(5000)
    expect(await broker.closed(grant)).toMatchObject({ end: 'operator-stopped', by: 'Olga Operator' })
  })
})
