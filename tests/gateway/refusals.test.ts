import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Grant, JWS_TYPES } from '../../broker/domain/grant.ts'
import { newId } from '../../broker/domain/ids.ts'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { until } from '../lab/until.ts'
import { type House, openSession, startHouse } from './house.ts'
import { ed25519 } from './test-broker.ts'

const missing = opensshMissing()

describe.skipIf(missing)(`what the gateway refuses${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let lab: LabSshd
  let house: House
  beforeAll(async () => {
    lab = await startOpenssh()
    house = await startHouse()
  })
  afterAll(async () => {
    await house?.stop()
    await lab?.stop()
  })

  const now = () => Math.floor(Date.now() / 1000)
  const grants: [string, string, (house: House) => { change: Partial<Grant>; forge?: boolean }][] = [
    ['signed by a key that is not the broker’s', 'bad-grant', () => ({ change: {}, forge: true })],
    ['for another gateway', 'not-for-this-gateway', () => ({ change: { gateway: newId() } })],
    ['for another deployment', 'not-for-this-gateway', () => ({ change: { deployment: newId() } })],
    [
      'for another site',
      'not-for-this-gateway',
      () => ({ change: { site: { id: newId(), name: 'x', timeZone: 'UTC' } } }),
    ],
    ['that has run out', 'expired', () => ({ change: { iat: now() - 60, exp: now() - 1 } })],
    ['from the future', 'from-the-future', () => ({ change: { iat: now() + 300, exp: now() + 600 } })],
    ['without a pinned identity', 'bad-grant', () => ({ change: { identities: [] } })],
    [
      'with a field nobody knows',
      'bad-grant',
      () => ({ change: { sudo: true } as unknown as Partial<Grant> }),
    ],
  ]
  it.each(grants)('a grant %s: %s', async (_what, code, make) => {
    const { broker } = house
    const { change, forge } = make(house)
    const grant = broker.grant(lab, change)
    // A forger knows the broker's key id.
    const key = forge ? { ...ed25519(), kid: broker.signing.kid } : broker.signing
    const answer = await broker.openRaw(
      await broker.sign(JWS_TYPES.grant, grant, key),
      await broker.sign(JWS_TYPES.lease, broker.lease(grant)),
    )
    expect(answer).toMatchObject({ ok: false, code })
    await until(() => broker.eventsOf('refused-by-gateway').some((event) => event.code === code))
    expect(house.gateway.sessions()).toEqual([])
  })

  it('a grant by an unknown key, and a token of another kind in its place', async () => {
    const { broker } = house
    const grant = broker.grant(lab)
    const lease = await broker.sign(JWS_TYPES.lease, broker.lease(grant))
    expect(await broker.openRaw(await broker.sign(JWS_TYPES.grant, grant, ed25519()), lease)).toMatchObject({
      ok: false,
      code: 'unknown-key',
    })
    expect(await broker.openRaw(await broker.sign(JWS_TYPES.package, grant), lease)).toMatchObject({
      ok: false,
      code: 'bad-grant',
    })
  })

  it('a lease for another grant, or longer than a minute', async () => {
    const { broker } = house
    const grant = broker.grant(lab)
    const signed = await broker.sign(JWS_TYPES.grant, grant)
    const other = await broker.sign(JWS_TYPES.lease, { ...broker.lease(grant), grant: newId() })
    expect(await broker.openRaw(signed, other)).toMatchObject({ ok: false, code: 'not-for-this-session' })
    const long = await broker.sign(JWS_TYPES.lease, broker.lease(grant, 3600))
    expect(await broker.openRaw(signed, long)).toMatchObject({ ok: false, code: 'bad-lease' })
  })

  it('a ticket that was used, forged, expired, for another session, or by another person', async () => {
    const { broker } = house
    const { grant } = await openSession(house, lab)
    const refused = async (jws: string) => (await broker.browserWith(grant, jws)).refused
    const sign = (change: object, key = broker.signing) =>
      broker.sign(JWS_TYPES.ticket, { ...broker.ticket(grant, 'attach'), ...change }, key)
    const once = await sign({ use: 'watch', person: newId(), personName: 'Olga' })
    expect((await broker.browserWith(grant, once)).refused).toBeNull()
    expect(await refused(once)).toBe(403)
    expect(await refused(await sign({}, { ...ed25519(), kid: broker.signing.kid }))).toBe(403)
    expect(await refused(await sign({ iat: now() - 60, exp: now() - 31 }))).toBe(403)
    expect(await refused(await sign({ session: newId() }))).toBe(403)
    expect(await refused(await sign({ gateway: newId() }))).toBe(403)
    expect(await refused(await sign({ person: newId() }))).toBe(403)
    expect(await refused(await sign({ use: 'open' }))).toBe(403)
    expect(await refused(await sign({ exp: now() + 3600 }))).toBe(403)
    expect(await refused('a.b.c')).toBe(403)
    const codes = () => broker.eventsOf('refused-by-gateway', grant.session).map((event) => event.code)
    await until(() => codes().length >= 9)
    expect(codes()).toEqual([
      'ticket-reused',
      'bad-ticket',
      'expired',
      'not-for-this-session',
      'not-for-this-gateway',
      'wrong-person',
      'wrong-use',
      'bad-ticket',
      'bad-ticket',
    ])
    await broker.command(grant, 'stop')
  })

  it('the same session twice', async () => {
    const { broker } = house
    const { grant } = await openSession(house, lab)
    expect(await broker.open(grant)).toMatchObject({ ok: false, code: 'already-open' })
    await broker.command(grant, 'stop')
  })

  it('a new session below the storage reserve', async () => {
    const tight = await startHouse({ reserveBytes: Number.MAX_SAFE_INTEGER })
    try {
      expect(await tight.broker.open(tight.broker.grant(lab))).toMatchObject({
        ok: false,
        code: 'storage-below-reserve',
      })
      await until(() => tight.broker.eventsOf('storage').length > 0)
      expect(tight.broker.eventsOf('storage')[0]).toMatchObject({ below: true })
    } finally {
      await tight.stop()
    }
  })
})
