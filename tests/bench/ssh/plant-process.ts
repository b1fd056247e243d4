import type { ApiClient } from '../../lab/api-client.ts'
import { type LabPlant, startPlant } from '../../lab/plant.ts'
import { until } from '../../lab/until.ts'
import type { OpenSession } from './own-plant.ts'

/** The plant of the bench: broker, gateway and database, steered over IPC by own-plant.ts. */
interface Ground {
  plant: LabPlant
  vendor: ApiClient
  manager: ApiClient
  assets: { name: string; endpointId: string }[]
  user: string
}

let ground: Ground | null = null
let visits = 0

async function start(target: {
  port: number
  user: string
  privateKey: string
  assets: number
}): Promise<void> {
  // As an installation has it: its database survives a power cut.
  const plant = await startPlant({ broker: { postgresSettings: {} } })
  const { client: vendor } = await plant.person('Vera Bench', ['vendor'], true)
  const { client: manager } = await plant.person('Max Bench', ['approver'])
  const assets: Ground['assets'] = []
  for (let index = 0; index < target.assets; index++) {
    const name = `Bench ${index}`
    const { endpointId } = await plant.asset({ name, criticality: 'C4', target })
    assets.push({ name, endpointId })
  }
  await plant.ticket(
    'CHG-BENCH',
    assets.map(({ name }) => name),
  )
  ground = { plant, vendor, manager, assets, user: target.user }
}

async function open(asset: number): Promise<OpenSession> {
  if (!ground) throw new Error('not started')
  const { plant, vendor, manager, assets, user } = ground
  const chosen = assets[asset]
  if (!chosen) throw new Error('no such asset')
  visits += 1
  const request = await vendor.call('POST /api/requests', {
    body: {
      endpointId: chosen.endpointId,
      account: user,
      features: [],
      purpose: `Bench visit ${visits}`,
      ticket: { system: 'file', key: 'CHG-BENCH' },
      window: {
        opensAt: new Date(Date.now() - 60_000).toISOString(),
        closesAt: new Date(Date.now() + 3_600_000).toISOString(),
      },
    },
  })
  await manager.decide(request.id, 'granted')
  await vendor.signIn()
  const notice = await vendor.call('GET /api/requests/:id/notice', { params: { id: request.id } })
  const ask = () =>
    vendor.ask('POST /api/requests/:id/session', {
      params: { id: request.id },
      body: { noticeVersion: notice.version },
    })
  let answer = await ask()
  // The former session of the endpoint may still be closing.
  await until(
    async () => {
      if (answer.status !== 200) answer = await ask()
      return answer.status === 200
    },
    'the endpoint is free',
    20_000,
  )
  return {
    ...answer.body,
    cookie: vendor.cookieHeader(),
    origin: plant.origin,
    host: plant.host,
    port: Number(new URL(plant.origin).port),
    ca: plant.ca ?? '',
  }
}

process.on('message', ({ id, what, input }: { id: number; what: string; input: never }) => {
  const work =
    what === 'start'
      ? start(input)
      : what === 'open'
        ? open(input)
        : (ground?.plant.stop() ?? Promise.resolve())
  work.then(
    (value) => process.send?.({ id, value }),
    (error: unknown) => process.send?.({ id, error: String(error) }),
  )
})
