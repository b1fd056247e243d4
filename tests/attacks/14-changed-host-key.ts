import { expect, it } from 'vitest'
import { readNotice } from '../lab/read-notice.ts'
import { until } from '../lab/until.ts'
import { startHostileAsset } from './hostile-asset.ts'
import type { System } from './system.ts'

/** Threat 14: somebody answers in the asset's place, to be given its password. */
export function changedHostKey(system: () => System): void {
  it('another host key is refused with an alarm, and the password stays in the vault', async () => {
    const { story } = system()
    const host = await startHostileAsset()
    const target = await story.asset({ name: 'Press 3', criticality: 'C4', target: host })
    const opened = await story.session(target)
    expect(host.attempts).toEqual(['password'])
    opened.terminal.leave()
    await opened.terminal.state('closed')
    await host.close()

    const impostor = await startHostileAsset({ port: host.port })
    try {
      const { terminal, id } = await story.open(await story.approved(target))
      const closed = await terminal.state('closed')
      expect(closed.end).toBe('target-identity-changed')
      expect(closed.message).toMatch(/different host key.*No credential was sent/)
      expect(impostor.attempts).toEqual([])
      const told = async () =>
        (await story.entries(id)).some(({ action }) => action === 'session.identity-changed')
      await until(told, 'the log has it')
      const entries = await story.entries(id)
      expect(entries.find(({ action }) => action === 'session.identity-changed')?.details).toMatchObject({
        expected: [host.identity.fingerprint],
        seen: impostor.identity.fingerprint,
      })
      expect(entries.map(({ action }) => action)).not.toContain('credential.handed-out')
      const { alarms } = await story.paul.call('GET /api/integrity', {})
      expect(alarms.filter(({ kind }) => kind === 'target-identity-changed')).toHaveLength(1)
      // The new key does not become the pinned one by having been seen: an administrator has to find out first.
      const open = await readNotice(story.vera, await story.approved(target))
      expect((await open()).body).toMatchObject({ reasons: [{ code: 'identity-not-accepted' }] })
    } finally {
      await impostor.close()
    }
  })
}
