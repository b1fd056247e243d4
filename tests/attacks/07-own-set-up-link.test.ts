import { afterAll, beforeAll, expect, it } from 'vitest'
import { startCluster, type TestCluster } from '../broker/database.ts'
import { type TestBroker, testBroker, testPlant } from '../broker/identity-support.ts'
import type { ApiClient } from '../lab/api-client.ts'
import { SoftwareAuthenticator } from '../lab/software-authenticator.ts'

/*
 * Threats 7 and 10: one administrator as any approver they like. Red without `invited-by-you`, `#checkOwnPasskey` or
 * `invitedBy` in canonicalPasskey (identity/people.ts, rows.ts).
 */

let cluster: TestCluster
let broker: TestBroker
let ada: ApiClient
let siteId: string

beforeAll(async () => {
  cluster = await startCluster()
  broker = await testBroker(cluster)
  ada = await broker.administrator()
  siteId = (await testPlant(ada)).site.id
})
afterAll(async () => {
  await broker?.close()
  await cluster?.close()
})

async function invite(by: ApiClient, name: string, role: 'approver' | 'administrator') {
  const made = await by.call('POST /api/people', {
    body: {
      name,
      email: null,
      vendorId: null,
      accountEndsAt: null,
      trainingValidUntil: null,
      roles: [{ role, siteId: role === 'administrator' ? null : siteId }],
    },
  })
  const client = broker.client()
  await client.setUp(made.setUpLink)
  return { client, id: made.person.id }
}

async function passkeysOf(id: string) {
  const { items } = await ada.call('GET /api/people', {})
  return items.find((person) => person.id === id)?.passkeys ?? []
}

async function confirm(by: ApiClient, id: string, passkeyId?: string) {
  const open = (await passkeysOf(id)).filter((key) => key.confirmedBy === null)
  return by.ask('POST /api/people/:id/passkeys/:passkeyId/confirm', {
    params: { id, passkeyId: passkeyId ?? open.at(-1)?.id ?? '' },
    body: {},
  })
}

const confirmations = async () =>
  broker.database.db.sql<{ details: { alone?: boolean } }[]>`
    SELECT convert_from(bytes, 'UTF8')::jsonb->'details' AS details FROM audit.entry
    WHERE action = 'passkey.confirmed' ORDER BY staged`

it('who made the set-up link does not confirm the passkey, as soon as somebody else can', async () => {
  const paul = await invite(ada, 'Paul', 'approver')
  expect((await confirm(ada, paul.id)).status).toBe(200)
  expect((await confirmations()).at(-1)?.details.alone).toBe(true)

  const bob = await invite(ada, 'Bob', 'administrator')
  // An administrator who was made just now, and whose passkey nobody has confirmed, is no second person.
  await expect(invite(bob.client, 'Puppet', 'approver')).rejects.toThrow('own-passkey-not-confirmed')
  const before = await invite(ada, 'Nina', 'approver')
  expect((await confirm(bob.client, before.id)).body).toMatchObject({ code: 'own-passkey-not-confirmed' })
  expect((await confirm(ada, bob.id)).status).toBe(200)

  expect((await confirm(ada, before.id)).body).toMatchObject({ code: 'invited-by-you' })
  expect((await confirm(bob.client, before.id)).status).toBe(200)
  expect((await confirmations()).at(-1)?.details.alone).toBeUndefined()
})

it('nor a passkey that the one from the link added, and no edit of the row makes it another’s', async () => {
  const eve = await invite(ada, 'Eve', 'approver')
  const begun = await eve.client.call('POST /api/me/passkeys/options', { body: {} })
  const attestation = await new SoftwareAuthenticator('https://plant.example').create(begun.options as never)
  const added = await eve.client.call('POST /api/me/passkeys', {
    body: { challengeId: begun.challengeId, attestation: { ...attestation }, label: 'Spare' },
  })
  expect((await confirm(ada, eve.id, added.id)).body).toMatchObject({ code: 'invited-by-you' })
  await broker.database.db.sql`UPDATE passkey SET invited_by = NULL WHERE id = ${added.id}`
  expect((await confirm(ada, eve.id, added.id)).status).toBe(409)
  expect((await passkeysOf(eve.id)).find((key) => key.id === added.id)?.confirmedBy).toBeNull()
})

it('a set-up link for another administrator gives nobody that administrator’s confirmations', async () => {
  const { items } = await ada.call('GET /api/people', { query: { search: 'bob' } })
  const { setUpLink } = await ada.call('POST /api/people/:id/set-up-link', {
    params: { id: items[0]?.id ?? '' },
    body: { reason: 'lost' },
  })
  const asBob = broker.client()
  await asBob.setUp(setUpLink)
  const mallory = await invite(ada, 'Mallory', 'approver')
  expect((await confirm(asBob, mallory.id)).body).toMatchObject({ code: 'own-passkey-not-confirmed' })
})

it('and makes nobody anything: neither people nor links nor roles, only takes away', async () => {
  const notConfirmed = { status: 409, body: { code: 'own-passkey-not-confirmed' } }
  const zed = await invite(ada, 'Zed', 'administrator')
  const direct = await invite(ada, 'Direct', 'approver')
  await expect(invite(zed.client, 'Yan', 'approver')).rejects.toThrow('own-passkey-not-confirmed')
  await expect(invite(zed.client, 'Yin', 'administrator')).rejects.toThrow('own-passkey-not-confirmed')
  const link = { params: { id: direct.id }, body: { reason: 'lost' } }
  expect(await zed.client.ask('POST /api/people/:id/set-up-link', link)).toMatchObject(notConfirmed)
  const roles = (wanted: { role: 'approver' | 'operator'; siteId: string }[]) =>
    zed.client.ask('PATCH /api/people/:id', {
      params: { id: direct.id },
      body: { roles: wanted, reason: 'moved' },
    })
  const approver = { role: 'approver', siteId } as const
  expect(await roles([approver, { role: 'operator', siteId }])).toMatchObject(notConfirmed)
  expect((await roles([])).status).toBe(200)
  expect(await roles([approver])).toMatchObject(notConfirmed)
})
