import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseCheckpoint, type SignedCheckpoint } from '../../broker/contract/checkpoint.ts'
import { verifyConsistency } from '../../broker/domain/merkle.ts'
import { evidenceDesk } from '../../broker/sessions/evidence-desk.ts'
import { change, testLog } from './audit-support.ts'
import { startCluster, type TestCluster } from './database.ts'

let cluster: TestCluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster.close())

it('a package gets the newest earlier checkpoints, each proven to be a beginning of this one', async () => {
  const database = await cluster.database()
  const { log } = await testLog(cluster, database)
  for (let n = 0; n < 7; n++) {
    const { id } = await database.db.tx((tx) => log.record(tx, change(`asset ${n}`, { n })))
    await log.indexOf(id)
    await log.checkpoint()
  }
  const desk = evidenceDesk(database.db, log)
  const now = parseCheckpoint((await desk.checkpoint()).note) as SignedCheckpoint
  const lines = await desk.earlier(now.size, 4)
  const old = lines.map(({ note }) => parseCheckpoint(note) as SignedCheckpoint)
  expect(old.map(({ size }) => size)).toEqual([3, 4, 5, 6])
  for (const [at, { size, root }] of old.entries()) {
    const path = (lines[at]?.path ?? []).map((node) => Buffer.from(node, 'hex'))
    expect(verifyConsistency(size, now.size, root, now.root, path)).toBe(true)
  }
  expect(await desk.earlier(1, 4)).toEqual([])
  await log.close()
})
