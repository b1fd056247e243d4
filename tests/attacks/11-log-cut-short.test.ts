import { readFile, rm, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listAlarms } from '../../broker/audit/alarms.ts'
import { verifyConsistency } from '../../broker/domain/merkle.ts'
import { change, testLog } from '../broker/audit-support.ts'
import { startCluster, type TestCluster, type TestDatabase } from '../broker/database.ts'

/*
 * Threat 11: a database administrator takes the newest entries of the log back. Every checkpoint that was ever signed
 * lies beside the database too, with its gateways and with everybody who took a package.
 */

let cluster: TestCluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster?.close())

async function fresh() {
  const database = await cluster.database()
  return { ...database, ...(await testLog(cluster, database)) }
}

const record = (on: Awaited<ReturnType<typeof fresh>>, id: string, after: unknown) =>
  on.db.tx((tx) => on.log.record(tx, change(id, after)))

/** What a database administrator does to take the last entries back. */
async function cutTail(owner: TestDatabase['owner'], keep: number): Promise<void> {
  await owner.tx(async (tx) => {
    const gone = await tx<{ entry: string }[]>`DELETE FROM audit.leaf WHERE idx >= ${keep} RETURNING entry`
    await tx`DELETE FROM audit.entry WHERE id = ANY (${gone.map((row) => row.entry)}::uuid[])`
    await tx`DELETE FROM audit.node WHERE (idx + 1) * (1::bigint << level::int) > ${keep}`
    await tx`DELETE FROM audit.checkpoint WHERE size > ${keep}`
  })
}

describe('the database against its checkpoints', () => {
  it('a cut tail is refused at the next start, with an alarm', async () => {
    const on = await fresh()
    for (let n = 0; n < 7; n++) await record(on, `a${n}`, n)
    await on.log.checkpoint()
    await on.log.close()
    await cutTail(on.owner, 4)
    await expect(on.open(on.db)).rejects.toMatchObject({ code: 'log-tail-missing' })
    expect((await listAlarms(on.db.sql)).map((alarm) => alarm.kind)).toContain('log-tail-missing')
  })

  it('a cut tail is noticed while running, and no second history is ever signed', async () => {
    const on = await fresh()
    for (let n = 0; n < 7; n++) await record(on, `a${n}`, n)
    await on.log.checkpoint()
    await cutTail(on.owner, 4)
    for (let n = 0; n < 9; n++) await record(on, `b${n}`, n)
    await expect(on.log.checkpoint()).rejects.toMatchObject({ code: 'log-rewritten' })
    await expect(on.log.checkpoint()).rejects.toMatchObject({ code: 'log-rewritten' })
    const notes = (await readFile(on.checkpointFile, 'utf8')).trim().split('\n')
    expect(notes).toHaveLength(1)
    await on.log.close()
    await expect(on.open(on.db)).rejects.toMatchObject({ code: 'log-rewritten' })
  })

  it('a changed entry among the newest is refused at the next start', async () => {
    const on = await fresh()
    for (let n = 0; n < 5; n++) await record(on, `a${n}`, n)
    await on.log.checkpoint()
    await on.log.close()
    await on.owner.sql`UPDATE audit.entry SET bytes = convert_to(
      replace(convert_from(bytes, 'UTF8'), 'asset.changed', 'asset.chanced'), 'UTF8') WHERE staged = 3`
    await expect(on.open(on.db)).rejects.toMatchObject({ code: 'log-rewritten' })
  })

  it('entries swapped together with their leaf hashes are refused', async () => {
    const on = await fresh()
    for (let n = 0; n < 5; n++) await record(on, `a${n}`, n)
    await on.log.checkpoint()
    await on.log.close()
    await on.owner.tx(async (tx) => {
      const rows = await tx<
        { idx: number; entry: string }[]
      >`DELETE FROM audit.leaf WHERE idx IN (1, 2) RETURNING idx, entry`
      for (const row of rows) await tx`INSERT INTO audit.leaf VALUES (${3 - row.idx}, ${row.entry})`
      const nodes = await tx<{ idx: number; hash: Buffer }[]>`
        DELETE FROM audit.node WHERE level = 0 AND idx IN (1, 2) RETURNING idx, hash`
      for (const node of nodes) await tx`INSERT INTO audit.node VALUES (0, ${3 - node.idx}, ${node.hash})`
    })
    await expect(on.open(on.db)).rejects.toMatchObject({ code: 'log-rewritten' })
  })

  it('a checkpoint by another key in the file is refused; a torn last line is passed over', async () => {
    const on = await fresh()
    await record(on, 'a1', 1)
    await on.log.checkpoint()
    await on.log.close()
    const text = await readFile(on.checkpointFile, 'utf8')
    await writeFile(on.checkpointFile, `${text}{"at":"2026-11-24T01:0`)
    await (await on.open(on.db)).close()
    const note = (JSON.parse(text) as { note: string }).note
    const [origin, , root] = note.split('\n') as [string, string, string]
    const body = `${origin}\n2\n${root}\n`
    await writeFile(
      on.checkpointFile,
      `${JSON.stringify({ at: '', note: `${body}${note.slice(note.indexOf('\n\n') + 1)}` })}\n`,
    )
    await expect(on.open(on.db)).rejects.toMatchObject({ code: 'checkpoint-not-ours' })
  })

  it('nor is a second history told to somebody who kept a checkpoint: its consistency proof fails', async () => {
    const on = await fresh()
    for (let n = 0; n < 7; n++) await record(on, `a${n}`, n)
    const kept = await on.log.checkpoint()
    await on.log.close()
    // Now the broker's machine as well: the checkpoints it remembers are gone, and its key signs the new history.
    await cutTail(on.owner, 4)
    await rm(on.checkpointFile)
    const second = await on.open(on.db)
    for (let n = 0; n < 9; n++) await on.db.tx((tx) => second.record(tx, change(`b${n}`, n)))
    const told = await second.checkpoint()
    expect(told.size).toBeGreaterThan(kept.size)
    const { path } = await second.consistency(kept.size, told.size)
    expect(verifyConsistency(kept.size, told.size, kept.root, told.root, path)).toBe(false)
    await second.close()
  })
})
