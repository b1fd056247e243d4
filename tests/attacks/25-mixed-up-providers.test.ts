import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ProviderBrowser } from '../broker/identity-support.ts'
import { type OidcHouse, startOidcHouse } from '../broker/oidc-support.ts'

/*
 * Threat 25: OIDC mix-up. An answer of another provider, of another trip, of another browser, or one that was used
 * already, signs somebody in. And threat 40: a connector that trusts any certificate.
 */

let house: OidcHouse
let { broker, ca, other, trip, refusedWith } = {} as OidcHouse

beforeAll(async () => {
  house = await startOidcHouse()
  ;({ broker, ca, other, trip, refusedWith } = house)
})
afterAll(() => house?.close())

describe('25-mixed-up-providers', () => {
  test('a code counts once', async () => {
    const client = broker.client()
    const path = await trip(client, 'anna')
    const cookies = new Map(client.cookies)
    expect((await client.fetch('GET', path)).headers.location).toBe('/')
    const again = broker.client()
    for (const [name, value] of cookies) again.cookies.set(name, value)
    expect(await refusedWith(again, path)).toBe('trip-unknown')
  })

  test('a used code under a fresh state is refused by the provider', async () => {
    const client = broker.client()
    const first = await trip(client, 'anna')
    await client.fetch('GET', first)
    client.cookies.clear()
    const second = new URL(await trip(client, 'anna'), 'https://plant.example')
    second.searchParams.set('code', new URL(first, 'https://plant.example').searchParams.get('code') ?? '')
    expect(await refusedWith(client, second.pathname + second.search)).toBe('answer-invalid')
  })

  test('bad or missing state', async () => {
    for (const bend of [
      (url: URL) => url.searchParams.set('state', 'x'.repeat(43)),
      (url: URL) => url.searchParams.delete('state'),
    ]) {
      const client = broker.client()
      const url = new URL(await trip(client, 'anna'), 'https://plant.example')
      bend(url)
      expect(await refusedWith(client, url.pathname + url.search)).toBe('trip-unknown')
    }
  })

  test("somebody else's answer can't be planted: the trip belongs to the browser that began it", async () => {
    const attacker = broker.client()
    const victim = broker.client()
    expect(await refusedWith(victim, await trip(attacker, 'anna'))).toBe('trip-unknown')
    // A victim who is on a trip of their own has a cookie, but another one.
    await victim.fetch('GET', '/auth/oidc/lab/start')
    expect(await refusedWith(victim, await trip(attacker, 'anna'))).toBe('trip-unknown')
  })

  test('wrong issuer in the answer (RFC 9207), and one that is missing', async () => {
    for (const bend of [
      (url: URL) => url.searchParams.set('iss', other.issuer),
      (url: URL) => url.searchParams.set('iss', 'https://evil.example'),
      (url: URL) => url.searchParams.delete('iss'),
    ]) {
      const client = broker.client()
      const url = new URL(await trip(client, 'anna'), 'https://plant.example')
      bend(url)
      expect(await refusedWith(client, url.pathname + url.search)).toBe('answer-invalid')
    }
  })

  test('an answer at the callback of another provider', async () => {
    const client = broker.client()
    const path = await trip(client, 'anna')
    expect(await refusedWith(client, path.replace('/oidc/lab/', '/oidc/other/'))).toBe('trip-unknown')
  })

  test('without the nonce, or with another, the ID token is refused', async () => {
    for (const nonce of ['', 'x'.repeat(43)]) {
      const client = broker.client()
      const start = await client.fetch('GET', '/auth/oidc/lab/start')
      const url = new URL(String(start.headers.location))
      if (nonce) url.searchParams.set('nonce', nonce)
      else url.searchParams.delete('nonce')
      const back = new URL(await new ProviderBrowser(ca.certificate).choose(url.href, 'anna'))
      expect(await refusedWith(client, back.pathname + back.search)).toBe('answer-invalid')
    }
  })

  test('a code without its PKCE verifier is refused', async () => {
    const client = broker.client()
    const start = await client.fetch('GET', '/auth/oidc/lab/start')
    const url = new URL(String(start.headers.location))
    url.searchParams.set('code_challenge', 'A'.repeat(43))
    const back = new URL(await new ProviderBrowser(ca.certificate).choose(url.href, 'anna'))
    expect(await refusedWith(client, back.pathname + back.search)).toBe('answer-invalid')
  })
})

describe('40-any-certificate', () => {
  test('a provider whose certificate nobody vouches for is refused', async () => {
    const answer = await broker.client().fetch('GET', '/auth/oidc/untrusted/start')
    expect(answer.headers.location).toBe('/sign-in?problem=provider-unavailable')
    expect((await broker.client().fetch('GET', '/auth/oidc/nowhere/start')).headers.location).toBe(
      '/sign-in?problem=unknown-provider',
    )
  })
})
