import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { link, mkdir, open, rm, stat, statfs } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { Readable } from 'node:stream'
import type { EvidenceKey, EvidenceStore } from './evidence-store.ts'

/**
 * Evidence in a folder. Wrapped keys lie in a tree of their own, because deletion by retention destroys them and
 * leaves the segments, which may lie on write-once storage.
 */
export async function openFolderStore(path: string, reserveBytes: number): Promise<EvidenceStore> {
  const folder = resolve(path)
  const incoming = join(folder, 'incoming')
  const made = await mkdir(incoming, { recursive: true, mode: 0o700 })
  if (made !== undefined)
    for (let at = incoming; at.length >= made.length; at = dirname(at)) await syncFolder(dirname(at))
  const pathOf = (key: EvidenceKey) => join(folder, /\/keys\//.test(key) ? 'keys' : 'objects', key)

  /**
   * A name is on the disk only when its folder is, and so is that folder's own name. Whoever made them, and whether that
   * one has got as far as this: the gateway removes its copy on our word.
   */
  const syncNames = async (target: string): Promise<void> => {
    for (let at = dirname(target); at.startsWith(folder); at = dirname(at)) await syncFolder(at)
  }

  const hashOfFile = async (path: string): Promise<string | null> => {
    const hash = createHash('sha256')
    try {
      for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 }))
        hash.update(chunk as Buffer)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
      throw error
    }
    return hash.digest('hex')
  }

  return {
    async put(key, sha256, length, body) {
      const target = pathOf(key)
      const temporary = join(incoming, randomUUID())
      const file = await open(temporary, 'wx', 0o600)
      let written = 0
      const hash = createHash('sha256')
      try {
        for await (const chunk of body as AsyncIterable<Buffer>) {
          written += chunk.length
          if (written > length) return 'mismatch'
          hash.update(chunk)
          await file.writeFile(chunk)
        }
        if (written !== length || hash.digest('hex') !== sha256) return 'mismatch'
        // "Stored" is said only of what is on the disk.
        await file.sync()
        await mkdir(dirname(target), { recursive: true, mode: 0o700 })
        try {
          // link() refuses an existing name, so two writers cannot replace each other's bytes as rename() would.
          await link(temporary, target)
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
          if ((await hashOfFile(target)) !== sha256) return 'conflict'
          await syncNames(target)
          return 'same'
        }
        await syncNames(target)
        return 'stored'
      } finally {
        await file.close()
        await rm(temporary, { force: true })
      }
    },
    async size(key) {
      try {
        return (await stat(pathOf(key))).size
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
        throw error
      }
    },
    hash: (key) => hashOfFile(pathOf(key)),
    read: (key): Readable => createReadStream(pathOf(key), { highWaterMark: 256 * 1024 }),
    async space() {
      const { bavail, bsize } = await statfs(folder)
      const freeBytes = bavail * bsize
      return { freeBytes, reserveBytes, ok: freeBytes >= reserveBytes }
    },
  }
}

/** At the start, before anything arrives: what a crash left half-written was never acknowledged and comes again. */
export async function clearIncoming(folder: string): Promise<void> {
  await rm(join(folder, 'incoming'), { recursive: true, force: true })
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
