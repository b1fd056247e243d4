import { expect, it } from 'vitest'
import { api, type RouteKey } from '../../broker/contract/api/index.ts'
import { newId } from '../../broker/domain/ids.ts'
import { requestFor } from './04-wrong-origin-assertion.ts'
import type { System } from './system.ts'

/** Tables that change without anybody's doing: when somebody was last seen, what the running gateway reports. */
const LOOKS = /^(sign_in|oidc_trip|anchor_head|clock_mark|recording|recording_segment)$/

/** What a gateway reports of itself every so often, whoever asks for what. */
const REPORTED = [
  'version',
  'last_seen_at',
  'clock_offset_ms',
  'free_bytes',
  'reserve_bytes',
  'spooled_recordings',
]

/**
 * Threat 8: a mail gateway, a chat's preview or a phone's prefetch follows every link, with the cookies of the one it
 * was sent to. Generated from the contract: a new route is in it without anybody thinking of it.
 */
export function linkScanner(system: () => System): void {
  it('a GET or HEAD of every URL, signed in as anybody, changes nothing', async () => {
    const { story, plant, machine } = system()
    const robot = await machine()
    const { terminal, id: session } = await story.session(robot)
    await plant.ticket('CHG-LINK', [robot.name])
    const waiting = await story.vera.call('POST /api/requests', { body: requestFor(robot, 'CHG-LINK') })
    const view = await story.view(session)
    const invited = await plant.invite('Nobody yet', ['vendor'], true)
    // A new notice that nobody has accepted: reading it is not accepting it.
    await plant.admin.call('PATCH /api/sites/:id', {
      params: { id: plant.siteId },
      body: { notice: 'You are recorded and watched.' },
    })

    const ids: Record<string, string[]> = {
      requests: [waiting.id, view.requestId],
      sessions: [session],
      recordings: [view.recordingId],
      assets: [robot.assetId],
      endpoints: [robot.endpointId],
    }
    const urls = (Object.keys(api) as RouteKey[])
      .filter((key) => key.startsWith('GET ') && key !== 'GET /api/events' && !key.startsWith('GET /ws/'))
      .flatMap((key) => {
        const pattern = key.slice(4)
        const kind = /^\/api\/(\w+)\/:id/.exec(pattern)?.[1] ?? ''
        return (ids[kind] ?? [newId()]).map((id) =>
          pattern
            .replace(':id', id)
            .replace(':endpointId', robot.endpointId)
            .replace(':segment', '0')
            .replace(/:[A-Za-z]+/g, 'lab'),
        )
      })
    const pages = [
      '/',
      '/decide',
      `/decide/${waiting.id}`,
      `/requests/${waiting.id}`,
      `/requests/${view.requestId}/open`,
      `/sessions/${session}/live`,
      `/sessions/${session}/watch`,
      '/set-up',
      '/account',
      '/sign-out',
      new URL(invited.link).pathname,
      // Whatever a sender may think of.
      `/api/requests/${waiting.id}/decision`,
      `/api/requests/${waiting.id}/decision?decision=granted`,
      `/api/sessions/${session}/stop`,
      `/api/requests/${waiting.id}/withdraw`,
      '/api/sign-out',
      `/api/requests/${waiting.id}/session?noticeVersion=2`,
    ]
    expect(urls.length).toBeGreaterThan(25)
    const before = await state(plant)
    for (const who of [story.paul, story.vera, plant.admin, plant.client()])
      for (const url of [...urls, ...pages])
        for (const method of ['GET', 'HEAD']) {
          const answer = await who.fetch(method, url)
          expect(answer.status, `${method} ${url}`).toBeLessThan(500)
        }
    const after = await state(plant)
    for (const [table, rows] of Object.entries(before)) expect([table, after[table]]).toEqual([table, rows])

    // The link of the set-up mail still works for the person it was sent to.
    await plant.client().setUp(invited.link)
    terminal.type('echo untouched-$((40+2))\n')
    await terminal.sees('untouched-42')
    terminal.leave()
    await story.ended(session, { end: 'vendor-left', sentence: /./, recording: 'complete' })
  })
}

/** A fingerprint of every table's rows. */
async function state(plant: System['plant']): Promise<Record<string, string>> {
  const { sql } = plant.broker.store.db
  const tables = await sql<{ name: string }[]>`
    SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1`
  const found: Record<string, string> = {}
  for (const { name } of tables) {
    if (LOOKS.test(name)) continue
    const [row] = await sql<{ hash: string | null }[]>`
      SELECT md5(string_agg(row::text, '|' ORDER BY row::text)) AS hash
      FROM (SELECT to_jsonb(t) - ${name === 'gateway' ? REPORTED : []}::text[] AS row FROM ${sql(name)} t) rows`
    found[name] = row?.hash ?? 'empty'
  }
  return found
}
