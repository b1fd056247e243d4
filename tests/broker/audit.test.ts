import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { closeAlarm, listAlarms } from '../../broker/audit/alarms.ts'
import { sequenceBatch } from '../../broker/audit/sequencer.ts'
import { entryMac } from '../../broker/audit/stage.ts'
import { auditEntry } from '../../broker/contract/audit-entry.ts'
import { parseCheckpoint, verifyCheckpoint } from '../../broker/contract/checkpoint.ts'
import { jcs } from '../../broker/domain/canonical.ts'
import { leafHash, merkleRoot, rootFromInclusion, verifyConsistency } from '../../broker/domain/merkle.ts'
import { Secret } from '../../broker/domain/secret.ts'
import { until } from '../lab/until.ts'
import { ANN, change, logKey, testLog } from './audit-support.ts'
import { POOL, startCluster, type TestCluster, type TestDatabase, testMacKey } from './database.ts'

let cluster: TestCluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster.close())

async function fresh() {
  const database = await cluster.database()
  return { ...database, ...(await testLog(cluster, database)) }
}

const record = (on: Awaited<ReturnType<typeof fresh>>, id: string, after: unknown) =>
  on.db.tx((tx) => on.log.record(tx, change(id, after)))

describe('audit log', () => {
  it('keeps the exact canonical bytes, in the transaction of the change', async () => {
    const on = await fresh()
    const { id } = await record(on, 'a1', { name: 'Pump' })
    await expect(
      on.db.tx(async (tx) => {
        await on.log.record(tx, change('a2', { name: 'never' }))
        throw new Error('rolled back')
      }),
    ).rejects.toThrow('rolled back')
    expect(await on.log.indexOf(id)).toBe(0)
    const [row] = await on.log.read(0, 10)
    const entry = auditEntry.parse(JSON.parse(row?.bytes.toString('utf8') ?? ''))
    expect(Buffer.from(jcs(entry))).toEqual(row?.bytes)
    expect(entry).toMatchObject({ id, type: 'asset', action: 'asset.changed', before: null, clock: 'ok' })
    expect(await on.log.size()).toBe(1)
    await on.log.close()
  })

  it('takes long and hostile text without failing', async () => {
    const on = await fresh()
    const { id } = await on.db.tx((tx) =>
      on.log.record(tx, {
        action: 'session.closed',
        actor: ANN,
        reason: `\ud800${'x'.repeat(5000)}\0`,
        details: { note: `nul \0 here ${'y'.repeat(9000)}` },
      }),
    )
    expect(await on.log.indexOf(id)).toBe(0)
    await on.log.close()
  })

  it('the application role can neither change, delete nor truncate it, nor empty the queue', async () => {
    const on = await fresh()
    await record(on, 'a1', 1)
    for (const table of ['entry', 'leaf', 'node', 'checkpoint', 'refused']) {
      for (const statement of [
        `DELETE FROM audit.${table}`,
        `TRUNCATE audit.${table} CASCADE`,
        `DROP TABLE audit.${table} CASCADE`,
      ]) {
        await expect(on.db.sql.unsafe(statement)).rejects.toMatchObject({ code: '42501' })
      }
    }
    await expect(on.db.sql`UPDATE audit.entry SET bytes = bytes`).rejects.toMatchObject({ code: '42501' })
    await expect(on.db.sql`UPDATE audit.leaf SET idx = idx + 1`).rejects.toMatchObject({ code: '42501' })
    await expect(on.db.sql`ALTER TABLE audit.entry DISABLE TRIGGER ALL`).rejects.toMatchObject({
      code: '42501',
    })
    await expect(on.db.sql`UPDATE schema_migration SET checksum = ''`).rejects.toMatchObject({
      code: '42501',
    })
    const another = await on.db
      .tx(async (tx) => {
        await on.log.record(tx, change('a2', 1))
        return tx`DELETE FROM audit.pending`.catch((error) => error)
      })
      .catch((error) => error)
    expect(another).toMatchObject({ code: '42501' })
    await on.log.close()
  })

  it('is gapless with two sequencers and concurrent writers', async () => {
    const on = await fresh()
    const second = await on.open(on.another(), { checkpointFile: `${on.checkpointFile}.2` })
    const ids: string[] = []
    const writer = async (name: string) => {
      for (let n = 0; n < 40; n++) {
        const { id } = await record(on, `${name}${n}`, n)
        ids.push(id)
      }
    }
    const pull = async () => {
      for (let n = 0; n < 20; n++) await Promise.all([on.log.round(), second.round()])
    }
    await Promise.all([writer('a'), writer('b'), writer('c'), pull()])
    await until(async () => (await on.log.size()) === 120, 'all are sequenced')
    const rows = await on.log.read(0, 1000)
    expect(rows.map((row) => row.index)).toEqual(Array.from({ length: 120 }, (_, n) => n))
    const inLog = rows.map((row) => (JSON.parse(row.bytes.toString()) as { id: string }).id)
    expect(inLog.sort()).toEqual(ids.sort())
    const head = await second.checkpoint()
    expect(head.root).toEqual(merkleRoot(rows.map((row) => leafHash(row.bytes))))
    expect(on.alarms).toEqual([])
    await second.close()
    await on.log.close()
  })

  it('a crash between staging and sequencing loses nothing', async () => {
    const on = await fresh()
    await on.log.close()
    // A broker that dies right after the commit: nobody is left to sequence.
    await on.db.tx((tx) => on.log.record(tx, change('a1', 1)))
    expect(await on.log.size()).toBe(0)
    const next = await on.open(on.db)
    await until(async () => (await next.size()) === 1, 'it is sequenced after the restart')
    await next.close()
  })

  it('a batch that fails half way leaves no trace of itself', async () => {
    const on = await fresh()
    await on.log.close()
    for (let n = 0; n < 5; n++) await record(on, `a${n}`, n)
    const key = testMacKey()
    await on.owner.sql`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'disk full'; END $$`
    await on.owner
      .sql`CREATE TRIGGER fail BEFORE INSERT ON audit.node FOR EACH STATEMENT EXECUTE FUNCTION fail()`
    await expect(sequenceBatch(on.db, key, 100)).rejects.toThrow('disk full')
    await on.owner.sql`DROP TRIGGER fail ON audit.node`
    expect(await on.log.size()).toBe(0)
    expect(await sequenceBatch(on.db, key, 100)).toEqual({ taken: 5, refused: [] })
  })
})

describe('rows that open doors', () => {
  it('count only in the state of their latest entry, staged or sequenced', async () => {
    const on = await fresh()
    await on.db.tx(async (tx) => {
      await on.log.record(tx, change('a1', { pin: 'x' }))
      // Still in the same transaction: staged only.
      await on.log.verifyObject(tx, 'asset', 'a1', { pin: 'x' })
    })
    await on.log.round()
    await on.log.verifyObject(on.db.sql, 'asset', 'a1', { pin: 'x' })
    await record(on, 'a1', { pin: 'y' })
    // An entry that only names the object does not change what vouches for it.
    await on.db.tx((tx) =>
      on.log.record(tx, { action: 'asset.viewed', actor: ANN, object: { kind: 'asset', id: 'a1' } }),
    )
    await on.log.verifyObjects(on.db.sql, [
      { kind: 'asset', id: 'a1', current: { pin: 'y' } },
      { kind: 'asset', id: 'never', current: null },
    ])
    expect(on.alarms).toEqual([])
    await on.log.close()
  })

  it('a row edited, inserted or deleted by the database administrator is refused, with an alarm and an entry', async () => {
    const on = await fresh()
    await record(on, 'a1', { pin: 'x' })
    const verify = (id: string, current: unknown) => on.log.verifyObject(on.db.sql, 'asset', id, current)
    await expect(verify('a1', { pin: 'evil' })).rejects.toMatchObject({ code: 'row-not-vouched-for' })
    await expect(verify('a1', null)).rejects.toMatchObject({ code: 'row-not-vouched-for' })
    await expect(verify('inserted', { pin: 'x' })).rejects.toMatchObject({ code: 'row-not-vouched-for' })
    await expect(verify('a1', { pin: 'evil' })).rejects.toMatchObject({ code: 'row-not-vouched-for' })
    const alarms = await listAlarms(on.db.sql)
    expect(alarms.map((alarm) => alarm.subject).sort()).toEqual(['asset a1', 'asset inserted'])
    const { entries } = await on.log.find({ action: 'integrity.' }, { limit: 10 })
    expect(entries).toHaveLength(2)
    expect(await closeAlarm(on.db.sql, alarms[0]?.id ?? '', 'ann', 'restored from backup')).toBe(true)
    await on.log.close()
  })

  it('a deleted object stays deleted', async () => {
    const on = await fresh()
    await record(on, 'a1', { pin: 'x' })
    await on.db.tx((tx) =>
      on.log.record(tx, {
        action: 'asset.deleted',
        actor: ANN,
        object: { kind: 'asset', id: 'a1' },
        before: { pin: 'x' },
      }),
    )
    await on.log.verifyObject(on.db.sql, 'asset', 'a1', null)
    await expect(on.log.verifyObject(on.db.sql, 'asset', 'a1', { pin: 'x' })).rejects.toMatchObject({
      code: 'row-not-vouched-for',
    })
    await on.log.close()
  })

  it('an entry forged by the database administrator vouches for nothing and stays out of the log', async () => {
    const on = await fresh()
    const { entry } = await record(on, 'a1', { pin: 'x' })
    await on.log.round()
    const forged = { ...entry, id: '01890a5d-ac96-774b-bcce-b302099a8057', after: 'a'.repeat(64) }
    await on.owner.sql`INSERT INTO audit.entry (staged, bytes, mac)
      VALUES (nextval('audit.entry_staged'), ${Buffer.from(jcs(forged))}, ${Buffer.alloc(32, 1)})`
    await expect(on.log.verifyObject(on.db.sql, 'asset', 'a1', { pin: 'x' })).rejects.toMatchObject({
      code: 'entry-not-ours',
    })
    await on.log.round()
    expect(on.alarms.map((alarm) => alarm.code)).toContain('entry-not-ours')
    const inLog = await on.log.read(0, 100)
    expect(inLog.some((row) => (JSON.parse(row.bytes.toString()) as { id: string }).id === forged.id)).toBe(
      false,
    )
    const { entries } = await on.log.find({}, { limit: 50 })
    expect(entries.some((found) => found.entry.id === forged.id)).toBe(false)
    await on.log.close()
  })

  it('an old entry moved to the end vouches for nothing', async () => {
    const on = await fresh()
    await record(on, 'a1', { pin: 'old' })
    await record(on, 'a1', { pin: 'new' })
    await on.log.round()
    await on.owner.sql`UPDATE audit.entry SET staged = nextval('audit.entry_staged')
      WHERE staged = (SELECT min(staged) FROM audit.entry)`
    await expect(on.log.verifyObject(on.db.sql, 'asset', 'a1', { pin: 'old' })).rejects.toMatchObject({
      code: 'entry-not-ours',
    })
    await on.log.close()
  })

  it('a latest entry that vanishes is noticed by the running broker and by the next start', async () => {
    const on = await fresh()
    await record(on, 'a1', { pin: 'old' })
    await record(on, 'a1', { pin: 'new' })
    await on.log.checkpoint()
    await on.log.verifyObject(on.db.sql, 'asset', 'a1', { pin: 'new' })
    await on.owner.sql`DELETE FROM audit.leaf WHERE idx = 1`
    await on.owner.sql`DELETE FROM audit.entry WHERE staged = (SELECT max(staged) FROM audit.entry)`
    await expect(on.log.verifyObject(on.db.sql, 'asset', 'a1', { pin: 'old' })).rejects.toMatchObject({
      code: 'log-entry-missing',
    })
    await on.log.close()
    await expect(on.open(on.db)).rejects.toMatchObject({ code: 'log-tail-missing' })
  })
})

describe('an entry deleted far back', () => {
  it('stops the next start, and so does one that is only hidden from whoever asks about its object', async () => {
    const on = await fresh()
    await record(on, 'a1', { pin: 'old' })
    await record(on, 'a1', { pin: 'new' })
    await bulk(on.db, 1_500)
    await on.log.checkpoint()
    await on.log.close()
    await on.owner.sql`ALTER TABLE audit.entry ALTER COLUMN object_id DROP EXPRESSION`
    const hide = (from: string, to: string) => on.owner.sql`
      UPDATE audit.entry SET object_id = ${to}
      WHERE object_id = ${from} AND id = (SELECT entry FROM audit.leaf WHERE idx = 1)`
    await hide('a1', 'somewhere else')
    await expect(on.open(on.db)).rejects.toMatchObject({ code: 'log-rewritten', subject: 'entry 1' })
    await hide('somewhere else', 'a1')
    await (await on.open(on.db)).close()
    await on.owner.tx(async (tx) => {
      const [leaf] = await tx<{ entry: string }[]>`DELETE FROM audit.leaf WHERE idx = 1 RETURNING entry`
      await tx`DELETE FROM audit.entry WHERE id = ${leaf?.entry ?? ''}`
    })
    await expect(on.open(on.db)).rejects.toMatchObject({ code: 'log-entry-missing', subject: 'entry 1' })
  })

  it('is found by the running check of the whole log, and then nothing is vouched for any more', async () => {
    const on = await fresh()
    await record(on, 'a1', { pin: 'old' })
    await record(on, 'a1', { pin: 'new' })
    await bulk(on.db, 1_500)
    await on.log.checkpoint()
    await on.log.close()
    await on.owner.tx(async (tx) => {
      const [leaf] = await tx<{ entry: string }[]>`DELETE FROM audit.leaf WHERE idx = 1 RETURNING entry`
      await tx`DELETE FROM audit.entry WHERE id = ${leaf?.entry ?? ''}`
    })
    const next = await on.open(on.db, { checkedAtStart: 1_000 })
    await until(() => {
      on.clock.advance(250)
      return next.health().broken !== null
    }, 'it is found')
    expect(next.health().broken).toMatchObject({ code: 'log-entry-missing', subject: 'entry 1' })
    await expect(next.verifyObject(on.db.sql, 'asset', 'a1', { pin: 'old' })).rejects.toMatchObject({
      code: 'log-entry-missing',
    })
    await expect(next.checkpoint()).rejects.toMatchObject({ code: 'log-entry-missing' })
    await next.close()
  })

  it('an untouched log is read to its end', async () => {
    const on = await fresh()
    await bulk(on.db, 2_100)
    await on.log.checkpoint()
    await until(() => {
      on.clock.advance(250)
      return on.log.health().checkedWhole
    }, 'it is read')
    expect(on.alarms).toEqual([])
    await on.log.close()
  })
})

describe('checkpoints and proofs', () => {
  it('verify as C2SP notes, and prove every entry and every older checkpoint', async () => {
    const on = await fresh()
    const heads = []
    for (let n = 0; n < 11; n++) {
      await record(on, `a${n}`, n)
      if (n % 3 === 0) heads.push(await on.log.checkpoint())
    }
    const head = await on.log.checkpoint()
    const read = parseCheckpoint(head.note)
    expect(read && verifyCheckpoint(read, { name: read.origin, publicKey: logKey.publicKey })).toBe(true)
    for (const row of await on.log.read(0, 100)) {
      const { path } = await on.log.inclusion(row.index, head.size)
      expect(rootFromInclusion(leafHash(row.bytes), row.index, head.size, path)).toEqual(head.root)
    }
    for (const old of heads) {
      const { path } = await on.log.consistency(old.size, head.size)
      expect(verifyConsistency(old.size, head.size, old.root, head.root, path)).toBe(true)
    }
    expect((await on.log.checkpoint()).note).toBe(head.note)
    expect((await readFile(on.checkpointFile, 'utf8')).trim().split('\n')).toHaveLength(5)
    await on.log.close()
  })

  it('come every 60 s while there is something new, and every 1,000 entries', async () => {
    const on = await fresh()
    const count = async () => (await on.db.sql`SELECT 1 FROM audit.checkpoint`).length
    await record(on, 'a1', 1)
    await on.log.round()
    on.clock.advance(59_000)
    await on.log.round()
    expect(await count()).toBe(0)
    on.clock.advance(1_000)
    await on.log.round()
    expect(await count()).toBe(1)
    on.clock.advance(600_000)
    await on.log.round()
    expect(await count()).toBe(1)
    await bulk(on.db, 999)
    await on.log.round()
    expect(await count()).toBeLessThanOrEqual(2)
    const before = await count()
    await bulk(on.db, 1_000)
    await on.log.round()
    expect(await count()).toBe(before + 1)
    await on.log.close()
  })
})

/** Stages many entries in one statement, with valid MACs. */
async function bulk(db: TestDatabase['db'], count: number): Promise<void> {
  const rows = await db.sql<{ staged: number }[]>`
    SELECT nextval('audit.entry_staged') AS staged FROM generate_series(1, ${count})`
  const key = testMacKey()
  const values = rows.map(({ staged }) => {
    const bytes = Buffer.from(jcs(template(staged)))
    return { staged, bytes, mac: entryMac(key, staged, bytes) }
  })
  await db.sql`INSERT INTO audit.entry ${db.sql(values)}`
}

function template(n: number) {
  const hex = n.toString(16).padStart(12, '0')
  return {
    v: 1,
    id: `01890a5d-ac96-774b-8cce-${hex}`,
    type: 'bulk',
    action: 'bulk.entry',
    actor: { kind: 'system', id: 'test', name: null, organisation: null },
    authentication: null,
    source: null,
    object: null,
    result: 'ok',
    reason: null,
    before: null,
    after: null,
    correlation: { request: null, grant: null, session: null, recording: null, ticket: null },
    time: '2026-11-24T01:00:00.000Z',
    clock: 'ok',
    node: 'test',
    boot: '01890a5d-ac96-774b-bcce-b302099a8057',
    policy: null,
    details: {},
  }
}

describe('with a long history', () => {
  it('appending and proving touch no more rows at 100,000 entries than their height says', {
    timeout: 300_000,
  }, async () => {
    const on = await fresh()
    const reads = async (work: () => Promise<unknown>) => {
      const stats = async () => {
        // Of this database, as the server itself counts: rows read by any scan, and written. Each connection keeps its
        // counts for seconds, so every one of the pool hands them in: all are held at once, or one would be asked twice.
        let held = 0
        const handIn = () =>
          on.db.tx(async (tx) => {
            await tx`SELECT pg_stat_force_next_flush()`
            held += 1
            await until(() => held === POOL, 'every connection is held')
          })
        await Promise.all(Array.from({ length: POOL }, handIn))
        const [row] = await on.owner.sql<{ n: number }[]>`
          SELECT (sum(seq_tup_read) + sum(coalesce(idx_tup_fetch, 0)) + sum(n_tup_ins))::bigint AS n
          FROM pg_stat_user_tables WHERE schemaname = 'audit'`
        return row?.n ?? 0
      }
      const before = await stats()
      await work()
      return (await stats()) - before
    }
    const cost = async () => {
      const size = await on.log.size()
      return {
        append: await reads(async () => {
          await record(on, 'cost', size)
          await on.log.round()
        }),
        proof: await reads(async () => {
          await on.log.inclusion(Math.floor(size / 3), size)
          await on.log.consistency(Math.floor(size / 3), size)
        }),
        vouch: await reads(() => on.log.verifyObject(on.db.sql, 'asset', 'cost', size)),
        page: await reads(() => on.log.find({ action: 'asset.' }, { limit: 1 })),
      }
    }
    await bulk(on.db, 1_000)
    await on.log.round()
    const small = await cost()
    for (let n = 0; n < 99; n++) {
      await bulk(on.db, 1_000)
      if (n % 9 === 8) await on.log.round()
    }
    await on.log.round()
    await on.owner.sql`ANALYZE`
    expect(await on.log.size()).toBeGreaterThan(100_000)
    const large = await cost()
    // A hundred times the entries is seven levels more; a scan of history would cost 100,000.
    for (const [name, value] of Object.entries(large)) {
      expect([name, value < 400]).toEqual([name, true])
      expect([name, value <= small[name as keyof typeof small] + 120]).toEqual([name, true])
    }
    await on.log.close()
  })
})

describe('reading the log', () => {
  it('filters, pages by position, and streams CSV that no spreadsheet executes', async () => {
    const on = await fresh()
    const session = '01890a5d-ac96-774b-bcce-000000000001'
    for (let n = 0; n < 25; n++) {
      await on.db.tx((tx) =>
        on.log.record(tx, {
          action: n % 5 === 0 ? 'session.start' : 'sessions.other',
          actor: { ...ANN, id: n % 2 ? 'ann' : 'bob' },
          result: n === 7 ? 'denied' : 'ok',
          reason: '=HYPERLINK("x"),\n"quoted"',
          correlation: n < 10 ? { session } : {},
        }),
      )
    }
    await on.log.round()
    const all: number[] = []
    let cursor: string | null = null
    do {
      const page: Awaited<ReturnType<typeof on.log.find>> = await on.log.find({}, { cursor, limit: 10 })
      all.push(...page.entries.map((found) => found.index ?? -1))
      cursor = page.next
    } while (cursor)
    expect(all).toEqual(Array.from({ length: 25 }, (_, n) => 24 - n))
    const count = async (filter: Parameters<typeof on.log.find>[0]) =>
      (await on.log.find(filter, { limit: 100 })).entries.length
    expect(await count({ action: 'session.' })).toBe(5)
    expect(await count({ session })).toBe(10)
    expect(await count({ actor: 'ann' })).toBe(12)
    expect(await count({ result: 'denied' })).toBe(1)
    expect(await count({ from: '2027-01-01T00:00:00.000Z' })).toBe(0)
    expect(await count({ action: '%' })).toBe(0)
    await expect(on.log.find({}, { cursor: "1'; DROP", limit: 1 })).rejects.toThrow('cursor')
    let csv = ''
    for await (const part of on.log.csv({ session })) csv += part
    expect(csv.split('\r\n')).toHaveLength(12)
    expect(csv).toContain(`"'=HYPERLINK(""x""),`)
    const ordered = []
    for await (const found of on.log.inOrder({ session })) ordered.push(found.index)
    expect(ordered).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    await on.log.close()
  })
})

describe('another key', () => {
  it('a broker with another MAC key accepts nothing of this log', async () => {
    const on = await fresh()
    await record(on, 'a1', 1)
    await on.log.round()
    await on.log.close()
    await expect(on.open(on.db, { macKey: new Secret(Buffer.alloc(32, 8)) })).rejects.toMatchObject({
      code: 'log-rewritten',
    })
  })
})
