import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DEFAULT_ENDING } from '../../broker/domain/words.ts'
import { enrol } from '../../gateway/enrol.ts'
import { type RunningGateway, startGateway } from '../../gateway/gateway.ts'
import { type House, openSession } from '../gateway/house.ts'
import { TestBroker } from '../gateway/test-broker.ts'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { until } from '../lab/until.ts'

const MIB = 1024 * 1024
const SIZE = 12 * MIB

/** A small file system of its own for the spool, where this user may mount one. */
const missing = opensshMissing() ?? whyNoMount()

function whyNoMount(): string | null {
  const folder = execFileSync('mktemp', ['-d'], { encoding: 'utf8' }).trim()
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'pipe' })
    execFileSync('umount', [folder])
    return null
  } catch {
    return 'mounting a small file system is not permitted here'
  } finally {
    execFileSync('rmdir', [folder])
  }
}

/** Threat 13: the recording's disk is filled, by flooding or by a neighbour, so that something happens unrecorded. */
describe.skipIf(missing !== null)(`the spool’s disk full${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let sshd: LabSshd
  let broker: TestBroker
  let gateway: RunningGateway
  let dataDir: string
  const spool = () => join(dataDir, 'spool')
  beforeAll(async () => {
    sshd = await startOpenssh()
    broker = await TestBroker.start()
    dataDir = await mkdtemp(join(tmpdir(), 'sallyport-full-'))
    await enrol({ token: broker.token, broker: broker.url, dataDir, name: 'gw' })
    await mkdir(spool(), { mode: 0o700 })
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE},mode=700`, 'tmpfs', spool()])
    gateway = await startGateway({ dataDir, workers: 1, reserveBytes: 4 * MIB, healthEveryMs: 200 })
    await until(() => broker.control !== null && gateway.links().length === 1, 'link')
  })
  afterAll(async () => {
    await gateway?.stop()
    await broker?.stop()
    await sshd?.stop()
    execFileSync('umount', ['--lazy', spool()])
    await rm(dataDir, { recursive: true, force: true })
  })

  it('below the reserve nobody comes in; with nothing left C4 ends and C2 is held, frozen, for an operator', async () => {
    const house = { broker } as House
    const c2 = { id: crypto.randomUUID(), name: 'Kiln PLC', criticality: 'C2' as const, hash: 'a'.repeat(64) }
    const c4 = await openSession(house, sshd)
    const held = await openSession(house, sshd, { asset: c2, ending: DEFAULT_ENDING.C2 })

    const filler = await open(join(spool(), 'of-a-neighbour'), 'w')
    await filler.truncate(0)
    await filler.writeFile(Buffer.alloc(SIZE - 3 * MIB))
    await until(() => broker.eventsOf('storage').at(-1)?.below === true, 'the reserve is touched')
    expect(await broker.open(broker.grant(sshd))).toMatchObject({ ok: false, code: 'storage-below-reserve' })
    // What runs uses the reserve.
    c4.browser.type('echo still-$((40+2))\n')
    await c4.browser.sees('still-42')

    await expect(filler.appendFile(Buffer.alloc(4 * MIB))).rejects.toMatchObject({ code: 'ENOSPC' })
    await filler.close()
    c4.browser.type('yes unrecorded | head -c 2000000\n')
    held.browser.type('yes unrecorded | head -c 2000000\n')
    expect((await broker.closed(c4.grant)).end).toBe('recording-failed')
    const state = await held.browser.state('held')
    expect(state.inputFrozen).toBe(true)
    for (const { grant } of [c4, held])
      expect(broker.eventsOf('recording-gap', grant.session)[0]?.reason).toMatch(/disk-full/)
    const before = held.browser.text.length
    held.browser.type('echo typed-unrecorded\n')
    held.browser.say({ type: 'ping', id: 9 })
    await until(() => held.browser.last('pong')?.id === 9, 'an answer')
    expect(held.browser.text.slice(before)).not.toContain('typed-unrecorded')
    await broker.command(held.grant, 'end')
    expect((await broker.closed(held.grant)).end).toBe('recording-failed')
  })
})
