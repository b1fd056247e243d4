import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { claimSpool, SpoolInUse } from './claim.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'claim-'))
})
afterEach(() => rm(folder, { recursive: true }))

test('a second gateway on the same spool is refused, until the first has gone', async () => {
  const release = await claimSpool(folder)
  await expect(claimSpool(folder)).rejects.toThrow(SpoolInUse)
  await release()
  await (await claimSpool(folder))()
})

test('what a kill -9 left, or a process id given anew, does not hold the spool', async () => {
  await writeFile(join(folder, 'gateway.lock'), `${process.pid} 1\n`)
  const release = await claimSpool(folder)
  expect(await readFile(join(folder, 'gateway.lock'), 'utf8')).not.toContain(' 1\n')
  await release()
  await writeFile(join(folder, 'gateway.lock'), '999999999 5\n')
  await (await claimSpool(folder))()
})

test('of many that start at once one gets it', async () => {
  await writeFile(join(folder, 'gateway.lock'), '999999999 5\n')
  const claims = await Promise.allSettled([1, 2, 3, 4].map(() => claimSpool(folder)))
  expect(claims.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
})
