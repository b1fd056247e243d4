import { expect, it } from 'vitest'
import { readNotice } from '../lab/read-notice.ts'
import { requestFor } from './04-wrong-origin-assertion.ts'
import type { System } from './system.ts'

/** Threat 6: a request is edited after its approval, so that the approver's yes covers what they never saw. */
export function editedRequest(system: () => System): void {
  it('an edit voids the approval: no session opens, and a signature begun before it is not taken', async () => {
    const { story, plant, robot } = system()
    const { paul, vera } = story
    await plant.ticket('CHG-EDIT', [robot.name])
    const body = requestFor(robot, 'CHG-EDIT')
    const { id } = await vera.call('POST /api/requests', { body })
    const params = { id }
    await paul.decide(id, 'granted')
    expect((await vera.call('GET /api/requests/:id', { params })).decision.permitted).toBe(true)

    const open = await readNotice(vera, id)
    const edited = await vera.call('PUT /api/requests/:id', {
      params,
      body: { ...body, purpose: 'Replace the safety program' },
    })
    expect(edited).toMatchObject({ state: 'waiting', version: 2, approvals: [] })
    const refused = await open()
    expect(refused.status).toBe(403)
    expect(JSON.stringify(refused.body)).toContain('approvals-missing')

    // The approver reads version 2; meanwhile it becomes version 3.
    const second = await paul.call('GET /api/requests/:id', { params })
    const begun = await paul.call('POST /api/requests/:id/decision/options', {
      params,
      body: { decision: 'granted', constraints: {}, snapshotHash: second.snapshotHash, reason: null },
    })
    const assertion = { ...(await paul.passkey.get(begun.options as never)) }
    await vera.call('PUT /api/requests/:id', { params, body: { ...body, purpose: 'Replace everything' } })
    const late = await paul.ask('POST /api/requests/:id/decision', {
      params,
      body: { challengeId: begun.challengeId, assertion },
    })
    expect([late.status, (late.body as unknown as { code: string }).code]).toEqual([409, 'request-edited'])
    expect((await open()).status).toBe(403)
  })
}
