import path from 'node:path'
import { pino } from 'pino'
import { expect } from 'vitest'
import { type RunningBroker, startBroker } from '../../broker/broker.ts'
import { rooms } from '../../main.ts'
import { startOpenssh } from '../lab/openssh.ts'
import { startPlant } from '../lab/plant.ts'
import { Terminal } from '../lab/terminal.ts'
import { until } from '../lab/until.ts'
import { startStory } from './story.ts'

/**
 * A broker that restarts, then one that stays away for longer than a lease. Takes the minute that a lease lasts, so it
 * runs beside other tests, on a plant and an sshd of its own.
 */
export async function lostLink(): Promise<void> {
  const sshd = await startOpenssh()
  const limits = { signIn: { burst: 1000, perSecond: 1000 }, address: { burst: 10_000, perSecond: 10_000 } }
  const plant = await startPlant({ broker: { limits } })
  const { link, web } = plant.broker
  let broker: RunningBroker | null = plant.broker
  const brokerAgain = async () => {
    broker = await startBroker(
      {
        dataDir: path.join(plant.dataDir, 'broker'),
        publicUrl: plant.origin,
        deploymentName: 'Lab plant',
        version: '0.0.0-lab',
        web,
        link,
        webDir: null,
        providers: [],
        logger: pino({ level: 'silent' }),
        limits,
      },
      rooms({
        recordings: path.join(plant.dataDir, 'recordings'),
        reserveBytes: 1024 * 1024,
        ticketFolder: null,
      }),
    )
    await until(() => plant.gateway.links().length === 1, 'the gateway has come back', 30_000)
  }
  const brokerAway = async () => {
    await broker?.stop()
    broker = null
  }
  const stateAtGateway = (id: string) => plant.gateway.sessions().find((one) => one.session === id)?.state
  try {
    const story = await startStory(plant)
    const robot = await story.asset({ name: 'Robot 9', criticality: 'C4', target: sshd })
    const kiln = await story.asset({ name: 'Kiln 9', criticality: 'C2', target: sshd })
    const c4 = await story.session(robot)
    const c2 = await story.session(kiln)
    c2.terminal.type('echo before-$((1+1))\n')
    await c2.terminal.sees('before-2')
    const both = (await sshd.connections()).length

    // A restart: the gateway comes back by itself, its sessions are known, permitted afresh and go on.
    await brokerAway()
    await until(() => c2.terminal.closed !== null, 'the browser is told', 10_000)
    expect((await sshd.connections()).length).toBe(both)
    await brokerAgain()
    for (const id of [c4.id, c2.id]) {
      const known = (broker as RunningBroker | null)?.sessions.live.get(id)
      await until(() => known !== undefined && known.lostAt === null, 'adopted', 10_000)
      expect(known?.ordered).toBeNull()
    }
    const opening = await story.vera.call('POST /api/sessions/:id/attach', {
      params: { id: c2.id },
      body: {},
    })
    const back = await Terminal.connect(opening, story.vera, { ca: plant.ca ?? '', connectTo: web })
    back.start()
    await back.sees('before-2')
    await until(async () => (await story.view(c2.id)).state === 'live', 'live again', 10_000)
    back.type('echo after-$((1+1))\n')
    await back.sees('after-2')

    // Away for longer than the lease: C4 is cut, C2 is held with its connection, input frozen.
    const since = performance.now()
    await brokerAway()
    await until(() => stateAtGateway(c4.id) === undefined, 'C4 is over', 75_000)
    const took = performance.now() - since
    expect(took).toBeGreaterThan(30_000)
    expect(took).toBeLessThan(62_000)
    // sshd ends a connection in its own time after the socket is gone.
    await until(async () => (await sshd.connections()).length === both - 1, 'sshd has noticed', 5_000)
    await until(() => stateAtGateway(c2.id) === 'held', 'C2 is held', 25_000)
    expect((await sshd.connections()).length).toBe(both - 1)

    await brokerAgain()
    await story.ended(
      c4.id,
      { end: 'lease-lost', sentence: /lost its link to the broker/, recording: 'complete' },
      60_000,
    )
    expect((await story.view(c2.id)).state).not.toBe('closed')
    const asked = performance.now()
    await story.paul.call('POST /api/sessions/:id/stop', { params: { id: c2.id }, body: {} })
    expect(performance.now() - asked).toBeLessThan(5_000)
    await until(async () => (await story.view(c2.id)).state === 'closed', 'the operator has ended it', 10_000)
    const { end } = await story.view(c2.id)
    expect(['lease-lost', 'operator-stopped']).toContain(end)
    await story.ended(c2.id, { end: end ?? 'idle', sentence: /./, recording: 'complete' })
  } finally {
    await brokerAway()
    await plant.stop().catch(() => undefined)
    await sshd.stop()
  }
}
