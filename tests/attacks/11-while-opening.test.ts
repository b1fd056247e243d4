import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Plant, startPlant } from '../broker/plant.ts'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { readNotice } from '../lab/read-notice.ts'
import { until } from '../lab/until.ts'

/*
 * A session opens some moments after it was decided: a name has to be resolved and a gateway has to answer. What is lost
 * in between counts all the same.
 */

const missing = opensshMissing()

describe.skipIf(missing !== null)(`while a session opens${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let plant: Plant
  let sshd: LabSshd
  let place: { assetId: string; endpointId: string }
  let undo = () => {}

  beforeAll(async () => {
    sshd = await startOpenssh()
    plant = await startPlant()
    await until(() => plant.gateway.links().length === 1, 'the gateway is linked')
    place = await plant.asset({
      name: 'Robot cell 4',
      port: sshd.port,
      account: sshd.user,
      password: sshd.password,
    })
  })
  afterAll(async () => {
    await plant?.close()
    await sshd?.stop()
  })
  afterEach(() => undo())

  const approved = () =>
    plant.approved({ endpointId: place.endpointId, account: sshd.user, ci: 'Robot cell 4' })
  const open = async (request: string) => (await readNotice(plant.vendor, request))()
  /** After the decision, when the target is known, before the session is. */
  const afterTarget = (happens: () => Promise<unknown>) => {
    const { deps } = plant.broker.sessions
    const { target } = deps
    deps.target = async (endpoint) => {
      const found = await target(endpoint)
      await happens()
      return found
    }
    undo = () => {
      deps.target = target
    }
  }
  const ended = async (request: string) => {
    const [row] = await plant.broker.store.db.sql<{ end: string | null; stopped: string | null }[]>`
      SELECT end_code AS end, ended_by AS stopped FROM session WHERE request_id = ${request}`
    return row?.end ?? null
  }

  it('an address that is edited then is not the one that was approved', async () => {
    const request = await approved()
    const { deps } = plant.broker.sessions
    const { target } = deps
    deps.target = async (endpoint) => {
      const found = await target(endpoint)
      return found && { ...found, named: { ...found.named, host: '127.0.0.2' } }
    }
    undo = () => {
      deps.target = target
    }
    const answer = await open(request)
    // Red without the comparison of `target.named` in sessions.ts.
    expect(answer).toMatchObject({ status: 403, body: { reasons: [{ code: 'request-changed' }] } })
  })

  it('an approval that is withdrawn then ends the session within seconds', async () => {
    const request = await approved()
    const view = await plant.approver.call('GET /api/requests/:id', { params: { id: request } })
    const id = view.approvals[0]?.id ?? ''
    afterTarget(() =>
      plant.approver.call('POST /api/approvals/:id/withdraw', { params: { id }, body: { reason: 'no' } }),
    )
    await open(request)
    // Red without the decision at once: it would be made after 20 s.
    await until(async () => (await ended(request)) !== null, 'it is over', 10_000)
    expect(await ended(request)).toBe('approval-withdrawn')
  })

  it('a stop that the gateway did not know the session for yet is not lost', async () => {
    const request = await approved()
    const { sessions } = plant.broker
    const { link } = sessions.deps
    const { control } = link
    let stop: { status: number } | undefined
    link.control = (gateway) => {
      const real = control.call(link, gateway)
      if (!real) return null
      return new Proxy(real, {
        get: (of, name) => {
          if (name !== 'ask') return Reflect.get(of, name, of)
          return async (message: Parameters<typeof real.ask>[0], ms: number) => {
            if (message.type === 'open') {
              const id = [...sessions.live.running()].find((one) => one.requestId === request)?.id ?? ''
              stop = await plant.approver.ask('POST /api/sessions/:id/stop', { params: { id }, body: {} })
            }
            return real.ask(message, ms)
          }
        },
      })
    }
    undo = () => {
      link.control = control
    }
    // Red without the look at `stopped` in `#tellGateway`.
    expect(await open(request)).toMatchObject({ status: 409, body: { code: 'operator-stopped' } })
    expect(stop?.status).toBe(409)
    await until(async () => (await ended(request)) !== null, 'it is over', 10_000)
    expect(await ended(request)).toBe('operator-stopped')
  })
})
