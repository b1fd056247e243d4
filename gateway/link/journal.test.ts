import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { GatewayEvent } from '../../broker/contract/link.ts'
import type { ControlLink } from './control-link.ts'
import { EventSender } from './event-sender.ts'
import { Journal, type JournalKey } from './journal.ts'

const key = (): JournalKey => {
  const { x = '', d = '' } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  return { kty: 'OKP', crv: 'Ed25519', x, d, kid: 'k' }
}
const event = (minutes: number): GatewayEvent => ({ kind: 'warning', session: randomUUID(), minutes, at: 1 })

const BOOT = randomUUID()

describe('the journal', () => {
  let dir: string
  const mine = key()
  beforeEach(async () => {
    dir = join(await mkdtemp(join(tmpdir(), 'sallyport-journal-')), 'journal')
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))

  it('keeps what was not acknowledged over a crash, and goes on counting', async () => {
    const heard: number[] = []
    const first = await Journal.open(dir, mine, BOOT, ({ seq }) => heard.push(seq))
    await Promise.all([1, 2, 3].map((minutes) => first.append(event(minutes))))
    expect(heard).toEqual([0, 1, 2])
    first.acknowledge(0)
    // No close: the process was killed.
    const second = await Journal.open(dir, mine, BOOT, () => {})
    expect(second.waiting().map(({ seq }) => seq)).toEqual([0, 1, 2])
    await second.append(event(4))
    expect(second.waiting().at(-1)?.seq).toBe(3)
    for (const { seq } of second.waiting()) second.acknowledge(seq)
    await second.close()
    const third = await Journal.open(dir, mine, BOOT, () => {})
    expect(third.waiting()).toEqual([])
    await third.append(event(5))
    expect(third.waiting()[0]?.seq).toBe(4)
    await third.close()
  })

  it('says of each line which run wrote it: a broker knows it again by that', async () => {
    const [one, two] = [randomUUID(), randomUUID()]
    const first = await Journal.open(dir, mine, one, () => {})
    await first.append(event(1))
    const second = await Journal.open(dir, mine, two, () => {})
    await second.append(event(2))
    const third = await Journal.open(dir, mine, randomUUID(), () => {})
    expect(third.damaged).toBe(0)
    expect(third.waiting().map(({ boot }) => boot)).toEqual([one, two])
    const sent: unknown[] = []
    const sender = new EventSender(() => third, two)
    sender.offer({ send: (message: object) => sent.push(message) > 0 } as unknown as ControlLink)
    expect(sent).toMatchObject([{ seq: 0, boot: one }, { seq: 1 }])
    expect(sent[1]).not.toHaveProperty('boot')
  })

  it('writes what the disk did not take before what comes next', async () => {
    const first = await Journal.open(dir, mine, BOOT, () => {})
    await first.append(event(1))
    await first.close()
    await rename(dir, `${dir}-away`)
    await first.append(event(2))
    expect(first.failed).toBe(true)
    expect(first.waiting()).toHaveLength(2)
    await rename(`${dir}-away`, dir)
    await first.append(event(3))
    expect(first.failed).toBe(false)
    const second = await Journal.open(dir, mine, BOOT, () => {})
    expect(second.damaged).toBe(0)
    expect(second.waiting().map(({ seq }) => seq)).toEqual([0, 1, 2])
  })

  it('leaves out a line that was altered or signed by another, and says how many', async () => {
    const first = await Journal.open(dir, mine, BOOT, () => {})
    for (const minutes of [1, 2, 3]) await first.append(event(minutes))
    const [name = ''] = (await readdir(dir)).filter((one) => one.endsWith('.open'))
    const lines = (await readFile(join(dir, name), 'utf8')).split('\n')
    lines[1] = (lines[1] ?? '').replace('"minutes":2', '"minutes":9')
    await writeFile(join(dir, name), lines.join('\n'))
    const second = await Journal.open(dir, mine, BOOT, () => {})
    expect(second.damaged).toBe(1)
    expect(second.waiting().map(({ seq }) => seq)).toEqual([0, 2])
    expect((await Journal.open(dir, key(), BOOT, () => {})).waiting()).toEqual([])
  })

  it('keeps what an asset or a person wrote in the form that a broker can store', async () => {
    const first = await Journal.open(dir, mine, BOOT, () => {})
    const session = randomUUID()
    const cause = `a\0b\ud800${'x'.repeat(600)}`
    await first.append({ kind: 'channel-refused', session, channel: cause, at: 1e300 })
    const stored = [...first.waiting()]
    await first.close()
    const second = await Journal.open(dir, mine, BOOT, () => {})
    expect(second.damaged).toBe(0)
    expect(second.waiting()).toEqual(stored)
    expect(stored[0]?.event).toMatchObject({ channel: `a\ufffdb\ufffd${'x'.repeat(196)}` })
  })

  it('notices a line that was taken out, also between the files of two runs', async () => {
    const first = await Journal.open(dir, mine, BOOT, () => {})
    for (const minutes of [1, 2, 3]) await first.append(event(minutes))
    const second = await Journal.open(dir, mine, BOOT, () => {})
    expect(second.damaged).toBe(0)
    await second.append(event(4))
    const [name = ''] = (await readdir(dir)).filter((one) => one.endsWith('.open')).sort()
    const lines = (await readFile(join(dir, name), 'utf8')).split('\n')
    for (const gone of [1, 2]) {
      await writeFile(join(dir, name), lines.toSpliced(gone, 1).join('\n'))
      expect((await Journal.open(dir, mine, BOOT, () => {})).damaged).toBe(1)
    }
  })

  it('takes a torn last line for what it is', async () => {
    const first = await Journal.open(dir, mine, BOOT, () => {})
    await first.append(event(1))
    const [name = ''] = (await readdir(dir)).filter((one) => one.endsWith('.open'))
    await writeFile(join(dir, name), `${await readFile(join(dir, name), 'utf8')}{"seq":1,"prev":"`)
    const second = await Journal.open(dir, mine, BOOT, () => {})
    expect(second.damaged).toBe(0)
    expect(second.waiting()).toHaveLength(1)
  })
})
