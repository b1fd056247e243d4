import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../broker/domain/clock.ts'
import { ChildNonsense } from '../../gateway/desktop/child/apply-paint.ts'
import { CHILD_LIMITS, DecodingChild } from '../../gateway/desktop/child/decoding-child.ts'
import { type ChildProgram, mayTry, SANDBOXES } from '../../gateway/desktop/child/sandbox.ts'
import { DecoderSpares } from '../../gateway/desktop/child/spares.ts'
import { vncProgram } from '../../gateway/desktop/vnc/vnc-program.ts'
import { labMode } from '../lab/lab.ts'
import { until } from '../lab/until.ts'

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))
const program = (name: string): ChildProgram => ({
  entry: path(`./child-programs/${name}`),
  readable: [path('./child-programs/'), path('../../gateway/desktop/child/'), path('../../package.json')],
})
const [FULL, LIMITED, BARE] = SANDBOXES
if (!FULL || !LIMITED || !BARE) throw new Error('three levels')
const text = (words: string) => new TextEncoder().encode(words)

function listen(child: DecodingChild) {
  const heard = {
    messages: [] as { type: number; payload: Uint8Array }[],
    gone: [] as (string | null)[],
    drains: 0,
  }
  child.attach({
    message: (type, payload) => {
      if (type === 77) throw new ChildNonsense('a message of unknown type')
      heard.messages.push({ type, payload })
    },
    drain: () => {
      heard.drains++
    },
    gone: (why) => heard.gone.push(why),
  })
  return heard
}

async function escapes(sandbox: (typeof SANDBOXES)[number]): Promise<Record<string, string>> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((done) => server.once('listening', done))
  const { port } = server.address() as { port: number }
  const child = await DecodingChild.start(program('escapes-child.ts'), sandbox, systemClock)
  const heard = listen(child)
  child.send(0, text(JSON.stringify({ port, pid: process.pid, file: path('../../package-lock.json') })))
  await until(() => heard.messages.length > 0 || heard.gone.length > 0, 'the attempts are over', 20_000)
  server.close()
  child.kill()
  return JSON.parse(new TextDecoder().decode(heard.messages[0]?.payload)) as Record<string, string>
}

const noFull = mayTry(FULL) ? null : 'no root, unshare or setpriv here'
if (noFull && labMode() === 'required') throw new Error(`the lab is required, but ${noFull}`)

describe('decoding child', () => {
  it.skipIf(noFull)(
    `at the full level reaches nothing and nobody${noFull ? ` (skipped: ${noFull})` : ''}`,
    async () => {
      expect(await escapes(FULL)).toEqual({
        kill: 'EPERM',
        read: 'ERR_ACCESS_DENIED',
        write: 'ERR_ACCESS_DENIED',
        list: 'ERR_ACCESS_DENIED',
        'root again': 'EPERM',
        environment: '0',
        'connect 127.0.0.1': 'ENETUNREACH',
        'connect 192.0.2.1': 'ENETUNREACH',
        spawn: 'ERR_ACCESS_DENIED',
      })
    },
  )

  it('at the basic level still reads, writes and starts nothing; what it does not prevent is what the level says', async () => {
    expect(await escapes(BARE)).toMatchObject({
      kill: 'done',
      read: 'ERR_ACCESS_DENIED',
      write: 'ERR_ACCESS_DENIED',
      environment: '0',
      'connect 127.0.0.1': 'done',
      spawn: 'ERR_ACCESS_DENIED',
    })
  })

  it('inherits no descriptor but its pipes', async () => {
    const spares = await DecoderSpares.start(vncProgram(), systemClock)
    const child = await spares.take()
    const fds = `/proc/${child?.pid}/fd`
    const targets = readdirSync(fds).map(
      (fd) => `${fd} ${readlinkSync(join(fds, fd)).replace(/\d{2,}/g, 'N')}`,
    )
    const inherited = targets.filter((target) => /^[012] /.test(target))
    expect(inherited.map((target) => target.replace(/\[N\]/, ''))).toEqual([
      '0 socket:',
      '1 socket:',
      '2 /dev/null',
    ])
    // The rest is what Node makes for itself.
    for (const target of targets)
      if (!inherited.includes(target)) expect(target).toMatch(/ (anon_inode:|pipe:|socket:|\/dev\/null)/)
    child?.kill()
    await spares.stop()
  })

  it('has a spare ready, never gives a child twice, and replaces one that died', async () => {
    const spares = await DecoderSpares.start(vncProgram(), systemClock)
    expect(spares.sandbox.level).toBe(noFull ? 'basic' : 'full')
    const first = await spares.take()
    const second = await spares.take()
    expect(first?.pid).not.toBe(second?.pid)
    expect(first?.alive).toBe(true)
    first?.kill()
    second?.kill()
    await spares.stop()
    expect(await spares.take()).toBeNull()
  })

  it('falls back to the level that works, and says which', async () => {
    const broken = { ...FULL, level: 'full' as const, measures: [...LIMITED.measures] }
    // Says full without being it: the look from outside finds out.
    const spares = await DecoderSpares.start(vncProgram(), systemClock, { sandboxes: [broken, BARE] })
    expect(spares.sandbox).toEqual(BARE)
    await spares.stop()
  })

  const sandbox = mayTry(LIMITED) ? LIMITED : BARE
  for (const [order, why] of [
    ['die', 'the decoder ended by itself'],
    ['impossible length', 'the decoder sent a message of an impossible length'],
    ['unknown message', 'the decoder sent a message of unknown type'],
  ] as const)
    it(`is ended once when it does this: ${order}`, async () => {
      const child = await DecodingChild.start(program('misbehaving-child.ts'), sandbox, systemClock)
      const heard = listen(child)
      child.send(0, text(order))
      await until(() => heard.gone.length > 0)
      expect(heard.gone).toEqual([why])
      expect(child.alive).toBe(false)
    })

  it('is ended for its memory', async () => {
    const child = await DecodingChild.start(program('misbehaving-child.ts'), BARE, systemClock, {
      ...CHILD_LIMITS,
      rssBytes: 160 * 1024 * 1024,
    })
    const heard = listen(child)
    child.send(0, text('eat memory'))
    await until(() => heard.gone.length > 0)
    expect(heard.gone).toEqual(['the decoder used too much memory'])
  })

  it.skipIf(!mayTry(LIMITED))('is ended for its memory by the system, where nobody watches', async () => {
    const child = await DecodingChild.start(program('misbehaving-child.ts'), LIMITED, systemClock, {
      ...CHILD_LIMITS,
      rssBytes: Number.MAX_SAFE_INTEGER,
    })
    const heard = listen(child)
    child.send(0, text('eat memory'))
    await until(() => heard.gone.length > 0, 'the limit is reached', 20_000)
    expect(heard.gone).toEqual(['the decoder ended by itself'])
  })

  it('is ended when it leaves its input lying', async () => {
    const child = await DecodingChild.start(program('misbehaving-child.ts'), sandbox, systemClock, {
      ...CHILD_LIMITS,
      stuckMs: 300,
    })
    const heard = listen(child)
    child.send(0, text('spin'))
    while (child.send(1, new Uint8Array(60_000)));
    await until(() => heard.gone.length > 0)
    expect(heard.gone).toEqual(['the decoder did not answer'])
  })

  it('waits when its output is not taken, for as long as that lasts', async () => {
    const child = await DecodingChild.start(program('misbehaving-child.ts'), sandbox, systemClock)
    const heard = listen(child)
    child.pauseOutput()
    child.send(0, text('flood'))
    const cpu = () => Number(readFileSync(`/proc/${child.pid}/stat`, 'latin1').split(' ')[13])
    // Asleep in its write: the same processor time at two looks that are apart.
    let last = -1
    let same = 0
    await until(() => {
      const now = cpu()
      same = now === last ? same + 1 : 0
      last = now
      return same > 40
    }, 'the child sleeps')
    expect(heard.messages.length).toBe(0)
    child.resumeOutput()
    await until(() => heard.messages.length > 100)
    expect(heard.gone).toEqual([])
    child.kill()
  })
})
