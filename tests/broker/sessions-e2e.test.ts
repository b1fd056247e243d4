import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { readNotice } from '../lab/read-notice.ts'
import { until } from '../lab/until.ts'
import { type Plant, startPlant } from './plant.ts'

const missing = opensshMissing()

/** Broker, PostgreSQL, gateway and OpenSSH, all real; the browser is a WebSocket client. */
describe.skipIf(missing !== null)(
  `sessions from request to receipt${missing ? ` (skipped: ${missing})` : ''}`,
  () => {
    let plant: Plant
    let sshd: LabSshd
    let endpointId: string

    beforeAll(async () => {
      sshd = await startOpenssh()
      plant = await startPlant()
      await until(() => plant.gateway.links().length === 1, 'the gateway is linked')
      const asset = await plant.asset({
        name: 'Robot cell 4',
        port: sshd.port,
        account: sshd.user,
        password: sshd.password,
      })
      endpointId = asset.endpointId
    })
    afterAll(async () => {
      await plant?.close()
      await sshd?.stop()
    })

    const request = () => plant.approved({ endpointId, account: sshd.user, ci: 'Robot cell 4' })
    const view = (id: string) => plant.approver.call('GET /api/sessions/:id', { params: { id } })
    const openTerminal = async () => {
      const opening = await plant.open(await request())
      const terminal = await plant.socket(opening, plant.vendor)
      terminal.start()
      await until(() => terminal.output.includes('$ '), 'a prompt')
      return { opening, terminal, id: opening.sessionId }
    }

    it('the vendor types and sees it; everything is on record', async () => {
      const { opening, terminal, id } = await openTerminal()
      terminal.type('echo session-$((40+2))\n')
      await until(() => terminal.output.includes('session-42'), 'the echo')
      const live = await view(id)
      expect(live).toMatchObject({
        state: 'live',
        recording: 'running',
        account: sshd.user,
        inputFrozen: false,
      })

      // The ticket opened one socket and opens no second (threat 18); nobody else is let in beside them.
      await expect(plant.socket(opening, plant.vendor)).rejects.toMatchObject({ status: 403 })
      await expect(plant.socket(opening, plant.approver)).rejects.toMatchObject({ status: 403 })
      const again = await plant.vendor.call('POST /api/sessions/:id/attach', { params: { id }, body: {} })
      await expect(plant.socket(again, plant.vendor, { origin: 'https://evil.test' })).rejects.toMatchObject({
        status: 403,
      })
      const second = await request()
      const open = await readNotice(plant.vendor, second)
      expect((await open()).status).toBe(403)

      terminal.ws.send(JSON.stringify({ type: 'leave' }))
      await until(async () => (await view(id)).state === 'closed', 'it is closed')
      await until(async () => (await view(id)).recording === 'complete', 'its recording has arrived', 20_000)
      const closed = await plant.vendor.call('POST /api/sessions/:id/closing-note', {
        params: { id },
        body: { text: 'Firmware 4.2 on cell 4' },
      })
      expect(closed).toMatchObject({ end: 'vendor-left', closingNote: 'Firmware 4.2 on cell 4' })

      const { items } = await plant.approver.call('GET /api/audit', { query: { session: id, limit: 200 } })
      const actions = items.map((entry) => entry.action)
      for (const action of [
        'session.start',
        'credential.handed-out',
        'session.live',
        'session.end',
        'recording.manifest',
      ])
        expect(actions.filter((one) => one === action)).toHaveLength(1)
      // The one secret of the session is in no answer, no row and no log entry (threat 17).
      const rows = await plant.broker.store.db.sql`SELECT s::text AS row FROM session s`
      expect(JSON.stringify([items, closed, rows, terminal.messages])).not.toContain(sshd.password)

      const { verdict, checks } = await plant.approver.call('POST /api/recordings/:id/verify', {
        params: { id: live.recordingId },
        body: {},
      })
      expect({ verdict, failed: checks.filter((check) => check.result === 'failed') }).toEqual({
        verdict: 'VALID',
        failed: [],
      })
    })

    it('an operator holds, releases and stops; the asset is let go in 5 s', async () => {
      const { terminal, id } = await openTerminal()
      await plant.approver.call('POST /api/sessions/:id/hold', {
        params: { id },
        body: { cause: 'Alarm in cell 4' },
      })
      await until(() => terminal.last('state')?.cause === 'Alarm in cell 4', 'the vendor sees why')
      expect(await view(id)).toMatchObject({ state: 'held', inputFrozen: true, by: 'Paul Plant' })
      await plant.approver.call('POST /api/sessions/:id/release', { params: { id }, body: {} })
      await until(async () => (await view(id)).state === 'live', 'it is live again')
      expect(
        (await plant.vendor.ask('POST /api/sessions/:id/stop', { params: { id }, body: {} })).status,
      ).toBe(403)
      const connections = (await sshd.connections()).length
      expect(connections).toBeGreaterThan(0)
      const stopped = await plant.approver.call('POST /api/sessions/:id/stop', { params: { id }, body: {} })
      expect(stopped.closedAfterMs).toBeLessThan(5_000)
      await until(async () => (await sshd.connections()).length < connections, 'the asset sees it')
      await until(async () => (await view(id)).end === 'operator-stopped', 'the row says so')
      await until(() => terminal.closed !== null, 'the browser is told')
      await plant.approver.call('POST /api/sessions/:id/stop-reason', {
        params: { id },
        body: { reason: 'Arm in motion' },
      })
      // The operator's word stands until somebody approves anew.
      const open = await readNotice(plant.vendor, (await view(id)).requestId)
      const again = await open()
      expect(again.status).toBe(403)
      expect(JSON.stringify(again.body)).toContain('operator-stopped')
    })

    it('somebody watches, and the vendor sees who', async () => {
      const { terminal, id } = await openTerminal()
      const opening = await plant.approver.call('POST /api/sessions/:id/watch', { params: { id }, body: {} })
      const watcher = await plant.socket(opening, plant.approver)
      await until(() => terminal.last('watchers')?.names.includes('Paul Plant') === true, 'the vendor knows')
      await until(async () => (await view(id)).watchers.includes('Paul Plant'), 'the list shows it')
      terminal.type('echo watched-$((1+1))\n')
      await until(() => watcher.output.includes('watched-2'), 'the watcher sees it')
      watcher.ws.close()
      await plant.approver.call('POST /api/sessions/:id/stop', { params: { id }, body: {} })
      await until(async () => (await view(id)).state === 'closed', 'it is closed')
    })

    it('an extension gives a new grant and more time', async () => {
      const requestId = await plant.approved({
        endpointId,
        account: sshd.user,
        ci: 'Robot cell 4',
        minutes: 30,
      })
      const opening = await plant.open(requestId)
      const terminal = await plant.socket(opening, plant.vendor)
      terminal.start()
      await until(() => terminal.output.includes('$ '), 'a prompt')
      const before = await view(opening.sessionId)
      const asked = await plant.vendor.call('POST /api/sessions/:id/extension', {
        params: { id: opening.sessionId },
        body: { minutes: 15, reason: 'The upload is slow' },
      })
      const begun = await plant.approver.call('POST /api/extensions/:id/decision/options', {
        params: { id: asked.id },
        body: { decision: 'granted' },
      })
      const assertion = await plant.approver.passkey.get(begun.options as never)
      await plant.approver.call('POST /api/extensions/:id/decision', {
        params: { id: asked.id },
        body: { challengeId: begun.challengeId, assertion: { ...assertion } },
      })
      const later = Date.parse(before.permitEndsAt) + 14 * 60_000
      await until(
        async () => Date.parse((await view(opening.sessionId)).permitEndsAt) > later,
        'the session is longer',
      )
      await until(() => (terminal.last('state')?.permitEndsAt ?? 0) > later, 'the browser is told')
      const { items } = await plant.approver.call('GET /api/audit', {
        query: { session: opening.sessionId, action: 'session.', limit: 200 },
      })
      expect(items.find((entry) => entry.action === 'session.extend')?.details).toMatchObject({ serial: 2 })
      await plant.approver.call('POST /api/sessions/:id/stop', {
        params: { id: opening.sessionId },
        body: {},
      })
      await until(async () => (await view(opening.sessionId)).state === 'closed', 'it is closed')
      await until(
        async () => (await view(opening.sessionId)).recording === 'complete',
        'it has arrived',
        20_000,
      )
      const { verdict, checks } = await plant.approver.call('POST /api/recordings/:id/verify', {
        params: { id: before.recordingId },
        body: {},
      })
      expect({ verdict, failed: checks.filter((check) => check.result === 'failed') }).toEqual({
        verdict: 'VALID',
        failed: [],
      })
    })

    it('lists by filters and pages, for the sites and people that may see them', async () => {
      const all = await plant.approver.call('GET /api/sessions', { query: {} })
      expect(all.items.length).toBeGreaterThanOrEqual(3)
      const first = await plant.approver.call('GET /api/sessions', { query: { limit: 1 } })
      const second = await plant.approver.call('GET /api/sessions', {
        query: { limit: 1, cursor: first.next ?? '' },
      })
      expect([first.items[0]?.id, second.items[0]?.id]).toEqual(all.items.slice(0, 2).map((item) => item.id))
      const stopped = await plant.approver.call('GET /api/sessions', {
        query: { end: 'operator-stopped', search: 'ROBOT' },
      })
      expect(stopped.items.every((item) => item.end === 'operator-stopped')).toBe(true)
      expect((await plant.approver.call('GET /api/sessions', { query: { live: 'true' } })).items).toEqual([])
      expect((await plant.approver.call('GET /api/sessions', { query: { search: '100%' } })).items).toEqual(
        [],
      )
      expect((await plant.vendor.call('GET /api/sessions', { query: {} })).items.length).toBe(
        all.items.length,
      )
      expect((await plant.approver.ask('GET /api/sessions', { query: { cursor: 'nonsense' } })).status).toBe(
        400,
      )
      expect((await plant.admin.ask('GET /api/sessions', { query: {} })).status).toBe(403)
      const csv = await plant.approver.fetch('GET', '/api/sessions.csv?end=vendor-left')
      expect(String(csv.body).split('\r\n')[1]).toContain('Firmware 4.2 on cell 4')
      expect(String(csv.body)).not.toContain('127.0.0.1')
      const health = await plant.approver.call('GET /api/health', {})
      expect(health).toMatchObject({
        database: { ok: true },
        clock: { state: 'ok' },
        gateways: [{ state: 'online' }],
      })
    })

    it('an approval that is withdrawn ends it, and so does a disabled person, within 5 s', async () => {
      const requestId = await request()
      const opening = await plant.open(requestId)
      const terminal = await plant.socket(opening, plant.vendor)
      terminal.start()
      await until(() => terminal.output.includes('$ '), 'a prompt')
      const { approvals } = await plant.approver.call('GET /api/requests/:id', { params: { id: requestId } })
      const since = performance.now()
      await plant.approver.call('POST /api/approvals/:id/withdraw', {
        params: { id: approvals[0]?.id ?? '' },
        body: { reason: 'Changed my mind' },
      })
      await until(async () => (await view(opening.sessionId)).end === 'approval-withdrawn', 'it is over')
      expect(performance.now() - since).toBeLessThan(5_000)

      const next = await openTerminal()
      const from = performance.now()
      await plant.admin.signIn()
      await plant.admin.call('PATCH /api/people/:id', {
        params: { id: plant.vendorPersonId },
        body: { enabled: false, reason: 'Has left the company' },
      })
      await until(() => next.terminal.closed !== null, 'the socket is closed')
      expect(performance.now() - from).toBeLessThan(5_000)
      await until(async () => (await view(next.id)).end === 'identity-revoked', 'the session is over')
    })
  },
)
