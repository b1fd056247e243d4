import { createServer, type Socket } from 'node:net'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Clock, systemClock } from '../../broker/domain/clock.ts'
import { type LabSshd, opensshMissing, startOpenssh } from '../lab/openssh.ts'
import { type LabPlant, startPlant } from '../lab/plant.ts'
import { readNotice } from '../lab/read-notice.ts'
import { until } from '../lab/until.ts'
import { lostLink } from './lost-link.ts'
import { type SallyportProcess, startSallyport } from './sallyport-process.ts'
import { type Story, startStory, type Target } from './story.ts'

const missing = opensshMissing()
const HUGE = String(2 ** 50)

/** A real plant whose gateway is a process of its own (to be killed) and whose broker's wall clock can be set. */
describe.skipIf(missing !== null)(
  `what fails while sessions run${missing ? ` (skipped: ${missing})` : ''}`,
  () => {
    let plant: LabPlant
    let story: Story
    let sshd: LabSshd
    let gateway: SallyportProcess
    let robot: Target
    let linkLost: Promise<void>
    let wallOffset = 0
    const clock: Clock = { ...systemClock, wall: () => systemClock.wall() + wallOffset }

    const startGatewayProcess = async (reserve = '1048576') => {
      gateway = startSallyport(['gateway'], {
        env: {
          SALLYPORT_GATEWAY_DATA: path.join(plant.dataDir, 'gateway'),
          SALLYPORT_GATEWAY_RESERVE_BYTES: reserve,
          SALLYPORT_LOG_LEVEL: 'warn',
        },
      })
      await until(
        async () => {
          const [one] = await plant.admin.call('GET /api/gateways', {})
          return one?.state === 'online' && one.freeBytes !== null
        },
        'the gateway is online and has told its health',
        30_000,
      ).catch((error: Error) => {
        throw new Error(`${error.message}\n${gateway.stderr()}`)
      })
    }
    const connections = async () => (await sshd.connections()).length
    const refusal = async (ask: Awaited<ReturnType<typeof readNotice>>) => {
      const answer = await ask()
      return { status: answer.status, body: answer.body as unknown as Record<string, unknown> }
    }

    beforeAll(async () => {
      linkLost = lostLink()
      // Looked at by the last test; until then it is nobody's unhandled rejection.
      linkLost.catch(() => undefined)
      sshd = await startOpenssh()
      plant = await startPlant({
        broker: {
          clock,
          limits: { signIn: { burst: 1000, perSecond: 1000 }, address: { burst: 10_000, perSecond: 10_000 } },
        },
      })
      await plant.gateway.stop()
      await startGatewayProcess()
      story = await startStory(plant)
      robot = await story.asset({ name: 'Robot 4-left', criticality: 'C4', target: sshd })
    })
    afterAll(async () => {
      await gateway?.stop()
      await plant?.stop()
      await sshd?.stop()
    })

    it('the database is killed: the session goes on and comes back to a database that was started again', async () => {
      const { terminal, id } = await story.session(robot)
      const pid = plant.broker.store.embedded?.pid()
      if (!pid) throw new Error('no database')
      process.kill(pid, 'SIGKILL')
      terminal.type('echo alive-$((1+1))\n')
      await terminal.sees('alive-2')
      await until(() => {
        const now = plant.broker.store.embedded?.pid()
        return now !== null && now !== undefined && now !== pid
      }, 'started again')
      await until(
        async () => (await story.paul.ask('GET /api/sessions/:id', { params: { id } })).status === 200,
        'the pages work again',
        30_000,
      )
      terminal.leave()
      await story.ended(id, {
        end: 'vendor-left',
        sentence: /The engineer ended the session/,
        recording: 'complete',
      })
    })

    it('the database is away: no new session, and an operator’s stop within 5 s that the log has afterwards', async () => {
      const other = await story.asset({ name: 'Robot 4-right', criticality: 'C2', target: sshd })
      const waiting = await story.approved(other)
      const ask = await readNotice(story.vera, waiting)
      const { terminal, id } = await story.session(robot)
      const before = await connections()
      const { embedded } = plant.broker.store
      await embedded?.stop()
      try {
        terminal.type('echo alive-$((2+2))\n')
        await terminal.sees('alive-4')
        const denied = await refusal(ask)
        expect(denied.status).toBe(503)
        expect(denied.body.code).toBe('database-unavailable')
        expect(String(denied.body.message)).toMatch(/database/i)
        expect(String(denied.body.next).length).toBeGreaterThan(10)
        const asked = performance.now()
        const stopped = await story.paul.call('POST /api/sessions/:id/stop', { params: { id }, body: {} })
        expect(performance.now() - asked).toBeLessThan(5_000)
        expect(stopped.closedAfterMs).toBeLessThan(5_000)
        await until(async () => (await connections()) < before, 'the asset’s socket is closed', 5_000)
        expect((await terminal.state('closed')).end).toBe('operator-stopped')
      } finally {
        await embedded?.start()
      }
      await story.ended(
        id,
        { end: 'operator-stopped', sentence: /operator of the site stopped/, recording: 'complete' },
        60_000,
      )
      await until(() => plant.broker.audit.health().journaled === 0, 'the journal is delivered', 30_000)
      const stop = (await story.entries(id)).find((entry) => entry.action === 'session.stop')
      expect(stop?.actor).toContain('Paul Plant')
      expect(stop?.details.delivered).toBe('journal')
      // Nobody who was refused meanwhile got a session.
      expect((await story.view(id)).state).toBe('closed')
      const { terminal: next, id: nextId } = await story.open(waiting)
      await next.sees('$ ')
      next.leave()
      await story.ended(nextId, { end: 'vendor-left', sentence: /./, recording: 'complete' })
    })

    it('the asset goes away', async () => {
      const { terminal, id } = await story.session(robot)
      terminal.type('echo before-$((1+1))\n')
      await terminal.sees('before-2')
      await sshd.cut()
      const last = await terminal.state('closed')
      expect(last).toMatchObject({ end: 'asset-lost' })
      expect(last.message).toMatch(/connection to the asset was lost/)
      await story.ended(id, {
        end: 'asset-lost',
        sentence: /connection to the asset was lost/,
        recording: 'complete',
      })
    })

    it('the gateway is killed: sessions end, and the recovered recording arrives within 60 s of its restart', async () => {
      const { terminal, id } = await story.session(robot)
      terminal.type('echo survives-$((20+2))\n')
      await terminal.sees('survives-22')
      // Flushed within a second: what was on the screen a second before the kill must be in the recording.
      await new Promise((done) => setTimeout(done, 1_200))
      const before = await connections()
      await gateway.stop('SIGKILL')
      await until(() => terminal.closed !== null, 'the browser is told', 10_000)
      await until(async () => (await connections()) < before, 'the asset sees the end', 10_000)
      await until(
        async () => /out of reach/.test((await story.view(id)).cause ?? ''),
        'the pages say so',
        10_000,
      )
      const requestId = await story.approved(robot)
      const ask = await readNotice(story.vera, requestId)
      const denied = await refusal(ask)
      expect(denied.status).toBe(403)
      expect(JSON.stringify(denied.body)).toContain('gateway-offline')

      // Started again with too little space: it recovers what was left, and opens nothing.
      const started = performance.now()
      await startGatewayProcess(HUGE)
      const view = await story.ended(
        id,
        { end: 'gateway-stopped', sentence: /gateway was (stopped|restarted)/, recording: 'recovered' },
        60_000,
      )
      expect(performance.now() - started).toBeLessThan(60_000)
      const { lines } = await story.paul.call('GET /api/recordings/:id/text', {
        params: { id: view.recordingId },
        query: { search: 'survives-22' },
      })
      expect(lines.length).toBeGreaterThan(0)
      // It never reconnects by itself.
      expect(await connections()).toBeLessThan(before)

      const full = await refusal(ask)
      expect(full.status).toBe(403)
      expect(JSON.stringify(full.body)).toContain('storage-below-reserve')
      const health = await story.paul.call('GET /api/health', {})
      const [seen] = health.gateways
      expect((seen?.freeBytes ?? 0) < (seen?.reserveBytes ?? 0)).toBe(true)
      await gateway.stop()
      await startGatewayProcess()
      const again = await story.open(requestId)
      await again.terminal.sees('$ ')
      again.terminal.leave()
      await story.ended(again.id, { end: 'vendor-left', sentence: /./, recording: 'complete' })
    })

    it('openings that fail: a wrong credential, nothing listening, not SSH, another host key', async () => {
      const fails = async (
        target: Target,
        sentence: RegExp,
        end: 'open-failed' | 'target-identity-changed',
        recording: null | 'arriving' = null,
      ) => {
        const { terminal, id } = await story.open(await story.approved(target))
        const last = await terminal.state('closed', 30_000)
        expect(last).toMatchObject({ end })
        expect(last.message).toMatch(sentence)
        await story.ended(id, { end, sentence, recording })
        expect(JSON.stringify(terminal.messages)).not.toContain(sshd.password)
        expect(terminal.output).toBe('')
        return id
      }
      await plant.admin.signIn()
      const set = (target: Target, password: string) =>
        plant.admin.call('PUT /api/endpoints/:id/accounts/:account/credential', {
          params: { id: target.endpointId, account: target.account },
          body: { kind: 'password', password },
        })
      await set(robot, 'not-the-password')
      // Its gateway had the credential, so its word alone does not prove that nothing was done with it.
      await fails(robot, /did not accept the stored credential/, 'open-failed', 'arriving')
      await set(robot, sshd.password)

      const second = await startOpenssh()
      const panel = await story.asset({ name: 'Panel 7', criticality: 'C3', target: second })
      await second.stop()
      await fails(panel, /nothing answers on its SSH port/, 'open-failed')

      const sockets = new Set<Socket>()
      const other = createServer((socket) => {
        sockets.add(socket)
        socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
        socket.resume().end('HTTP/1.1 400 Bad Request\r\n\r\n')
      })
      await new Promise<void>((done) => other.listen(second.port, '127.0.0.1', done))
      await fails(panel, /does not speak SSH/, 'open-failed')
      await until(() => sockets.size === 0, 'the gateway has let go of it', 10_000)
      await new Promise((done) => other.close(done))

      const impostor = await startOpenssh({ port: second.port })
      try {
        const id = await fails(panel, /different host key.*No credential was sent/, 'target-identity-changed')
        const entries = await story.entries(id)
        const changed = entries.find((entry) => entry.action === 'session.identity-changed')
        expect(changed?.details).toMatchObject({
          expected: [second.fingerprints[0]?.fingerprint],
          seen: impostor.fingerprints[0]?.fingerprint,
        })
        expect(entries.map((entry) => entry.action)).not.toContain('credential.handed-out')
        expect(impostor.log()).not.toMatch(/password for|Accepted/)
        const { alarms } = await story.paul.call('GET /api/integrity', {})
        expect(alarms.some((alarm) => alarm.kind === 'target-identity-changed')).toBe(true)
      } finally {
        await impostor.stop()
      }
    })

    it('a person is disabled: browser closed within 5 s; C4 is cut, C3 stays for the site to look after', async () => {
      const historian = await story.asset({ name: 'Historian', criticality: 'C3', target: sshd })
      const leaver = await plant.person('Lena Leaver', ['vendor'], true)
      const before = await connections()
      const c4 = await story.session(robot, undefined, leaver.client)
      const c3 = await story.session(historian, undefined, leaver.client)
      const both = await connections()
      expect(both).toBe(before + 2)
      const asked = performance.now()
      await plant.admin.call('PATCH /api/people/:id', {
        params: { id: leaver.id },
        body: { enabled: false, reason: 'left the company' },
      })
      await until(
        () => c4.terminal.closed !== null && c3.terminal.closed !== null,
        'both sockets closed',
        5_000,
      )
      expect(performance.now() - asked).toBeLessThan(5_000)
      expect((await leaver.client.fetch('GET', '/api/me')).status).toBe(401)
      await story.ended(c4.id, {
        end: 'identity-revoked',
        sentence: /access was (withdrawn|revoked)/,
        recording: 'complete',
      })
      const held = await story.view(c3.id)
      expect(held).toMatchObject({ state: 'held', inputFrozen: true })
      expect(await connections()).toBe(both - 1)
      await story.paul.call('POST /api/sessions/:id/stop', { params: { id: c3.id }, body: {} })
      const over = await story.view(c3.id)
      await story.ended(c3.id, { end: over.end ?? 'identity-revoked', sentence: /./, recording: 'complete' })
    })

    it('the window’s end by class: C4 cut, C3 view only, C2 held for an operator', async () => {
      const c3 = await story.asset({
        name: 'Engineering station',
        criticality: 'C3',
        target: sshd,
        holdSeconds: 3,
      })
      const c2 = await story.asset({ name: 'Kiln PLC', criticality: 'C2', target: sshd })
      await story.vera.signIn()
      const [cut, grace, confirm] = await Promise.all(
        [robot, c3, c2].map((target) => story.session(target, 12_000)),
      )
      if (!cut || !grace || !confirm) throw new Error('three')
      grace.terminal.type('while true; do echo tick; sleep 0.2; done\n')
      const ended = await cut.terminal.state('closed', 30_000)
      expect(ended.end).toBe('window-closed')

      const viewOnly = await grace.terminal.state('held')
      expect(viewOnly).toMatchObject({ inputFrozen: true, cause: 'The approved window is over.' })
      const shown = grace.terminal.output.length
      grace.terminal.type('\x03echo typed-in-grace\n')
      await until(() => grace.terminal.output.length > shown + 20, 'the screen is live in grace')

      expect(await confirm.terminal.state('held')).toMatchObject({ inputFrozen: true })
      expect(await story.view(confirm.id)).toMatchObject({ state: 'held', inputFrozen: true })
      expect((await story.view(confirm.id)).holdEndsAt).not.toBeNull()

      const window = { end: 'window-closed', sentence: /window is over/, recording: 'complete' } as const
      await story.ended(cut.id, window)
      await story.ended(grace.id, window)
      expect(grace.terminal.output).not.toContain('typed-in-grace')
      // C2 is still there: its socket is an operator's to close.
      expect((await story.view(confirm.id)).state).toBe('held')
      await story.paul.call('POST /api/sessions/:id/stop', { params: { id: confirm.id }, body: {} })
      await until(async () => (await story.view(confirm.id)).state === 'closed', 'the operator has ended it')
      const last = await story.view(confirm.id)
      expect(['window-closed', 'operator-stopped']).toContain(last.end)
      await story.ended(confirm.id, { end: last.end ?? 'idle', sentence: /./, recording: 'complete' })
    })

    it('the broker’s clock is set back: nobody new, and the session ends when it would have', async () => {
      const waiting = await story.approved(robot)
      const ask = await readNotice(story.vera, waiting)
      const kiln = await story.asset({ name: 'Oven 2', criticality: 'C4', target: sshd })
      const { terminal, id } = await story.session(kiln, 9_000)
      const since = performance.now()
      const live = plant.broker.sessions.live.get(id)
      if (!live) throw new Error('not in memory')
      await plant.broker.renewals.decide(live)
      wallOffset = -2 * 3_600_000
      try {
        const denied = await refusal(ask)
        expect(denied.status).not.toBe(200)
        expect(JSON.stringify(denied.body)).toMatch(/clock|step-up/)
        // Decided afresh meanwhile: no reason to cut it off, and its new lease counts.
        await plant.broker.renewals.decide(live)
        expect(live.ordered).toBeNull()
        terminal.type('echo goes-$((1+1))\n')
        await terminal.sees('goes-2')
        await terminal.state('closed', 15_000)
        // Whichever clock says so, never later than the window as it was granted.
        expect(performance.now() - since).toBeLessThan(10_500)
      } finally {
        wallOffset = 0
      }
      await story.ended(id, { end: 'window-closed', sentence: /window is over/, recording: 'complete' })
      expect((await story.entries(id)).map((entry) => entry.action)).not.toContain('gateway.refused')
      // Right again, and the gateway's next word says so too: sessions open again.
      await until(
        async () =>
          (await story.vera.call('GET /api/requests/:id', { params: { id: waiting } })).decision.permitted,
        'the clocks agree',
        30_000,
      )
      const again = await story.open(waiting)
      await again.terminal.sees('$ ')
      again.terminal.leave()
      await story.ended(again.id, { end: 'vendor-left', sentence: /./, recording: 'complete' })
    })

    it('the broker restarts, then stays away: sessions go on to the end of their lease, then end by class', async () => {
      await linkLost
    })
  },
)
