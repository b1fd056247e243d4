import { expect } from 'vitest'
import type { Answer } from '../../broker/contract/api/index.ts'
import type { Criticality, SessionEnd } from '../../broker/domain/words.ts'
import type { ApiClient } from '../lab/api-client.ts'
import type { LabPlant, LabTarget } from '../lab/plant.ts'
import { Terminal } from '../lab/terminal.ts'
import { until } from '../lab/until.ts'

export type View = Answer<'GET /api/sessions/:id'>

/** The people of a plant whose parts fail, and what they do. */
export interface Story {
  plant: LabPlant
  vera: ApiClient
  veraId: string
  paul: ApiClient
  asset(of: {
    name: string
    criticality: Criticality
    target: LabTarget
    holdSeconds?: number
  }): Promise<Target>
  /** Asked, approved and inside its window, which closes `ms` from now. */
  approved(target: Target, ms?: number, who?: ApiClient): Promise<string>
  open(requestId: string, who?: ApiClient): Promise<{ terminal: Terminal; id: string }>
  /** The same, waiting for the prompt. */
  session(
    target: Target,
    ms?: number,
    who?: ApiClient,
  ): Promise<{ terminal: Terminal; id: string; requestId: string }>
  view(id: string): Promise<View>
  entries(id: string): Promise<Answer<'GET /api/audit'>['items']>
  /**
   * What must hold after every failure: closed for this reason with a sentence, one audit entry of the end, and a recording
   * that verifies and declares every stretch that it lacks. Null for a session that never reached its asset.
   */
  ended(
    id: string,
    expected: { end: SessionEnd; sentence: RegExp; recording: 'complete' | 'recovered' | 'arriving' | null },
    withinMs?: number,
  ): Promise<View>
}

export interface Target {
  name: string
  assetId: string
  endpointId: string
  account: string
}

export async function startStory(plant: LabPlant): Promise<Story> {
  const vera = await plant.person('Vera Vendor', ['vendor'], true)
  const paul = await plant.person('Paul Plant', ['approver', 'operator', 'auditor'])
  let tickets = 0
  const connectTo = { host: '127.0.0.1', port: Number(new URL(plant.origin).port) }
  const story: Story = {
    plant,
    vera: vera.client,
    veraId: vera.id,
    paul: paul.client,
    async asset({ name, criticality, target, holdSeconds }) {
      const mode = criticality === 'C4' ? 'cut' : criticality === 'C3' ? 'grace' : 'operator-confirm'
      const made = await plant.asset({
        name,
        criticality,
        target,
        ...(holdSeconds === undefined ? {} : { ending: { mode, holdSeconds, inputDuringGrace: false } }),
      })
      return { name, ...made, account: target.user }
    },
    async approved(target, ms = 3_600_000, who = vera.client) {
      tickets += 1
      const key = `CHG${4000 + tickets}`
      await plant.ticket(key, [target.name])
      const request = await who.call('POST /api/requests', {
        body: {
          endpointId: target.endpointId,
          account: target.account,
          features: [],
          purpose: 'Replace the gripper program',
          ticket: { system: 'file', key },
          window: {
            opensAt: new Date(Date.now() - 60_000).toISOString(),
            closesAt: new Date(Date.now() + ms).toISOString(),
          },
        },
      })
      await paul.client.decide(request.id, 'granted')
      return request.id
    },
    async open(requestId, who = vera.client) {
      const notice = await who.call('GET /api/requests/:id/notice', { params: { id: requestId } })
      const opening = await who.call('POST /api/requests/:id/session', {
        params: { id: requestId },
        body: { noticeVersion: notice.version },
      })
      const terminal = await Terminal.connect(opening, who, { ca: plant.ca ?? '', connectTo })
      terminal.start()
      return { terminal, id: opening.sessionId }
    },
    async session(target, ms, who) {
      const requestId = await story.approved(target, ms, who)
      const opened = await story.open(requestId, who)
      await opened.terminal.sees('$ ')
      return { ...opened, requestId }
    },
    view: (id) => paul.client.call('GET /api/sessions/:id', { params: { id } }),
    async entries(id) {
      return (await paul.client.call('GET /api/audit', { query: { session: id, limit: 200 } })).items
    },
    async ended(id, { end, sentence, recording }, withinMs = 30_000) {
      const now = async () => {
        const answer = await paul.client.ask('GET /api/sessions/:id', { params: { id } })
        return answer.status === 200 ? answer.body : null
      }
      let seen: View | null = null
      await until(
        async () => {
          seen = await now()
          // Nothing was live, so nothing is missing.
          return seen?.state === 'closed' && seen.end === end && seen.recording === (recording ?? 'none')
        },
        `session ended ${end}, recording ${recording}`,
        withinMs,
      ).catch((error: Error) => {
        throw new Error(`${error.message}: ${JSON.stringify(seen)}`)
      })
      const view = await story.view(id)
      expect(view.endMessage).toMatch(sentence)
      expect(view.endedAt).not.toBeNull()
      const endings = async () => (await story.entries(id)).filter((entry) => entry.action === 'session.end')
      // The row is there at once; the log lists what its sequencer has reached, which a database that was away delays.
      await until(async () => (await endings()).length > 0, 'its end is in the log', withinMs)
      const ends = await endings()
      expect(ends.map((entry) => entry.details.end)).toEqual([end])
      expect(ends[0]?.reason).toBe(view.endMessage)
      if (recording === null || recording === 'arriving') return view
      const checked = await paul.client.call('POST /api/recordings/:id/verify', {
        params: { id: view.recordingId },
        body: {},
      })
      expect(checked.checks.filter((check) => check.result === 'failed')).toEqual([])
      expect(checked.verdict).not.toBe('INVALID')
      const { gaps } = await paul.client.call('GET /api/recordings/:id', { params: { id: view.recordingId } })
      if (recording === 'complete') {
        expect(checked.verdict).toBe('VALID')
        expect(gaps).toEqual([])
      } else {
        // What a kill took is said in the signed manifest, and an alarm of its own in the log.
        expect(gaps.length).toBeGreaterThan(0)
        const said = (await story.entries(id)).filter((entry) => entry.action === 'recording.gap')
        expect(said.length).toBeGreaterThan(0)
      }
      return view
    },
  }
  return story
}
