import { request } from 'node:https'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ApiClient } from '../lab/api-client.ts'
import { until } from '../lab/until.ts'
import { NAME, type Plant, startPlant } from './plant.ts'

describe('hints', () => {
  let plant: Plant
  beforeAll(async () => {
    plant = await startPlant({}, { gateway: false })
  })
  afterAll(() => plant?.close())

  const listen = (who: ApiClient | null) => {
    const heard = { status: 0, text: '', type: '', ended: false, stop: () => undefined as unknown }
    const call = request(
      {
        host: '127.0.0.1',
        port: plant.broker.web.port,
        servername: NAME,
        ca: plant.broker.siteCa ?? '',
        path: '/api/events',
        agent: false,
        headers: { host: NAME, ...(who ? { cookie: who.cookieHeader() } : {}) },
      },
      (answer) => {
        heard.status = answer.statusCode ?? 0
        heard.type = String(answer.headers['content-type'])
        answer.setEncoding('utf8').on('data', (text: string) => {
          heard.text += text
        })
        answer.on('close', () => {
          heard.ended = true
        })
      },
    )
    call.on('error', () => {
      heard.ended = true
    })
    call.end()
    heard.stop = () => call.destroy()
    return heard
  }

  it('say that something changed and nothing else; bounded per person; closed with the person', async () => {
    const anonymous = listen(null)
    await until(() => anonymous.status === 401, 'it is refused')
    const streams = Array.from({ length: 6 }, () => listen(plant.vendor))
    await until(
      () => streams.every((one) => one.status === 200 && one.text.includes('retry')),
      'all are open',
    )
    expect(streams[0]?.type).toContain('text/event-stream')
    const seventh = listen(plant.vendor)
    await until(() => seventh.status === 429, 'one more is refused')
    plant.broker.sessions.deps.hints.publish('sessions')
    await until(() => streams.every((one) => one.text.includes('event: sessions\ndata: {}\n\n')), 'all hear')
    streams[0]?.stop()
    await plant.admin.signIn()
    await plant.admin.call('PATCH /api/people/:id', {
      params: { id: plant.vendorPersonId },
      body: { enabled: false, reason: 'Has left' },
    })
    await until(() => streams.every((one) => one.ended), 'none is left')
  })
})
