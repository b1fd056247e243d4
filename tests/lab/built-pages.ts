import { cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from './until.ts'

const DIST = join(import.meta.dirname, '..', '..', 'dist', 'web')

/** A copy of the built pages, so that a build beside a running test takes no page away from it. */
export async function builtPages(): Promise<{ folder: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-pages-'))
  const entries = (path: string) => readdir(path).catch(() => [] as string[])
  await until(
    async () =>
      (await entries(DIST)).includes('index.html') && (await entries(join(DIST, 'assets'))).length > 20,
    'dist/web is built (npm run build)',
    20_000,
  )
  await cp(DIST, folder, { recursive: true })
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) }
}
