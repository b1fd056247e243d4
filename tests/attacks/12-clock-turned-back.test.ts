import { type ChildProcess, fork } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { JWS_TYPES } from '../../broker/domain/grant.ts'
import { enrol } from '../../gateway/enrol.ts'
import { type House, openSession } from '../gateway/house.ts'
import { TestBroker } from '../gateway/test-broker.ts'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { until } from '../lab/until.ts'

const missing = opensshMissing()
const HOUR_S = 3_600

/**
 * Threat 12: whoever may set the clock of the gateway's machine turns it back, for a window that never ends and grants
 * that never run out. The broker's clock is turned back in tests/failures/running.test.ts.
 */
describe.skipIf(missing !== null)(
  `a gateway’s clock turned back${missing ? ` (skipped: ${missing})` : ''}`,
  () => {
    let sshd: LabSshd
    let broker: TestBroker
    let dataDir: string
    let gateway: ChildProcess
    const step = () => join(dataDir, 'step')
    beforeAll(async () => {
      sshd = await startOpenssh()
      broker = await TestBroker.start()
      dataDir = await mkdtemp(join(tmpdir(), 'sallyport-clock-'))
      await writeFile(step(), '0')
      await enrol({ token: broker.token, broker: broker.url, dataDir, name: 'gw' })
      const clock = new URL('./clock-that-steps.ts', import.meta.url)
      clock.searchParams.set('file', step())
      gateway = fork(new URL('../gateway/gateway-process.ts', import.meta.url), [dataDir], {
        stdio: 'inherit',
        execArgv: ['--import', clock.href],
      })
      await until(() => broker.control !== null && broker.hello !== null, 'link', 20_000)
    })
    afterAll(async () => {
      gateway?.kill('SIGKILL')
      await broker?.stop()
      await sshd?.stop()
      await rm(dataDir, { recursive: true, force: true })
    })

    it('two hours back: the window ends when it would have, and an old grant opens nothing', async () => {
      const now = Math.floor(Date.now() / 1000)
      const since = performance.now()
      const { grant, browser } = await openSession({ broker } as House, sshd, { iat: now, exp: now + 5 })
      await writeFile(step(), String(-2 * HOUR_S * 1000))
      browser.type('echo goes-on-$((40+2))\n')
      await browser.sees('goes-on-42')
      // They ran out an hour ago and more, and for this clock they have not yet.
      const then = now - 2 * HOUR_S
      const old = broker.grant(sshd, { iat: then, exp: then + HOUR_S })
      const grantThen = await broker.sign(JWS_TYPES.grant, old)
      const leaseThen = await broker.sign(JWS_TYPES.lease, {
        ...broker.lease(old),
        iat: then,
        exp: then + 60,
      })
      const codes = new Set<string | null | undefined>()
      await until(async () => {
        const answer = await broker.openRaw(grantThen, leaseThen)
        codes.add(answer?.code)
        return answer?.code === 'clock-behind'
      }, 'the step is noticed')
      // Until it saw the step the clock was right, and they had run out.
      expect([...codes].filter((code) => code !== 'clock-behind' && code !== 'expired')).toEqual([])
      // And what is good now is from the future for it.
      expect(await broker.open(broker.grant(sshd))).toMatchObject({ ok: false })
      expect((await broker.closed(grant)).end).toBe('window-closed')
      expect(performance.now() - since).toBeLessThan(6_500)
    })
  },
)
