import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Plant, startPlant } from '../broker/plant.ts'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { readNotice } from '../lab/read-notice.ts'
import { until } from '../lab/until.ts'

/*
 * What an operator said stands in the audit log: neither the vendor's leaving in time, nor another request of theirs,
 * nor an edited row, nor an order that was lost, nor a restarted broker takes it back. Red when `ordersOn` in
 * broker/audit/orders.ts gives nothing.
 */

const missing = opensshMissing()

describe.skipIf(missing !== null)(`an operator's word${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let plant: Plant
  let sshd: LabSshd
  let endpointId: string
  const running = new Set<string>()

  beforeAll(async () => {
    sshd = await startOpenssh()
    plant = await startPlant()
    await until(() => plant.gateway.links().length === 1, 'the gateway is linked')
    const asset = { name: 'Robot cell 4', port: sshd.port, account: sshd.user, password: sshd.password }
    endpointId = (await plant.asset(asset)).endpointId
  })
  afterAll(async () => {
    await plant?.close()
    await sshd?.stop()
  })
  afterEach(async () => {
    for (const id of running) {
      await stop(id)
      await closed(id)
    }
    running.clear()
  })

  const approved = () => plant.approved({ endpointId, account: sshd.user, ci: 'Robot cell 4' })
  const enter = async (request: string) => {
    const opening = await plant.open(request)
    running.add(opening.sessionId)
    const terminal = await plant.socket(opening, plant.vendor)
    terminal.start()
    await until(() => terminal.output.includes('$ '), 'a prompt')
    return { terminal, id: opening.sessionId }
  }
  const stop = (id: string) => plant.approver.ask('POST /api/sessions/:id/stop', { params: { id }, body: {} })
  const hold = (id: string) =>
    plant.approver.call('POST /api/sessions/:id/hold', { params: { id }, body: { cause: 'Alarm in cell 4' } })
  const again = async (request: string) => (await readNotice(plant.vendor, request))()
  const denied = async (request: string) => {
    const answer = await again(request)
    expect(answer.status).toBe(403)
    return (answer.body as unknown as { reasons: { code: string }[] }).reasons.map(({ code }) => code)
  }
  const closed = (id: string, withinMs = 20_000) =>
    until(
      async () => {
        const [row] = await plant.broker.store.db.sql`SELECT state FROM session WHERE id = ${id}`
        return row?.state === 'closed'
      },
      'the session is closed',
      withinMs,
    )
  /** Orders to the gateway are lost until the answer is called. */
  const loseOrders = () => {
    const { link } = plant.broker.sessions.deps
    const { control } = link
    link.control = () => null
    return () => {
      link.control = control
    }
  }

  it('a stop holds for everything that was approved before it, whatever the rows say', async () => {
    const request = await approved()
    const other = await approved()
    const { id } = await enter(request)
    expect((await stop(id)).status).toBe(200)
    await closed(id)
    expect(await denied(request)).toEqual(['operator-stopped'])
    expect(await denied(other)).toEqual(['operator-stopped'])

    const { sql } = plant.broker.store.db
    await sql`UPDATE session SET end_code = 'vendor-left', ended_by = 'vendor' WHERE id = ${id}`
    expect(await denied(request)).toEqual(['operator-stopped'])

    // Approved by somebody who can know of it.
    await enter(await approved())
  })

  it('a vendor who leaves as the stop comes does not get around it', async () => {
    const request = await approved()
    const { id, terminal } = await enter(request)
    terminal.ws.send(JSON.stringify({ type: 'leave' }))
    await closed(id)
    const answer = await stop(id)
    expect(answer).toMatchObject({ status: 409, body: { code: 'session-over' } })
    expect(await denied(request)).toEqual(['operator-stopped'])
    const { items } = await plant.approver.call('GET /api/audit', {
      query: { session: id, action: 'session.stop', limit: 10 },
    })
    expect(items).toHaveLength(1)
  })

  it('a stop whose order was lost is ordered again', async () => {
    const request = await approved()
    const { id } = await enter(request)
    const find = loseOrders()
    expect((await stop(id)).status).toBe(504)
    find()
    await closed(id)
    const view = await plant.approver.call('GET /api/sessions/:id', { params: { id } })
    expect(view).toMatchObject({ end: 'operator-stopped', endedBy: 'Paul Plant' })
    expect(await denied(request)).toEqual(['operator-stopped'])
  })

  it('also by a broker that was started since', async () => {
    const request = await approved()
    const { id } = await enter(request)
    loseOrders()
    expect((await stop(id)).status).toBe(504)
    await plant.restartBroker()
    await closed(id)
    const view = await plant.approver.call('GET /api/sessions/:id', { params: { id } })
    expect(view).toMatchObject({ end: 'operator-stopped', endedBy: 'Paul Plant' })
    expect(await denied(request)).toEqual(['operator-stopped'])
  })

  it('a hold outlives the session that the vendor left, until it is released', async () => {
    const request = await approved()
    const { id, terminal } = await enter(request)
    await hold(id)
    terminal.ws.send(JSON.stringify({ type: 'leave' }))
    await closed(id)
    expect(await denied(request)).toEqual(['operator-held'])
    const standing = () =>
      plant.approver.call('GET /api/sessions', { query: { holdStands: 'true', limit: 10 } })
    expect((await standing()).items).toMatchObject([{ id, holdStands: true }])
    await plant.approver.call('POST /api/sessions/:id/release', { params: { id }, body: {} })
    expect((await standing()).items).toEqual([])
    await enter(request)
  })

  it('a hold that comes as the vendor leaves stands too, and a new approval clears it', async () => {
    const request = await approved()
    const { id, terminal } = await enter(request)
    terminal.ws.send(JSON.stringify({ type: 'leave' }))
    await closed(id)
    const answer = await plant.approver.ask('POST /api/sessions/:id/hold', {
      params: { id },
      body: { cause: 'Somebody is in the cell' },
    })
    expect(answer).toMatchObject({ status: 409, body: { code: 'session-over' } })
    expect(await denied(request)).toEqual(['operator-held'])
    await enter(await approved())
  })
})
