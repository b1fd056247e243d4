import { request } from 'node:https'
import { expect, it } from 'vitest'
import { ProviderBrowser } from '../broker/identity-support.ts'
import { until } from '../lab/until.ts'
import type { System } from './system.ts'

/** Threat 26: somebody has left the vendor's company, and is still inside here. Their own provider says so. */
export function leaverInside(system: () => System): void {
  it('a back-channel logout freezes the input and closes the socket in 5 s; the asset’s side ends by class', async () => {
    const { story, plant, machine, provider } = system()
    const historian = await machine('C3')
    const mara = plant.client()
    const begun = await mara.fetch('GET', '/auth/oidc/lab/start')
    const browser = new ProviderBrowser(provider.ca)
    const back = new URL(await browser.choose(String(begun.headers.location), 'mara'))
    await mara.fetch('GET', back.pathname + back.search)
    const { person } = await mara.me()
    await plant.admin.call('PATCH /api/people/:id', {
      params: { id: person.id },
      body: { trainingValidUntil: new Date(Date.now() + 86_400_000).toISOString(), reason: 'trained' },
    })
    const { terminal, id } = await story.session(historian, undefined, mara)

    const logout = async (token: string) => {
      const { port } = new URL(plant.origin)
      const body = new URLSearchParams({ logout_token: token }).toString()
      return await new Promise<number>((resolve, reject) => {
        const outgoing = request(
          {
            method: 'POST',
            host: '127.0.0.1',
            port,
            servername: plant.host,
            ca: plant.ca ?? '',
            path: '/auth/oidc/lab/back-channel-logout',
            headers: {
              host: `${plant.host}:${port}`,
              'content-type': 'application/x-www-form-urlencoded',
              'content-length': body.length,
            },
            agent: false,
          },
          (incoming) => {
            incoming.resume()
            resolve(incoming.statusCode ?? 0)
          },
        )
        outgoing.on('error', reject)
        outgoing.end(body)
      })
    }
    expect(await logout(await provider.lab.logoutToken({ sub: 'somebody-else' }))).toBe(200)
    terminal.type('echo still-$((40+2))\n')
    await terminal.sees('still-42')

    const since = performance.now()
    expect(await logout(await provider.lab.logoutToken({ sub: 'mara' }))).toBe(200)
    await until(() => terminal.closed !== null, 'the socket is closed', 5_000)
    await until(async () => (await story.view(id)).inputFrozen, 'the input is frozen', 5_000)
    expect(performance.now() - since).toBeLessThan(5_000)
    expect((await mara.fetch('GET', '/api/me')).status).toBe(401)
    expect(await story.view(id)).toMatchObject({ state: 'held', inputFrozen: true })
    await story.paul.call('POST /api/sessions/:id/stop', { params: { id }, body: {} })
  })
}
