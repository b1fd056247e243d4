import { expect, it } from 'vitest'
import { requestFor } from './04-wrong-origin-assertion.ts'
import type { System } from './system.ts'

/** Threat 5: an approval replayed. Somebody who kept the approver's POST sends it again, also after it was taken back. */
export function replayedApproval(system: () => System): void {
  it('the second POST is a 409, also when the approval it made was withdrawn meanwhile', async () => {
    const { story, plant, robot } = system()
    const { paul, vera } = story
    await plant.ticket('CHG-REPLAY', [robot.name])
    const request = await vera.call('POST /api/requests', { body: requestFor(robot, 'CHG-REPLAY') })
    const params = { id: request.id }
    const begun = await paul.call('POST /api/requests/:id/decision/options', {
      params,
      body: { decision: 'granted', constraints: {}, snapshotHash: request.snapshotHash, reason: null },
    })
    const assertion = { ...(await paul.passkey.get(begun.options as never)) }
    const post = (id = request.id) =>
      paul.ask('POST /api/requests/:id/decision', {
        params: { id },
        body: { challengeId: begun.challengeId, assertion },
      })
    // Two at the same instant: one counts.
    const both = await Promise.all([post(), post()])
    expect(both.map(({ status }) => status).sort()).toEqual([200, 409])
    const approved = await paul.call('GET /api/requests/:id', { params })
    expect(approved.approvals).toHaveLength(1)

    await paul.call('POST /api/approvals/:id/withdraw', {
      params: { id: approved.approvals[0]?.id ?? '' },
      body: { reason: 'The hall is not empty.' },
    })
    const again = await post()
    expect([again.status, (again.body as unknown as { code: string }).code]).toEqual([409, 'already-used'])
    expect((await paul.call('GET /api/requests/:id', { params })).state).toBe('waiting')

    // Nor for the next request, which is word for word the same.
    const next = await vera.call('POST /api/requests', { body: requestFor(robot, 'CHG-REPLAY') })
    expect((await post(next.id)).status).toBe(404)
    expect((await paul.call('GET /api/requests/:id', { params: { id: next.id } })).state).toBe('waiting')
  })
}
