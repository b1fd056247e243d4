import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../broker/domain/manual-clock.ts'
import { watchDropFolder } from './drop-folder.ts'
import { readTicketFile, TicketFileError } from './ticket-file.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'sallyport-tickets-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const put = (name: string, text: string) => writeFile(path.join(folder, name), text)
const names = async (below: string) => (await readdir(path.join(folder, below))).sort()

describe('the ticket folder', () => {
  it('sorts files by what they are worth, and leaves what it cannot judge now', async () => {
    let down = true
    const errors: unknown[] = []
    const taken: string[] = []
    const watch = watchDropFolder({
      folder,
      clock: manualClock(),
      receive: async (jws) => {
        if (jws === 'bad') throw new TicketFileError('not-readable', 'The list is empty.')
        if (jws === 'later' && down) throw new Error('the database is down')
        taken.push(jws)
      },
      onError: (error) => errors.push(error),
    })
    await put('a.jws', 'good')
    await put('b.jws', 'bad')
    await put('c.jws', 'later')
    await put('notes.txt', 'no ticket file')
    await put('d.jws.part', 'half')
    await expect(watch.round()).rejects.toThrow('the database is down')
    expect(await names('accepted')).toEqual(['2026-11-24T010000.000Z-a.jws'])
    expect(await names('refused')).toEqual([
      '2026-11-24T010000.000Z-b.jws',
      '2026-11-24T010000.000Z-b.jws.reason.txt',
    ])
    expect(
      await readFile(path.join(folder, 'refused', '2026-11-24T010000.000Z-b.jws.reason.txt'), 'utf8'),
    ).toBe('not-readable: The list is empty.\n')
    down = false
    await watch.round()
    expect(taken).toEqual(['good', 'later'])
    expect((await readdir(folder)).sort()).toEqual(['accepted', 'd.jws.part', 'notes.txt', 'refused'])
    await watch.close()
  })

  it('does not follow links and refuses what is too large', async () => {
    const taken: string[] = []
    const watch = watchDropFolder({
      folder,
      clock: manualClock(),
      receive: async (jws) => taken.push(jws),
      onError: () => undefined,
    })
    await symlink('/etc/hostname', path.join(folder, 'link.jws'))
    await put('large.jws', 'x'.repeat(1_000_001))
    await watch.round()
    expect(taken).toEqual([])
    expect((await names('refused')).filter((name) => name.endsWith('large.jws'))).toHaveLength(1)
    await watch.close()
  })
})

it('the script in docs/ticket-file.md signs a file that counts', async () => {
  const guide = await readFile(path.join(import.meta.dirname, '../../docs/ticket-file.md'), 'utf8')
  const script = /```js\n([\s\S]*?)```/.exec(guide)?.[1] ?? ''
  const csv = /( {4}key,title[\s\S]*?)\n\n/.exec(guide)?.[1]?.replaceAll(/^ {4}/gm, '') ?? ''
  await put('sign-tickets.mjs', script)
  await put('tickets.csv', csv)
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ['sign-tickets.mjs', 'tickets.csv'],
    {
      cwd: folder,
    },
  )
  const jwk = JSON.parse(stderr.slice(stderr.indexOf('{'), stderr.lastIndexOf('}') + 1))
  const file = await readTicketFile(stdout, jwk, Date.now())
  expect(file.tickets.map((ticket) => [ticket.key, ticket.state])).toEqual([
    ['CHG001', 'approved'],
    ['CHG002', 'waiting'],
  ])
})
