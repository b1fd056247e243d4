import { type ChildProcess, fork } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { JWS_TYPES } from '../../broker/domain/grant.ts'
import { newId } from '../../broker/domain/ids.ts'
import { enrol } from '../../gateway/enrol.ts'
import { loadIdentity } from '../../gateway/identity/identity.ts'
import { verifyJws } from '../../recordings/format/jws.ts'
import { manifest } from '../../recordings/format/manifest.ts'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { until } from '../lab/until.ts'
import { type House, openSession, startHouse } from './house.ts'
import { TestBroker } from './test-broker.ts'

const missing = opensshMissing()

describe.skipIf(missing)(`a gateway that is killed${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let lab: LabSshd
  beforeAll(async () => {
    lab = await startOpenssh()
  })
  afterAll(() => lab?.stop())

  it('recovers the recording at the next start, says that the session is over, and never reconnects', async () => {
    const broker = await TestBroker.start()
    const dataDir = await mkdtemp(join(tmpdir(), 'sallyport-crash-'))
    await enrol({ token: broker.token, broker: broker.url, dataDir, name: 'gw' })
    const start = async (): Promise<ChildProcess> => {
      const child = fork(new URL('./gateway-process.ts', import.meta.url), [dataDir], { stdio: 'inherit' })
      await until(() => broker.control !== null && broker.hello !== null, 'link', 20_000)
      return child
    }
    let child = await start()
    try {
      const { grant, browser } = await openSession({ broker } as House, lab)
      browser.type('echo survives-$((20+2))\n')
      await browser.sees('survives-22')
      await until(() => broker.anchored(grant), 'something on disk to recover')
      child.kill('SIGKILL')
      await until(() => broker.control === null, 'lost link')
      broker.hello = null
      const killed = performance.now()
      child = await start()
      expect((await broker.closed(grant)).end).toBe('gateway-stopped')
      await until(() => broker.receipts.has(grant.recording), 'receipt', 30_000)
      expect(performance.now() - killed).toBeLessThan(60_000)
      const jws = broker.evidence.get(`${grant.recording}/manifest.jws`)?.toString('latin1') ?? ''
      const verified = await verifyJws(jws, JWS_TYPES.manifest, manifest, broker.gatewaySignKey)
      expect(verified).toMatchObject({ ok: true })
      if (!verified.ok) return
      expect(verified.value.payload).toMatchObject({ ended: 'recovered', session: grant.session })
      expect(verified.value.payload.gaps.length).toBeGreaterThan(0)
      const screen = verified.value.payload.segments.find((one) => one.stream === 'screen')
      expect(screen?.chunks).toBeGreaterThan(0)
      expect(broker.hello).toMatchObject({ sessions: [] })
      await until(async () => (await readdir(join(dataDir, 'spool'))).length === 0, 'empty spool')
    } finally {
      child.kill('SIGKILL')
      await broker.stop()
      await rm(dataDir, { recursive: true, force: true })
    }
  })

  it('killed before it heard that its events are committed, says which run they are of, and what is damaged', async () => {
    const broker = await TestBroker.start()
    const dataDir = await mkdtemp(join(tmpdir(), 'sallyport-unheard-'))
    await enrol({ token: broker.token, broker: broker.url, dataDir, name: 'gw' })
    const start = async (): Promise<ChildProcess> => {
      const child = fork(new URL('./gateway-process.ts', import.meta.url), [dataDir], { stdio: 'inherit' })
      await until(() => broker.control !== null && broker.hello !== null, 'link', 20_000)
      return child
    }
    let child = await start()
    try {
      const boot = broker.hello?.boot
      broker.forgetsToAnswer = true
      const { grant } = await openSession({ broker } as House, lab)
      await broker.command(grant, 'stop')
      await broker.closed(grant)
      child.kill('SIGKILL')
      await until(() => broker.control === null, 'lost link')
      broker.hello = null
      broker.forgetsToAnswer = false
      // And somebody takes a line out of its journal meanwhile.
      const [file = ''] = await readdir(join(dataDir, 'journal'))
      const lines = (await readFile(join(dataDir, 'journal', file), 'utf8')).split('\n')
      await writeFile(join(dataDir, 'journal', file), lines.toSpliced(1, 1).join('\n'))
      // And its spool is damaged: one recording cannot be read, one that is finished lacks its segments.
      const [unreadable, undelivered] = [newId(), newId()]
      for (const recording of [unreadable, undelivered]) await mkdir(join(dataDir, 'spool', recording))
      await writeFile(join(dataDir, 'spool', unreadable, 'screen'), 'not a folder')
      await writeFile(join(dataDir, 'spool', undelivered, 'manifest.jws'), 'x.y.z')
      child = await start()
      const ends = () =>
        broker.events.flatMap((event, index) =>
          event.kind === 'session-closed' && event.session === grant.session ? [broker.boots[index]] : [],
        )
      await until(() => ends().length === 2, 'it is said again')
      expect(ends()).toEqual([null, boot])
      const problems = () => broker.events.filter((event) => event.kind === 'gateway-problem')
      await until(() => problems().length === 3, 'the damage')
      expect(
        problems().map(({ code, detail, session }) => [code, detail.includes(undelivered), session]),
      ).toEqual([
        ['journal-damaged', false, null],
        ['recording-unreadable', false, null],
        ['recording-not-delivered', true, null],
      ])
      expect(problems()[1]?.detail).toContain(unreadable)
    } finally {
      child.kill('SIGKILL')
      await broker.stop()
      await rm(dataDir, { recursive: true, force: true })
    }
  })

  it('keeps events and recordings while the broker is away, and delivers both', async () => {
    const house = await startHouse()
    const { broker } = house
    try {
      const { grant, browser } = await openSession(house, lab)
      broker.storeDown = true
      const port = await broker.cutLink()
      // The session does not notice: its browser's splice went with the link in this test, so it is held.
      await until(() => browser.closed !== null)
      await until(() => house.gateway.sessions()[0]?.state === 'held')
      await broker.listen(port)
      await until(() => broker.control !== null, 'link is back', 20_000)
      expect(broker.hello?.sessions).toMatchObject([
        { session: grant.session, state: 'held', grant: grant.jti },
      ])
      await until(() =>
        broker.eventsOf('session-state', grant.session).some((event) => event.state === 'held'),
      )
      await broker.command(grant, 'stop')
      await broker.closed(grant)
      broker.deaf = true
      expect(broker.receipts.size).toBe(0)
      expect(house.gateway.waitingRecordings()).toBe(1)
      await house.gateway.stop()
      broker.deaf = false
      broker.storeDown = false
      const before = broker.events.length
      await house.restart()
      await until(() => broker.receipts.has(grant.recording), 'receipt', 20_000)
      // What was acknowledged does not come again.
      const again = broker.events.slice(before).filter((event) => event.kind === 'session-closed')
      expect(again).toEqual([])
    } finally {
      await house.stop()
    }
  })

  it('refuses key files that others can read', async () => {
    const broker = await TestBroker.start()
    const dataDir = await mkdtemp(join(tmpdir(), 'sallyport-keys-'))
    await enrol({ token: broker.token, broker: broker.url, dataDir, name: 'gw' })
    await expect(loadIdentity(dataDir)).resolves.toMatchObject({ gateway: broker.gateway })
    await chmod(join(dataDir, 'identity', 'gateway.json'), 0o640)
    await expect(loadIdentity(dataDir)).rejects.toMatchObject({ code: 'key-file-too-open' })
    await expect(
      enrol({ token: broker.token, broker: broker.url, dataDir, name: 'gw' }),
    ).rejects.toMatchObject({
      code: 'already-enrolled',
    })
    await broker.stop()
    await rm(dataDir, { recursive: true, force: true })
  })

  it('enrols only with the broker that the token names', async () => {
    const [right, wrong] = await Promise.all([TestBroker.start(), TestBroker.start()])
    const dataDir = await mkdtemp(join(tmpdir(), 'sallyport-pin-'))
    await expect(enrol({ token: right.token, broker: wrong.url, dataDir, name: 'gw' })).rejects.toMatchObject(
      { code: 'wrong-ca' },
    )
    await expect(
      enrol({
        token: `sp1.${'x'.repeat(43)}.${right.token.split('.')[2]}`,
        broker: right.url,
        dataDir,
        name: 'gw',
      }),
    ).rejects.toMatchObject({ code: 'enrolment-refused' })
    await Promise.all([right.stop(), wrong.stop()])
    await rm(dataDir, { recursive: true, force: true })
  })
})
