import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sha256 } from '../../broker/domain/canonical.ts'
import { Secret } from '../../broker/domain/secret.ts'
import { runningEmbedded, startEmbedded } from '../../broker/store/embedded.ts'
import { type Migration, migrate, readMigrations } from '../../broker/store/migrate.ts'
import { DatabaseUnavailable, openDatabase, unavailable } from '../../broker/store/sql.ts'
import { openStore } from '../../broker/store/store.ts'
import { until } from '../lab/until.ts'
import { startCluster, type TestCluster } from './database.ts'

const run = promisify(execFile)
const asRoot = process.getuid?.() === 0

async function temporary(): Promise<string> {
  return mkdtemp(path.join(tmpdir(), 'sallyport-store-'))
}

describe('embedded PostgreSQL', () => {
  it('is made once, keeps its data, and has secrets only in a 0600 file', async () => {
    const dataDir = await temporary()
    try {
      const first = await openStore({ dataDir })
      expect(first.migrated[0]).toBe('001_audit.sql')
      await first.db.sql`INSERT INTO alarm (id, kind, subject, message)
        VALUES (gen_random_uuid(), 'test', 'x', 'kept')`
      const listening = await first.db.sql`SHOW listen_addresses`
      expect(listening[0]?.listen_addresses).toBe('')
      await first.close()
      const again = await openStore({ dataDir })
      expect(again.migrated).toEqual([])
      expect(await again.db.sql`SELECT message FROM alarm`).toMatchObject([{ message: 'kept' }])
      await again.close()
      expect((await stat(path.join(dataDir, 'database.json'))).mode & 0o777).toBe(0o600)
      expect(await readdir(dataDir)).not.toContain('database.lock')
    } finally {
      await rm(dataDir, { recursive: true, force: true })
    }
  })

  it('asks for a password', async () => {
    const dataDir = await temporary()
    const server = await startEmbedded({ dataDir })
    try {
      const to = server.connection('sallyport_app')
      const db = openDatabase({ ...to, password: new Secret('guess') } as typeof to, { max: 1 })
      await expect(db.sql`SELECT 1`).rejects.toMatchObject({ code: '28P01' })
      await db.close()
    } finally {
      await server.stop()
      await rm(dataDir, { recursive: true, force: true })
    }
  })

  it('a second broker on the same data folder is refused, and another process finds the running one', async () => {
    const dataDir = await temporary()
    const server = await startEmbedded({ dataDir })
    try {
      await expect(startEmbedded({ dataDir })).rejects.toMatchObject({ code: 'data-folder-in-use' })
      const to = await runningEmbedded(dataDir, 'sallyport_owner')
      if (!to) throw new Error('not found')
      const db = openDatabase(to, { max: 1 })
      expect(await db.ping()).toBe(true)
      await db.close()
    } finally {
      await server.stop()
    }
    expect(await runningEmbedded(dataDir, 'sallyport_owner')).toBeNull()
    await rm(dataDir, { recursive: true, force: true })
  })

  it('a crash is reported, queries fail as unavailable at once, and a start mends it', async () => {
    const dataDir = await temporary()
    const crashes: string[] = []
    const server = await startEmbedded({ dataDir, onCrash: (why) => crashes.push(why) })
    const db = openDatabase(server.connection('sallyport_app'))
    try {
      await db.sql`SELECT 1`
      process.kill(server.pid() as number, 'SIGKILL')
      await until(() => crashes.length === 1, 'the crash is noticed')
      expect(server.pid()).toBeNull()
      const begun = performance.now()
      await until(async () => !(await db.ping()), 'queries fail')
      await expect(db.tx((tx) => tx`SELECT 1`)).rejects.toBeInstanceOf(DatabaseUnavailable)
      expect(performance.now() - begun).toBeLessThan(5_000)
      await server.start()
      await until(() => db.ping(), 'it is back')
    } finally {
      await db.close()
      await server.stop()
      await rm(dataDir, { recursive: true, force: true })
    }
    expect(crashes).toHaveLength(1)
  })

  it('a server that hangs counts as unavailable after the deadline', async () => {
    const dataDir = await temporary()
    const server = await startEmbedded({ dataDir })
    const db = openDatabase(server.connection('sallyport_app'), { max: 1, deadlineMs: 500 })
    const [row] = await db.sql<{ pid: number }[]>`SELECT pg_backend_pid() AS pid`
    try {
      process.kill(row?.pid as number, 'SIGSTOP')
      await expect(db.tx((tx) => tx`SELECT 1`)).rejects.toMatchObject({ code: 'database-unavailable' })
      expect(await db.ping(200)).toBe(false)
      const failed = await db.sql`SELECT 1`.catch((error: unknown) => error)
      expect(unavailable(failed)).toBe(true)
      await expect(db.sql`SELECT ${1}::int + ${db.sql`2`}`.values()).rejects.toMatchObject({
        code: 'deadline',
      })
    } finally {
      process.kill(row?.pid as number, 'SIGCONT')
      await db.close()
      await server.stop()
      await rm(dataDir, { recursive: true, force: true })
    }
  })

  it('survives a kill -9 of the broker: the orphan is stopped, a stale pid file is removed', async () => {
    const dataDir = await temporary()
    const script = path.join(dataDir, 'start.mts')
    const store = path.resolve(import.meta.dirname, '../../broker/store/embedded.ts')
    await writeFile(
      script,
      `import { startEmbedded } from ${JSON.stringify(store)}
       await startEmbedded({ dataDir: ${JSON.stringify(dataDir)} })
       process.kill(process.pid, 'SIGKILL')`,
    )
    await run(process.execPath, [script]).catch(() => undefined)
    const orphan = Number(
      (await readFile(path.join(dataDir, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')[0],
    )
    const alive = async () => (await readlink(`/proc/${orphan}/cwd`).catch(() => null)) !== null
    expect(await alive()).toBe(true)
    const server = await startEmbedded({ dataDir })
    expect(server.pid()).not.toBe(orphan)
    expect(await alive()).toBe(false)
    // As after a power cut: the pid file names a process that is something else now.
    process.kill(server.pid() as number, 'SIGKILL')
    await until(() => server.pid() === null, 'it is gone')
    await server.stop()
    const pidFile = path.join(dataDir, 'postgres', 'postmaster.pid')
    const lines = (await readFile(pidFile, 'utf8')).split('\n')
    await writeFile(pidFile, [String(process.pid), ...lines.slice(1)].join('\n'))
    const mended = await startEmbedded({ dataDir })
    await mended.stop()
    await rm(dataDir, { recursive: true, force: true })
  })

  it.runIf(asRoot)('works as an ordinary user too', async () => {
    const dataDir = await temporary()
    try {
      await run('chown', ['65534:65534', dataDir])
      const script = path.join(dataDir, 'start.mts')
      const store = path.resolve(import.meta.dirname, '../../broker/store/store.ts')
      await writeFile(
        script,
        `import { openStore } from ${JSON.stringify(store)}
         const store = await openStore({ dataDir: ${JSON.stringify(path.join(dataDir, 'data'))} })
         const [row] = await store.db.sql\`SELECT current_user AS who, \${process.getuid()}::int AS uid\`
         console.log(JSON.stringify(row))
         await store.close()`,
        { mode: 0o644 },
      )
      const { stdout } = await run('setpriv', [
        '--reuid=65534',
        '--regid=65534',
        '--clear-groups',
        process.execPath,
        script,
      ])
      expect(JSON.parse(stdout)).toEqual({ who: 'sallyport_app', uid: 65534 })
    } finally {
      await rm(dataDir, { recursive: true, force: true })
    }
  })

  it.runIf(asRoot)('a deep data folder gets its socket elsewhere', async () => {
    const base = await temporary()
    const dataDir = path.join(base, 'x'.repeat(90))
    await run('chmod', ['755', base])
    await mkdir(dataDir)
    const server = await startEmbedded({ dataDir })
    const db = openDatabase(server.connection('sallyport_app'), { max: 1 })
    expect(await db.ping()).toBe(true)
    await db.close()
    await server.stop()
    await rm(base, { recursive: true, force: true })
  })
})

describe('migrations', () => {
  let cluster: TestCluster
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster.close())

  const step = (number: number, sql: string): Migration => ({
    number,
    name: `${number}_x.sql`,
    sql,
    checksum: sha256(sql).toString('hex'),
  })

  it('go forward only, each whole, and a changed or missing one is refused', async () => {
    const { owner, db } = await cluster.database()
    const real = await readMigrations()
    const one = step(901, 'CREATE TABLE one (id int); INSERT INTO one VALUES (1)')
    expect(await migrate(owner, [...real, one])).toEqual(['901_x.sql'])
    expect(await migrate(owner, [...real, one])).toEqual([])
    expect(await db.sql`SELECT id FROM one`).toMatchObject([{ id: 1 }])
    const bad = step(902, 'CREATE TABLE two (id int); SELECT 1/0')
    await expect(migrate(owner, [...real, one, bad])).rejects.toMatchObject({ code: '22012' })
    expect(await owner.sql`SELECT to_regclass('two') AS t`).toMatchObject([{ t: null }])
    await expect(migrate(owner, [...real, step(901, 'SELECT 1')])).rejects.toMatchObject({
      code: 'migration-changed',
    })
    await expect(migrate(owner, real)).rejects.toMatchObject({ code: 'migration-missing' })
  })

  it('two brokers starting at once migrate once', async () => {
    const { owner, connection } = await cluster.database()
    const other = openDatabase(connection('sallyport_owner'), { max: 1 })
    const real = await readMigrations()
    const steps = [1, 2, 3, 4].map((n) => step(910 + n, `CREATE TABLE once_${n} (id int)`))
    const done = await Promise.all([migrate(owner, [...real, ...steps]), migrate(other, [...real, ...steps])])
    expect(done.flat().sort()).toEqual(steps.map((one) => one.name))
    await other.close()
  })

  it('ordinary tables are writable for the application, not alterable', async () => {
    const { owner, db } = await cluster.database()
    await migrate(owner, [...(await readMigrations()), step(920, 'CREATE TABLE plain (id int)')])
    await db.sql`INSERT INTO plain VALUES (1)`
    await db.sql`UPDATE plain SET id = 2`
    await db.sql`DELETE FROM plain`
    await expect(db.sql`DROP TABLE plain`).rejects.toMatchObject({ code: '42501' })
    await expect(db.sql`TRUNCATE plain`).rejects.toMatchObject({ code: '42501' })
    await expect(db.sql`CREATE TABLE mine (id int)`).rejects.toMatchObject({ code: '42501' })
  })

  it('listen and notify, and a listener comes back after its connection is cut', async () => {
    const { db, owner } = await cluster.database()
    const got: string[] = []
    let ready = 0
    const subscription = await db.listen(
      'news',
      (payload) => got.push(payload),
      () => {
        ready++
      },
    )
    await db.notify('news', 'one')
    await until(() => got.length === 1, 'the first arrives')
    await owner.sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid() AND query ILIKE 'listen%'`.catch(
      () => undefined,
    )
    const admin = openDatabase(cluster.server.connection('postgres', 'postgres'), { max: 1 })
    await admin.sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ILIKE 'listen%'`
    await admin.close()
    await until(() => ready >= 2, 'it listens again')
    await db.notify('news', 'two')
    await until(() => got.includes('two'), 'the second arrives')
    await subscription.close()
  })

  it('knows which errors mean that the database is down', () => {
    expect(unavailable({ code: 'ECONNREFUSED' })).toBe(true)
    expect(unavailable({ code: '57P01' })).toBe(true)
    expect(unavailable({ code: '23505' })).toBe(false)
    expect(unavailable(new Error('x'))).toBe(false)
  })

  it('an external database by URL: the application role is made with its own password', async () => {
    const { server } = cluster
    const admin = openDatabase(server.connection('postgres', 'postgres'), { max: 1 })
    await admin.sql.unsafe(`CREATE ROLE plant_owner LOGIN CREATEROLE PASSWORD 'owner-password'`)
    await admin.sql.unsafe(`CREATE DATABASE plant OWNER plant_owner`)
    await admin.close()
    const to = server.connection('postgres', 'postgres')
    if (!('path' in to)) throw new Error('no socket')
    // The embedded server listens on its socket only; a forwarder makes it an external one.
    const forward = createServer((client) => {
      const upstream = connect(to.path)
      client.pipe(upstream).pipe(client)
      client.on('error', () => upstream.destroy())
      upstream.on('error', () => client.destroy())
    })
    await new Promise<void>((resolve) => forward.listen(0, '127.0.0.1', resolve))
    const { port } = forward.address() as AddressInfo
    // Roles belong to the whole cluster: this owner may change the one that the other databases use.
    const grant = openDatabase(server.connection('postgres', 'postgres'), { max: 1 })
    await grant.sql.unsafe('GRANT sallyport_app TO plant_owner WITH ADMIN OPTION')
    await grant.close()
    const dataDir = await temporary()
    const ownerUrl = new Secret(`postgres://plant_owner:owner-password@127.0.0.1:${port}/plant`)
    try {
      const first = await openStore({ dataDir, ownerUrl })
      expect(first.migrated).toContain('001_audit.sql')
      expect(first.embedded).toBeNull()
      const second = await openStore({ dataDir, ownerUrl })
      expect(second.migrated).toEqual([])
      expect(await second.db.sql`SELECT current_user AS who`).toMatchObject([{ who: 'sallyport_app' }])
      await expect(second.db.sql`DELETE FROM audit.entry`).rejects.toMatchObject({ code: '42501' })
      await first.close()
      await second.close()
      const refused = openStore({
        dataDir,
        ownerUrl: new Secret(`postgres://nobody:x@127.0.0.1:${port}/plant`),
      })
      await expect(refused).rejects.toMatchObject({ code: '28P01' })
    } finally {
      forward.close()
      await rm(dataDir, { recursive: true, force: true })
    }
  })
})
