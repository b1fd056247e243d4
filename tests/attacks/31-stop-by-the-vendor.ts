import { expect, it } from 'vitest'
import type { System } from './system.ts'

/** Threat 31: the kill switch abused. A stop is an operator's or approver's of that site, nobody else's. */
export function stopByTheVendor(system: () => System): void {
  it('the vendor and the people of another site stop nothing; who did is in the log, and says why afterwards', async () => {
    const { story, plant, machine } = system()
    const robot = await machine()
    const { terminal, id } = await story.session(robot)
    const params = { id }
    const site = await plant.admin.call('POST /api/sites', {
      body: { name: 'Another plant', timeZone: 'Europe/Berlin', notice: 'Recorded.' },
    })
    const made = await plant.admin.call('POST /api/people', {
      body: {
        name: 'Olga of another plant',
        email: null,
        vendorId: null,
        accountEndsAt: null,
        trainingValidUntil: null,
        roles: [
          { role: 'operator', siteId: site.id },
          { role: 'approver', siteId: site.id },
        ],
      },
    })
    const olga = plant.client()
    await olga.setUp(made.setUpLink)
    const auditor = (await plant.person('Anna Auditor', ['auditor'])).client
    for (const [who, status, code] of [
      [story.vera, 403, 'role-needed'],
      [auditor, 403, 'role-needed'],
      [olga, 404, 'not-found'],
    ] as const) {
      const answers = [
        await who.ask('POST /api/sessions/:id/stop', { params, body: {} }),
        await who.ask('POST /api/sessions/:id/hold', { params, body: { cause: 'because' } }),
        await who.ask('POST /api/sessions/:id/release', { params, body: {} }),
        await who.ask('POST /api/sessions/:id/stop-reason', { params, body: { reason: 'because' } }),
      ]
      for (const answer of answers)
        expect([answer.status, (answer.body as { code?: string }).code]).toEqual([status, code])
    }
    expect(await story.view(id)).toMatchObject({ state: 'live', inputFrozen: false })
    terminal.type('echo alive-$((40+2))\n')
    await terminal.sees('alive-42')

    await story.paul.call('POST /api/sessions/:id/stop', { params, body: {} })
    await story.paul.call('POST /api/sessions/:id/stop-reason', {
      params,
      body: { reason: 'Smoke in cell 4' },
    })
    expect((await terminal.state('closed')).end).toBe('operator-stopped')
    const entries = await story.entries(id)
    expect(entries.find(({ action }) => action === 'session.stop')?.actor).toBe('Paul Plant')
    expect(entries.find(({ action }) => action === 'session.stop-reason')?.reason).toBe('Smoke in cell 4')
  })
}
