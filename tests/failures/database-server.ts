import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { startEmbedded } from '../../broker/store/embedded.ts'
import { openDatabase } from '../../broker/store/sql.ts'
import { databaseTls } from '../lab/database-tls.ts'

/**
 * Plays the plant's own database server, on TCP: makes the owner's role and database as docs/operations tells a
 * database administrator to, and prints the URL. Arguments: folder, address to listen on.
 */
const [, , dataDir = '', address = ''] = process.argv
const hba = path.join(dataDir, 'pg_hba.conf')
await mkdir(dataDir, { mode: 0o711 })
await writeFile(hba, `local all all scram-sha-256\nhostssl all all ${address}/30 scram-sha-256\n`, {
  mode: 0o644,
})
const { caFile, settings } = await databaseTls(path.join(dataDir, 'tls'), [address])
const server = await startEmbedded({
  dataDir,
  settings: { ...settings, listen_addresses: address, hba_file: hba },
})
const password = randomBytes(18).toString('base64url')
const admin = openDatabase(server.connection('postgres', 'postgres'), { max: 1 })
await admin.sql.unsafe(`CREATE ROLE plant_owner LOGIN CREATEROLE PASSWORD '${password}'`)
await admin.sql.unsafe('DROP DATABASE sallyport')
await admin.sql.unsafe('DROP ROLE sallyport_app')
await admin.sql.unsafe('CREATE DATABASE access OWNER plant_owner')
await admin.close()
console.log(
  `postgres://plant_owner:${password}@${address}:5432/access?sslrootcert=${encodeURIComponent(caFile)}`,
)
process.once('SIGTERM', () => void server.stop().then(() => process.exit(0)))
