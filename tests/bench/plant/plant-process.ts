import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { until } from '../../lab/until.ts'
import { type Ground, openSession, startGround } from './ground.ts'
import type { PlantTarget } from './own-plant.ts'

/** The plant of the bench: broker, gateway and database, steered over IPC by own-plant.ts. */
let ground: Ground | null = null

function standing(): Ground {
  if (!ground) throw new Error('not started')
  return ground
}

/** Bytes of the newest recording as the broker keeps it (segments of both streams, manifest), once all of it has come. */
async function recorded(): Promise<number> {
  const { plant, visits } = standing()
  const folder = join(plant.dataDir, 'recordings', 'objects')
  const recordings = () => readdir(folder).catch(() => [])
  await until(async () => (await recordings()).length >= visits, 'the recording arrives')
  const born = await Promise.all(
    (await recordings()).map(async (name) => ({ name, at: (await stat(join(folder, name))).birthtimeMs })),
  )
  const newest = join(folder, born.sort((a, b) => b.at - a.at)[0]?.name ?? '')
  const files = () => readdir(newest, { recursive: true })
  await until(async () => (await files()).includes('manifest.jws'), 'the recording is delivered')
  const sizes = await Promise.all((await files()).map((name) => stat(join(newest, name))))
  return sizes.reduce((sum, one) => sum + (one.isFile() ? one.size : 0), 0)
}

const DOES = {
  start: async (target: PlantTarget) => {
    ground = await startGround(target)
  },
  open: (asset: number) => openSession(standing(), asset),
  recorded,
  stop: async () => await ground?.plant.stop(),
}

process.on('message', ({ id, what, input }: { id: number; what: keyof typeof DOES; input: never }) => {
  DOES[what](input).then(
    (value) => process.send?.({ id, value }),
    (error: unknown) => process.send?.({ id, error: String(error) }),
  )
})
