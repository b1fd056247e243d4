import { expect, it } from 'vitest'
import type { ApiClient } from '../lab/api-client.ts'
import { Terminal } from '../lab/terminal.ts'
import { until } from '../lab/until.ts'
import type { System } from './system.ts'

/**
 * Threat 18: cross-site WebSocket hijack. The victim's browser sends its cookie with whatever page asks; a ticket that
 * was read over a shoulder is worth one socket, and that one is taken. At a second broker: tests/gateway/two-brokers.
 */
export function foreignOrigin(system: () => System): void {
  const connect = (opening: { socket: string; ticket: string }, who: ApiClient, origin?: string) => {
    const { plant } = system()
    const connectTo = { host: '127.0.0.1', port: Number(new URL(plant.origin).port) }
    return Terminal.connect(opening, who, { ca: plant.ca ?? '', connectTo, ...(origin ? { origin } : {}) })
  }

  it('a foreign Origin is a 403 before the ticket is looked at, and a ticket opens one socket', async () => {
    const { story, plant, machine } = system()
    const robot = await machine()
    const { vera } = story
    const requestId = await story.approved(robot)
    const notice = await vera.call('GET /api/requests/:id/notice', { params: { id: requestId } })
    const opening = await vera.call('POST /api/requests/:id/session', {
      params: { id: requestId },
      body: { noticeVersion: notice.version },
    })
    const port = new URL(plant.origin).port
    for (const origin of [
      `https://evil.example:${port}`,
      `https://evil.${plant.host}:${port}`,
      `https://${plant.host}.evil.example:${port}`,
      `https://${plant.host}`,
      `http://${plant.host}:${port}`,
      'null',
    ])
      await expect(connect(opening, vera, origin), origin).rejects.toMatchObject({ status: 403 })
    // The ticket was not used up by them.
    const terminal = await connect(opening, vera)
    terminal.start()
    await terminal.sees('$ ')

    // Also one to come back with, which the session itself would take at any time.
    const attach = () =>
      vera.call('POST /api/sessions/:id/attach', { params: { id: opening.sessionId }, body: {} })
    const back = await attach()
    const second = await connect(back, vera)
    await until(() => terminal.closed !== null, 'the first socket was replaced')
    for (const used of [opening, back])
      await expect(connect(used, vera)).rejects.toMatchObject({ status: 403 })
    // Nor in somebody else's hands, while it is fresh.
    const other = await plant.person('Ken Colleague', ['vendor'], true)
    await expect(connect(await attach(), other.client)).rejects.toMatchObject({
      status: expect.toBeOneOf([403, 404]),
    })
    expect(second.closed).toBeNull()
    second.start()
    second.leave()
    await until(() => second.closed !== null, 'the session is over')
  })
}
