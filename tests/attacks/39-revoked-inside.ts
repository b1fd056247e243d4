import { expect, it } from 'vitest'
import { until } from '../lab/until.ts'
import type { System } from './system.ts'

/** Threat 39: somebody whose access was revoked keeps the socket that is open already. */
export function revokedInside(system: () => System): void {
  const closedFast = async (what: string, terminals: { closed: unknown }[], since: number) => {
    await until(() => terminals.every(({ closed }) => closed !== null), what, 5_000)
    expect(performance.now() - since).toBeLessThan(5_000)
  }

  it('a disabled person, a disabled vendor, a sign-in that ends elsewhere: each socket closes within 5 s', async () => {
    const { story, plant, machine } = system()
    const robot = await machine()
    const leaver = await plant.person('Lena Leaver', ['vendor'], true)
    const historian = await machine('C3')
    const c4 = await story.session(robot, undefined, leaver.client)
    const c3 = await story.session(historian, undefined, leaver.client)
    const since = performance.now()
    await plant.admin.call('PATCH /api/people/:id', {
      params: { id: leaver.id },
      body: { enabled: false, reason: 'left the company' },
    })
    await closedFast('both sockets are closed', [c4.terminal, c3.terminal], since)
    // The asset's side by class: C4 is cut; C3 is the site's to look after, with its input frozen.
    await story.ended(c4.id, { end: 'identity-revoked', sentence: /./, recording: 'complete' })
    expect(await story.view(c3.id)).toMatchObject({ state: 'held', inputFrozen: true })
    expect((await leaver.client.fetch('POST', `/api/sessions/${c3.id}/attach`, {})).status).toBe(401)
    await story.paul.call('POST /api/sessions/:id/stop', { params: { id: c3.id }, body: {} })

    const careful = await plant.person('Cora Careful', ['vendor'], true)
    const session = await story.session(robot, undefined, careful.client)
    const lost = performance.now()
    await careful.client.call('POST /api/sign-out', { body: {} })
    await closedFast('the socket of the ended sign-in is closed', [session.terminal], lost)
    await story.paul.ask('POST /api/sessions/:id/stop', { params: { id: session.id }, body: {} })
  })
}
