import { expect, it } from 'vitest'
import type { System } from './system.ts'

/**
 * Threat 4: an approver is phished. A page at another origin relays the approver's own challenge and gets it signed by
 * the right passkey; the origin stands in what was signed.
 */
export function wrongOriginAssertion(system: () => System): void {
  it('an answer that was signed for another origin, or without the approver’s finger, approves nothing', async () => {
    const { story, plant, robot } = system()
    const { paul, vera } = story
    await plant.ticket('CHG-PHISH', [robot.name])
    const request = await vera.call('POST /api/requests', { body: requestFor(robot, 'CHG-PHISH') })
    const params = { id: request.id }
    const answer = async (bend: Parameters<typeof paul.passkey.get>[1]) => {
      const begun = await paul.call('POST /api/requests/:id/decision/options', {
        params,
        body: { decision: 'granted', constraints: {}, snapshotHash: request.snapshotHash, reason: null },
      })
      const assertion = await paul.passkey.get(begun.options as never, bend)
      return paul.ask('POST /api/requests/:id/decision', {
        params,
        body: { challengeId: begun.challengeId, assertion: { ...assertion } },
      })
    }
    for (const bend of [
      { origin: `https://${plant.host}.phish.example` },
      { origin: plant.origin.replace('https:', 'http:') },
      { origin: `https://phish.${plant.host}` },
      { userVerified: false },
    ]) {
      const refused = await answer(bend)
      expect([refused.status, (refused.body as unknown as { code: string }).code]).toEqual([403, 'forbidden'])
    }
    expect((await paul.call('GET /api/requests/:id', { params })).state).toBe('waiting')
    // Nothing but the bend was wrong with it.
    expect((await answer({})).status).toBe(200)
  })
}

/** A request for an hour from now, under a ticket that is there already. */
export function requestFor(target: { endpointId: string; account: string }, key: string) {
  return {
    endpointId: target.endpointId,
    account: target.account,
    features: [],
    purpose: 'Replace the gripper program',
    ticket: { system: 'file', key },
    window: {
      opensAt: new Date(Date.now() - 60_000).toISOString(),
      closesAt: new Date(Date.now() + 3_600_000).toISOString(),
    },
  }
}
