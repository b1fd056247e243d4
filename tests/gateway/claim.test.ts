import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { claimSpool, SpoolInUse } from '../../recordings/spool/claim.ts'
import { until } from '../lab/until.ts'

let folder: string
const children: ChildProcess[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sallyport-claim-'))
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await rm(folder, { recursive: true })
})

/** Another process that claims the folder and stays. */
function claimer(enter: readonly string[] = []) {
  const module = new URL('../../recordings/spool/claim.ts', import.meta.url).href
  const code = `
    const { claimSpool } = await import(${JSON.stringify(module)})
    try { globalThis.release = claimSpool(${JSON.stringify(folder)}); console.log('claimed') }
    catch (error) { console.log(error.code) }
    setInterval(() => {}, 1000)`
  const command = [...enter, process.execPath, '--input-type=module', '-e', code]
  const child = spawn(command[0] ?? '', command.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const one = { child, said: '' }
  child.stdout.on('data', (data) => {
    one.said += data
  })
  return one
}

it('a second gateway on the same spool is refused, until the first has gone', () => {
  const release = claimSpool(folder)
  expect(() => claimSpool(folder)).toThrow(SpoolInUse)
  // The refused one has taken nothing away.
  expect(() => claimSpool(folder)).toThrow(SpoolInUse)
  release()
  claimSpool(folder)()
})

it('another process is refused, and what a kill -9 left holds nothing', async () => {
  const other = claimer()
  await until(() => other.said !== '', 'its word', 30_000)
  expect(other.said).toBe('claimed\n')
  expect(() => claimSpool(folder)).toThrow(SpoolInUse)
  const gone = new Promise((done) => other.child.once('exit', done))
  other.child.kill('SIGKILL')
  await gone
  claimSpool(folder)()
})

it('of many that start at once one gets it', async () => {
  const many = [1, 2, 3, 4].map(() => claimer())
  await until(() => many.every((one) => one.said !== ''), 'their word', 60_000)
  expect(many.map((one) => one.said.trim()).sort()).toEqual([
    'claimed',
    'spool-in-use',
    'spool-in-use',
    'spool-in-use',
  ])
})

it.skipIf(process.platform !== 'linux' || process.getuid?.() !== 0)(
  'two in containers of their own, each process 1 there, are told apart',
  async () => {
    const enter = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc']
    const first = claimer(enter)
    await until(() => first.said !== '', 'the first', 30_000)
    const second = claimer(enter)
    await until(() => second.said !== '', 'the second', 30_000)
    expect([first.said, second.said]).toEqual(['claimed\n', 'spool-in-use\n'])
  },
)
