import { expect, it } from 'vitest'
import { api, type RouteKey } from '../../broker/contract/api/index.ts'
import type { RouteSpec } from '../../broker/contract/route.ts'
import { newId } from '../../broker/domain/ids.ts'
import type { System } from './system.ts'

/** Threat 27: a page elsewhere makes the browser of somebody who is signed in send a request, cookie and all. */
export function crossSiteRequest(system: () => System): void {
  const changing = (Object.keys(api) as RouteKey[]).filter(
    (key) => !key.startsWith('GET ') && key !== 'POST /auth/oidc/:provider/back-channel-logout',
  )
  const pathOf = (key: RouteKey) =>
    (key.split(' ')[1] ?? '').replace(/:([A-Za-z]+)/g, (_all, name: string) =>
      name === 'criticality' ? 'C2' : name === 'segment' ? '0' : newId(),
    )

  it('every route that changes something refuses what another page sends', async () => {
    const { story, plant } = system()
    const csrf = (await story.paul.me()).csrf
    expect(changing.length).toBeGreaterThan(40)
    for (const key of changing) {
      const [method = ''] = key.split(' ')
      const sent = async (headers: Record<string, string>) => {
        const answer = await story.paul.fetch(method, pathOf(key), {}, { 'x-csrf-token': csrf, ...headers })
        return [answer.status, (answer.body as { code: string }).code]
      }
      const refused = [403, 'cross-site']
      expect(await sent({ origin: 'https://evil.example' }), key).toEqual(refused)
      expect(await sent({ origin: 'null' }), key).toEqual(refused)
      expect(await sent({ origin: plant.origin, 'sec-fetch-site': 'same-site' }), key).toEqual(refused)
    }
  })

  it('and without the token of the sign-in, wherever it comes from', async () => {
    const { story, plant } = system()
    for (const key of changing) {
      const spec: RouteSpec = api[key]
      if (spec.access.who === 'public') continue
      const roles: readonly string[] = spec.access.who === 'roles' ? spec.access.roles : ['vendor']
      const who = roles.includes('vendor')
        ? story.vera
        : roles.includes('administrator')
          ? plant.admin
          : story.paul
      const [method = ''] = key.split(' ')
      for (const token of ['', 'x'.repeat(43)]) {
        const answer = await who.fetch(method, pathOf(key), {}, { 'x-csrf-token': token })
        expect([answer.status, (answer.body as { code: string }).code], key).toEqual([403, 'csrf-token'])
      }
    }
  })

  it('a form, which needs no permission to cross sites, is no request of ours, and the cookie stays at home', async () => {
    const { story, plant } = system()
    const csrf = (await story.paul.me()).csrf
    const form = await story.paul.fetch(
      'POST',
      '/api/sign-out',
      {},
      {
        'x-csrf-token': csrf,
        'content-type': 'application/x-www-form-urlencoded',
      },
    )
    expect(form.status).toBe(415)
    expect((await story.paul.me()).person.name).toBe('Paul Plant')

    const { client } = await plant.person('Sam Signs-in', ['auditor'])
    client.cookies.clear()
    const begun = await client.call('POST /api/sign-in/passkey/options', { body: {} })
    const assertion = await client.passkey.get(begun.options as never)
    const signedIn = await client.ask('POST /api/sign-in/passkey', {
      body: { challengeId: begun.challengeId, assertion: { ...assertion } },
    })
    const [cookie = ''] = [signedIn.headers['set-cookie'] ?? []].flat()
    expect(cookie).toMatch(/^__Host-.*; HttpOnly; SameSite=(Lax|Strict);.*Secure$/)
  })
}
