import { generateKeyPairSync } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { calculateJwkThumbprint, type JWK } from 'jose'
import { expect, it } from 'vitest'
import { Completeness } from '../../broker/sessions/completeness.ts'
import { startGateway } from '../../gateway/gateway.ts'
import { identityPath } from '../../gateway/identity/identity.ts'
import { until } from '../lab/until.ts'
import type { System } from './system.ts'

/**
 * Threat 38: evidence is unsigned, or signed by a key that nobody knows, and nobody notices. The gateway's signing key is
 * replaced on its disk, as by a restored backup or somebody with a plan.
 */
export function unsignedEvidence(system: () => System): void {
  it('a recording whose signature does not count is never complete, and there is an alarm', async () => {
    const { story, plant, machine } = system()
    const robot = await machine()
    const dataDir = path.join(plant.dataDir, 'gateway')
    const file = identityPath(dataDir)
    const right = await readFile(file, 'utf8')
    const restart = async (content: string) => {
      await plant.gateway.stop()
      await writeFile(file, content, { mode: 0o600 })
      plant.gateway = await startGateway({ dataDir, workers: 2, reserveBytes: 1024 * 1024 })
      await until(() => plant.gateway.links().length === 1, 'the gateway is linked')
      await until(
        async () => (await plant.admin.call('GET /api/gateways', {}))[0]?.state === 'online',
        'online',
      )
    }
    const pair = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }) as JWK
    const kid = await calculateJwkThumbprint(pair)
    const identity = JSON.parse(right) as object
    const wrong = { kty: 'OKP', crv: 'Ed25519', x: pair.x, d: pair.d, kid }
    await restart(JSON.stringify({ ...identity, sign: wrong }))
    try {
      const { terminal, id } = await story.session(robot)
      terminal.leave()
      await until(async () => (await story.view(id)).state === 'closed', 'the session is over')
      // Delivered as far as it can be, tried again, and never taken for whole; an hour later somebody has been told.
      const { deps } = plant.broker.sessions
      const late = { ...deps, clock: { ...deps.clock, wall: () => deps.clock.wall() + 3_600_000 } }
      await until(async () => {
        await new Completeness(late).check()
        const { alarms } = await story.paul.call('GET /api/integrity', {})
        return alarms.some(({ kind }) => kind === 'manifest-missing')
      }, 'the alarm')
      const view = await story.view(id)
      expect(view.recording).not.toMatch(/complete|recovered/)
      const answer = await story.paul.ask('POST /api/recordings/:id/verify', {
        params: { id: view.recordingId },
        body: {},
      })
      expect(answer.body.verdict).toBe('INVALID')
    } finally {
      await restart(right)
    }
    const { terminal, id } = await story.session(robot)
    terminal.leave()
    await story.ended(id, { end: 'vendor-left', sentence: /./, recording: 'complete' })
  })
}
