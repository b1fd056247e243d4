import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { exportJWK, generateKeyPair } from 'jose'
import { expect, it } from 'vitest'
import { until } from '../lab/until.ts'
import { verifyWithBoth } from '../lab/verifiers.ts'
import type { System } from './system.ts'

/**
 * Threat 34: "it wasn't me". An approver denies an approval, or somebody with the database writes one in their name. The
 * package answers for itself, far from the plant and without a network; both verifiers say the same.
 */
export function deniedApproval(system: () => System): void {
  it('a package proves who approved what; with another signature, or in another name, it is invalid', async () => {
    const { story, plant, machine } = system()
    const robot = await machine()
    const rita = await plant.person('Rita Plant', ['approver'])
    const { terminal, id, requestId } = await story.session(robot)
    terminal.leave()
    const view = await story.ended(id, { end: 'vendor-left', sentence: /./, recording: 'complete' })
    const pair = await generateKeyPair('ECDH-ES+A256KW', { crv: 'P-256', extractable: true })
    const { x = '', y = '' } = await exportJWK(pair.publicKey)
    const trust = (await story.paul.fetch('GET', '/api/trust')).raw.toString()
    const folder = await mkdtemp(path.join(tmpdir(), 'sallyport-denied-'))
    const { sql } = plant.broker.store.db
    try {
      const verdict = async () => {
        const answer = await story.paul.fetch('POST', `/api/recordings/${view.recordingId}/package`, {
          recipient: { kty: 'EC', crv: 'P-256', x, y },
          recipientName: 'Berta Klein, safety authority',
          purpose: 'Inquiry 7',
        })
        expect(answer.status).toBe(200)
        const zip = path.join(folder, 'package.zip')
        await writeFile(zip, answer.raw)
        return (await verifyWithBoth(zip, trust, await exportJWK(pair.privateKey))).ours
      }
      // The checkpoint in the package must cover the entries of the session.
      await until(async () => (await verdict()).verdict === 'VALID', 'a valid package')

      const [row] = await sql<{ id: string; record: string }[]>`
        SELECT id, record FROM approval WHERE request_id = ${requestId}`
      const record = JSON.parse(row?.record ?? '{}') as {
        approver: { id: string; name: string }
        assertion: { signature: string }
      }
      expect(record.approver.name).toBe('Paul Plant')
      const other = await story.approved(robot)
      const [another] = await sql<{ record: string }[]>`
        SELECT record FROM approval WHERE request_id = ${other}`
      const { assertion } = JSON.parse(another?.record ?? '{}') as typeof record
      for (const [change, code] of [
        [{ assertion: { ...record.assertion, signature: assertion.signature } }, 'assertion-signature'],
        [{ assertion }, 'assertion-challenge'],
        [{ approver: { ...record.approver, id: rita.id, name: 'Rita Plant' } }, 'approval-entry-mismatch'],
      ] as const) {
        await sql`UPDATE approval SET record = ${JSON.stringify({ ...record, ...change })} WHERE id = ${row?.id ?? ''}`
        const forged = await verdict()
        expect(forged.verdict, code).toBe('INVALID')
        expect(forged.fails.authority, JSON.stringify(forged.fails)).toContain(code)
      }
      await sql`UPDATE approval SET record = ${row?.record ?? ''} WHERE id = ${row?.id ?? ''}`
      expect((await verdict()).verdict).toBe('VALID')
      // Who took evidence in hand is in the log as well.
      const exports = (await story.entries(id)).filter(({ action }) => action === 'recording.export')
      expect(exports.length).toBeGreaterThanOrEqual(5)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
}
