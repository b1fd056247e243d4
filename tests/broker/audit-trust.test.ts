import { mkdtemp } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { newId } from '../../broker/domain/ids.ts'
import { auditorTrust } from '../../broker/keys/auditor-trust.ts'
import { openKeys } from '../../broker/keys/keys.ts'
import { parseTrust } from '../../recordings/format/trust.ts'
import { testLog } from './audit-support.ts'
import { startCluster, type TestCluster } from './database.ts'

let cluster: TestCluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster.close())

it('keys.json names the gateways that the log enrolled, by index, and not what somebody wrote into a row', async () => {
  const database = await cluster.database()
  const { log } = await testLog(cluster, database)
  const keys = await openKeys(await mkdtemp(path.join(cluster.dataDir, 'keys-')), Date.UTC(2026, 10, 24))
  const gateway = newId()
  // Any key of this kind does: the log's and the broker's are at hand.
  const first = { kty: 'OKP', crv: 'Ed25519', x: keys.log.x, kid: keys.log.kid }
  const second = { kty: 'OKP', crv: 'Ed25519', x: keys.broker.x, kid: keys.broker.kid }
  await database.owner.sql`ALTER TABLE gateway_key DROP CONSTRAINT gateway_key_gateway_id_fkey`
  const note = (action: string, signKey?: string) =>
    database.db.tx((tx) =>
      log.record(tx, {
        action,
        actor: { kind: 'gateway', id: gateway, name: null, organisation: null },
        object: { kind: 'gateway', id: gateway },
        details: signKey === undefined ? {} : { signKey },
      }),
    )
  for (const key of [first, second]) {
    await database.db.sql`INSERT INTO gateway_key (gateway_id, kid, sign_key, since)
      VALUES (${gateway}, ${key.kid}, ${database.db.sql.json(key)}, now())`
  }
  const build = async () => {
    await log.round()
    const rp = { id: 'sallyport.example', origins: ['https://sallyport.example'] }
    return auditorTrust({ db: database.db, statement: keys.statement, audit: log, rp })
  }
  await note('gateway.enrolled', first.kid)
  await note('gateway.enrolled', second.kid)
  await note('gateway.revoked')
  const trust = await build()
  expect(parseTrust(JSON.stringify(trust)).ok).toBe(true)
  expect(trust.keys).toMatchObject([
    { use: 'broker', kid: keys.broker.kid, from_index: 0, to_index: null },
    { use: 'gateway', gateway, x: first.x, from_index: 0, to_index: 1 },
    { use: 'gateway', gateway, x: second.x, from_index: 1, to_index: 2 },
  ])
  await database.owner
    .sql`UPDATE gateway_key SET sign_key = jsonb_set(sign_key, '{x}', to_jsonb(${'A'.repeat(43)}::text))
    WHERE kid = ${first.kid}`
  expect((await build()).keys.map((key) => key.x)).toEqual([second.x, second.x])
  await log.close()
})
