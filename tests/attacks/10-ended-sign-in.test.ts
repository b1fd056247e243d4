import { afterAll, beforeAll, expect, it } from 'vitest'
import { startCluster, type TestCluster } from '../broker/database.ts'
import { type TestBroker, testBroker } from '../broker/identity-support.ts'

/*
 * Threat 10: a sign-in that ended, its row put back as it was by somebody who writes the database and has the cookie. Red
 * without `endLogged` in identity/sign-ins.ts; without the new hash a mere `ended_at = NULL` would do.
 */

let cluster: TestCluster
let broker: TestBroker
beforeAll(async () => {
  cluster = await startCluster()
  broker = await testBroker(cluster)
})
afterAll(async () => {
  await broker?.close()
  await cluster?.close()
})

it('stays over', async () => {
  const { sql } = broker.database.db
  const ada = await broker.administrator()
  const cookies = new Map(ada.cookies)
  const [row] = await sql<{ id: string; hash: Buffer }[]>`SELECT id, token_hash AS hash FROM sign_in`
  await ada.call('POST /api/sign-out', { body: {} })
  const status = async () => {
    for (const [name, value] of cookies) ada.cookies.set(name, value)
    return (await ada.ask('GET /api/me', {})).status
  }
  expect(await status()).toBe(401)
  await sql`UPDATE sign_in SET ended_at = NULL, ended_because = NULL WHERE id = ${row?.id ?? ''}`
  expect(await status()).toBe(401)
  await sql`UPDATE sign_in SET token_hash = ${row?.hash ?? Buffer.alloc(0)} WHERE id = ${row?.id ?? ''}`
  expect(await status()).toBe(401)
})
