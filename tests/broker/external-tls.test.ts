import { randomInt } from 'node:crypto'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Secret } from '../../broker/domain/secret.ts'
import { readSettings } from '../../broker/settings.ts'
import { type EmbeddedPostgres, startEmbedded } from '../../broker/store/embedded.ts'
import { openDatabase } from '../../broker/store/sql.ts'
import { openStore } from '../../broker/store/store.ts'
import { databaseTls } from '../lab/database-tls.ts'

/*
 * A PostgreSQL of the plant's own with a certificate of the plant's CA. On a loopback address of its own, so TLS is asked
 * for by name here; that another machine gets nothing else is tested beside the code, and on a network of its own in
 * tests/failures/apart.test.ts.
 */

describe('an external PostgreSQL with TLS', () => {
  let folder: string
  let server: EmbeddedPostgres
  let plain: EmbeddedPostgres
  let caFile: string
  let otherCa: string
  const pick = () => `127.${randomInt(64, 128)}.${randomInt(256)}.${randomInt(1, 255)}`
  const [address, unnamed, withoutTls] = [pick(), pick(), pick()]
  const url = (at: string, query: string) => `postgres://plant_owner:owner-password@${at}:5432/plant${query}`
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'sallyport-tls-'))
    await chmod(folder, 0o711)
    const tls = await databaseTls(path.join(folder, 'tls'), ['db.plant.example', address])
    caFile = tls.caFile
    otherCa = (await databaseTls(path.join(folder, 'other'), [address])).caFile
    const start = async (name: string, at: string, settings: Record<string, string>) => {
      const hba = path.join(folder, `${name}.hba`)
      const kind = settings.ssl === 'on' ? 'hostssl' : 'host'
      await writeFile(hba, `local all all scram-sha-256\n${kind} all all 127.0.0.0/8 scram-sha-256\n`, {
        mode: 0o644,
      })
      const started = await startEmbedded({
        dataDir: path.join(folder, name),
        settings: { fsync: 'off', ...settings, listen_addresses: at, hba_file: hba },
      })
      const admin = openDatabase(started.connection('postgres', 'postgres'), { max: 1 })
      await admin.sql.unsafe(`CREATE ROLE plant_owner LOGIN CREATEROLE PASSWORD 'owner-password'`)
      await admin.sql.unsafe('DROP DATABASE sallyport')
      await admin.sql.unsafe('DROP ROLE sallyport_app')
      await admin.sql.unsafe('CREATE DATABASE plant OWNER plant_owner')
      await admin.close()
      return started
    }
    server = await start('with', `${address},${unnamed}`, tls.settings)
    plain = await start('without', withoutTls, {})
  })
  afterAll(async () => {
    await server?.stop()
    await plain?.stop()
    await rm(folder, { recursive: true, force: true })
  })
  const open = (at: string) => openStore({ dataDir: folder, ownerUrl: new Secret(at) })

  it('with the right CA is used, by the owner and by the application, encrypted', async () => {
    const settings = await readSettings({
      DATABASE_URL: url(address, '?sslmode=verify-full'),
      SALLYPORT_DATABASE_CA: caFile,
    })
    const store = await openStore({ dataDir: folder, ownerUrl: settings.databaseUrl as Secret })
    try {
      expect(store.migrated).toContain('001_audit.sql')
      expect(
        await store.db.sql`SELECT usename, ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
          WHERE pid = pg_backend_pid()`,
      ).toMatchObject([{ usename: 'sallyport_app', ssl: true }])
      // A notification comes over a connection of its own.
      const heard = new Promise<string>(
        (resolve) => void store.db.listen('test', resolve, () => store.db.notify('test', 'x')),
      )
      expect(await heard).toBe('x')
    } finally {
      await store.close()
    }
  })

  it('with another CA, with the system’s, or under another name is refused with the reason', async () => {
    const refused = (query: string, at = address) =>
      expect(open(url(at, `?sslmode=verify-full${query}`))).rejects
    await refused(`&sslrootcert=${otherCa}`).toMatchObject({
      code: 'database-certificate-refused',
      message: expect.stringContaining('UNABLE_TO_VERIFY_LEAF_SIGNATURE'),
    })
    await refused('').toMatchObject({ code: 'database-certificate-refused' })
    await refused(`&sslrootcert=${caFile}`, unnamed).toMatchObject({
      code: 'database-certificate-refused',
      message: expect.stringContaining('ERR_TLS_CERT_ALTNAME_INVALID'),
    })
  })

  it('that has no TLS is refused before it gets a password', async () => {
    await expect(open(url(withoutTls, `?sslmode=verify-full&sslrootcert=${caFile}`))).rejects.toThrow()
    await expect(open(url(address, ''))).rejects.toMatchObject({ code: '28000' })
  })

  it('on another machine in plain text stops the start, in the settings already', async () => {
    for (const query of ['?sslmode=disable', '?sslmode=require'])
      await expect(readSettings({ DATABASE_URL: url('db.plant.example', query) })).rejects.toMatchObject({
        code: 'database-url',
      })
  })
})
