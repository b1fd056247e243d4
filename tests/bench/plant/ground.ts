import type { ApiClient } from '../../lab/api-client.ts'
import { type LabPlant, type LabPlantOptions, startPlant } from '../../lab/plant.ts'
import { until } from '../../lab/until.ts'
import type { OpenSession, PlantTarget } from './own-plant.ts'

/** A plant with people and assets, on which approved sessions are opened. */
export interface Ground {
  plant: LabPlant
  vendor: ApiClient
  manager: ApiClient
  assets: { name: string; endpointId: string }[]
  user: string
  /** Sessions opened so far. */
  visits: number
}

export async function startGround(target: PlantTarget, options: LabPlantOptions = {}): Promise<Ground> {
  // As an installation has it: its database survives a power cut.
  const plant = await startPlant({ ...options, broker: { postgresSettings: {}, ...options.broker } })
  const { client: vendor } = await plant.person('Vera Bench', ['vendor'], true)
  const { client: manager } = await plant.person('Max Bench', ['approver'])
  const assets: Ground['assets'] = []
  for (let index = 0; index < target.assets; index++) {
    const name = `Bench ${index}`
    const { endpointId } = await plant.asset({
      name,
      criticality: 'C4',
      target,
      ...(target.vnc ? { vnc: target.vnc } : {}),
    })
    assets.push({ name, endpointId })
  }
  await plant.ticket(
    'CHG-BENCH',
    assets.map(({ name }) => name),
  )
  return { plant, vendor, manager, assets, user: target.user, visits: 0 }
}

/** Asks for access to one of the assets, has it approved and opens the session; its browser comes next. */
export async function openSession(ground: Ground, asset: number): Promise<OpenSession> {
  const { plant, vendor, manager, assets, user } = ground
  const chosen = assets[asset]
  if (!chosen) throw new Error('no such asset')
  ground.visits += 1
  const request = await vendor.call('POST /api/requests', {
    body: {
      endpointId: chosen.endpointId,
      account: user,
      features: [],
      purpose: `Bench visit ${ground.visits}`,
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
