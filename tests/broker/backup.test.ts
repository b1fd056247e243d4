import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { BROKER } from '../../broker/audit/event.ts'
import { type AuditLog, openAuditLog } from '../../broker/audit/log.ts'
import { backup } from '../../broker/backup/backup.ts'
import { restore } from '../../broker/backup/restore.ts'
import { RestoreGuard } from '../../broker/backup/restore-guard.ts'
import { systemClock } from '../../broker/domain/clock.ts'
import { newId } from '../../broker/domain/ids.ts'
import { Secret } from '../../broker/domain/secret.ts'
import { rootFromHandout } from '../../broker/keys/handout.ts'
import { openKeys } from '../../broker/keys/keys.ts'
import { openStore, type Store } from '../../broker/store/store.ts'
import { change } from './audit-support.ts'

const passphrase = new Secret('correct horse battery')
const now = () => Date.UTC(2026, 10, 24)
let base: string
let live: string
let saved: string
let fresh: string

beforeEach(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'sallyport-backup-'))
  // World-passable, so that the unprivileged PostgreSQL of a root run reaches its folder.
  const { chmod } = await import('node:fs/promises')
  await chmod(base, 0o755)
  live = path.join(base, 'live')
  saved = path.join(base, 'saved')
  fresh = path.join(base, 'fresh')
})
afterEach(() => rm(base, { recursive: true, force: true }))

interface Deployment {
  store: Store
  log: AuditLog
  stop(): Promise<void>
}

async function open(dataDir: string): Promise<Deployment> {
  const store = await openStore({ dataDir })
  const keys = await openKeys(dataDir, now())
  const log = await openAuditLog({
    db: store.db,
    clock: systemClock,
    deployment: keys.deployment,
    epoch: keys.statement.epochs.at(-1)?.epoch ?? 0,
    node: 'test',
    boot: newId(),
    macKey: keys.auditMac,
    logKey: { publicKey: keys.log.publicKey, sign: (data) => keys.log.sign(data) },
    checkpointFile: path.join(dataDir, 'checkpoints.log'),
    journalFile: path.join(dataDir, 'audit-journal.ndjson'),
    clockState: () => 'ok',
    policy: () => null,
  }).catch(async (error) => {
    await store.close()
    throw error
  })
  return {
    store,
    log,
    async stop() {
      await log.close()
      await store.close()
    },
  }
}

/** Red without the log's word in backup/restore-guard.ts: a row or a file that is edited would open the door. */
async function confirmed(restored: Deployment): Promise<void> {
  const { db } = restored.store
  const { auditMac: macKey } = await openKeys(fresh, now())
  const guard = () => RestoreGuard.open({ db, audit: restored.log, macKey, dataDir: fresh })
  const openAlarms = () =>
    db.sql<{ message: string }[]>`SELECT message FROM alarm WHERE kind = 'restored' AND closed_at IS NULL`
  expect(await openAlarms()).toEqual([{ message: expect.stringContaining('No new session opens') }])
  const [row] = await db.sql<{ id: string }[]>`SELECT id FROM restored`
  expect(await (await guard()).unconfirmed()).toMatchObject({ id: row?.id })
  const note = path.join(fresh, 'restored')
  const text = await readFile(note, 'utf8')
  await rm(note)
  expect(await (await guard()).unconfirmed()).not.toBeNull()
  await writeFile(note, text)
  await db.sql`DELETE FROM restored`
  const told = await guard()
  expect(await told.unconfirmed()).toMatchObject({ id: row?.id })
  await writeFile(note, 'no note')
  await expect(guard()).rejects.toThrow('cannot be read')
  expect(await told.confirm({ actor: BROKER }, 'All of it.')).toBe(true)
  expect(await told.unconfirmed()).toBeNull()
  expect(await openAlarms()).toEqual([])
  expect(await (await guard()).unconfirmed()).toBeNull()
  expect(await told.confirm({ actor: BROKER }, 'Again.')).toBe(false)
  const { entries } = await restored.log.find({ action: 'restore.confirmed' }, { limit: 10 })
  expect(entries.map(({ entry }) => entry)).toMatchObject([
    { object: { kind: 'restore', id: row?.id }, reason: 'All of it.' },
  ])
}

async function write(to: Deployment, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    await to.store.db.tx((tx) => to.log.record(tx, change(`a${n}`, { n, text: 'tab\there\nand a line' })))
  }
  await to.log.checkpoint()
}

describe('backup and restore', () => {
  it('of a running deployment: the restored log verifies and goes on, rows are still vouched for', async () => {
    const running = await open(live)
    await write(running, 12)
    await running.store.db.sql`INSERT INTO alarm (id, kind, subject, message)
      VALUES (${newId()}, 'test', 'x', ${'a\tb\\n"c"\n'})`
    const person = newId()
    const at = new Date(now())
    const later = new Date(now() + 3_600_000)
    const { sql } = running.store.db
    await sql`INSERT INTO person (id, issuer, subject, name, enabled, created_at)
      VALUES (${person}, 'local', ${person}, 'Ada', true, ${at})`
    await sql`INSERT INTO sign_in (id, token_hash, person_id, method, provider, revocation_epoch, created_at,
        last_seen_at, authenticated_at, expires_at)
      VALUES (${newId()}, ${Buffer.alloc(32)}, ${person}, 'passkey', 'passkey', 0, ${at}, ${at}, ${at}, ${later})`
    await sql`INSERT INTO set_up_link (token_hash, person_id, created_at, expires_at)
      VALUES (${Buffer.alloc(32)}, ${person}, ${at}, ${later})`
    const manifest = await backup({ dataDir: live, to: saved, passphrase, now })
    expect(manifest).toMatchObject({ logSize: 12, keys: 'encrypted' })
    const before = await running.log.latestCheckpoint()
    await running.stop()

    expect(await restore({ from: saved, dataDir: fresh, passphrase, now })).toMatchObject({
      logSize: 12,
      newEpoch: null,
    })
    const restored = await open(fresh)
    expect(await restored.log.latestCheckpoint()).toEqual(before)
    await restored.log.verifyObject(restored.store.db.sql, 'asset', 'a3', {
      n: 3,
      text: 'tab\there\nand a line',
    })
    expect(await restored.store.db.sql`SELECT message FROM alarm WHERE kind <> 'restored'`).toMatchObject([
      { message: 'a\tb\\n"c"\n' },
    ])
    // Red without `endWhatIsOut`: what was taken away since the backup would be in force again.
    const out = await restored.store.db.sql<{ ended: string | null; open: boolean }[]>`
      SELECT s.ended_because AS ended, l.expires_at > ${new Date(now())} AS open FROM sign_in s, set_up_link l`
    expect(out).toEqual([{ ended: 'restored', open: false }])
    await confirmed(restored)
    // Staging numbers go on, foreign keys and the queue's guard are back.
    await write(restored, 2)
    expect(await restored.log.size()).toBe(15)
    await expect(restored.store.db.sql`INSERT INTO audit.leaf VALUES (99, ${newId()})`).rejects.toMatchObject(
      {
        code: '23503',
      },
    )
    await restored.stop()
  })

  it('holds no private key in clear, and none without the passphrase', async () => {
    const running = await open(live)
    await write(running, 1)
    await running.stop()
    await backup({ dataDir: live, to: saved, passphrase, now })
    const vault = (await readFile(path.join(live, 'keys', 'vault.key'), 'utf8')).trim()
    const passwords = Object.values(
      (
        JSON.parse(await readFile(path.join(live, 'database.json'), 'utf8')) as {
          passwords: Record<string, string>
        }
      ).passwords,
    )
    for (const name of await readdir(saved, { recursive: true })) {
      const content = await readFile(path.join(saved, name), 'latin1').catch(() => '')
      for (const secret of [vault, ...passwords]) expect(content).not.toContain(secret)
    }
    const wrong = restore({ from: saved, dataDir: fresh, passphrase: new Secret('wrong horse battery'), now })
    await expect(wrong).rejects.toMatchObject({ code: 'backup-passphrase' })
    await rm(fresh, { recursive: true })
    await expect(
      backup({ dataDir: live, to: `${saved}2`, passphrase: new Secret('short'), now }),
    ).rejects.toMatchObject({ code: 'backup-passphrase' })

    await backup({ dataDir: live, to: `${saved}3`, now })
    await expect(restore({ from: `${saved}3`, dataDir: fresh, now })).rejects.toMatchObject({
      code: 'keys-missing',
    })
    await cp(path.join(live, 'keys'), path.join(fresh, 'keys'), { recursive: true })
    expect(await restore({ from: `${saved}3`, dataDir: fresh, now })).toMatchObject({ logSize: 1 })
  })

  it('refuses a full target, a used data folder and a changed backup', async () => {
    const running = await open(live)
    await write(running, 2)
    await running.stop()
    await backup({ dataDir: live, to: saved, passphrase, now })
    await expect(backup({ dataDir: live, to: saved, passphrase, now })).rejects.toMatchObject({
      code: 'backup-target-not-empty',
    })
    await expect(restore({ from: saved, dataDir: live, passphrase, now })).rejects.toMatchObject({
      code: 'data-folder-not-empty',
    })
    const rows = path.join(saved, 'tables', 'audit.entry.copy')
    const text = await readFile(rows, 'utf8')
    await writeFile(rows, text.replace('\n', '\n').slice(0, text.indexOf('\n') + 1))
    await expect(restore({ from: saved, dataDir: fresh, passphrase, now })).rejects.toMatchObject({
      code: 'backup-damaged',
    })
  })

  it('entries lost since the backup: refused, until the root begins a new epoch', async () => {
    const running = await open(live)
    await write(running, 3)
    await backup({ dataDir: live, to: saved, passphrase, now })
    await write(running, 4)
    await running.stop()
    const newerCheckpoints = path.join(live, 'checkpoints.log')
    const again = { from: saved, dataDir: fresh, passphrase, newerCheckpoints, now }
    await expect(restore(again)).rejects.toMatchObject({ code: 'log-tail-missing' })
    await rm(fresh, { recursive: true })
    const root = rootFromHandout(await readFile(path.join(live, 'OFFLINE-KEYS.txt'), 'utf8'))
    if (!root) throw new Error('no root')
    expect(await restore({ ...again, root: new Secret(root) })).toMatchObject({ newEpoch: 1, lostEntries: 4 })
    const restored = await open(fresh)
    await write(restored, 1)
    expect((await restored.log.checkpoint()).note).toMatch(/^sallyport\/[^/]+\/audit\/1\n4\n/)
    await restored.stop()
    const keys = await openKeys(fresh, now())
    expect(keys.statement.epochs[1]?.follows).toContain('/audit/0\n7\n')
  })
})
