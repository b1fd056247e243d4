import { appendFile, mkdir, open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'

/** What the recorder does to a disk. Everything runs on libuv's threads, never on the loop. */
export interface Disk {
  makeFolder(path: string): Promise<void>
  /** A new file; fails when it exists, because no segment is ever written twice. */
  create(path: string): Promise<DiskFile>
  /** Puts a small file in place as a whole, durable when it settles. */
  put(path: string, bytes: Uint8Array | string): Promise<void>
  append(path: string, text: string): Promise<void>
  remove(path: string): Promise<void>
}

export interface DiskFile {
  /** Writes all of it, in order. */
  write(parts: readonly Uint8Array[]): Promise<void>
  /** fdatasync: returns when the bytes written so far are on the medium. */
  sync(): Promise<void>
  close(): Promise<void>
}

/** Owner only: recordings are sealed, their headers and sizes are still nobody else's business. */
const FILE_MODE = 0o600
const FOLDER_MODE = 0o700
/** IOV_MAX on Linux is 1,024. */
const PARTS_LIMIT = 512

export const nodeDisk: Disk = {
  async makeFolder(path) {
    await mkdir(path, { recursive: true, mode: FOLDER_MODE })
    await syncFolder(dirname(path))
  },
  async create(path) {
    const handle = await open(path, 'wx', FILE_MODE)
    await syncFolder(dirname(path))
    return {
      async write(parts) {
        for (let at = 0; at < parts.length; at += PARTS_LIMIT)
          await writeAll(handle, parts.slice(at, at + PARTS_LIMIT))
      },
      sync: () => handle.datasync(),
      close: () => handle.close(),
    }
  },
  async put(path, bytes) {
    const temporary = `${path}.part`
    const handle = await open(temporary, 'w', FILE_MODE)
    try {
      await handle.writeFile(bytes)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, path)
    await syncFolder(dirname(path))
  },
  append: (path, text) => appendFile(path, text, { mode: FILE_MODE }),
  remove: (path) => unlink(path),
}

/** A name is only durable when its folder is. */
async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function writeAll(
  handle: Awaited<ReturnType<typeof open>>,
  parts: readonly Uint8Array[],
): Promise<void> {
  const total = parts.reduce((sum, part) => sum + part.length, 0)
  const { bytesWritten } = await handle.writev(parts as Uint8Array[])
  if (bytesWritten === total) return
  // A short write: the rest in one piece, which fails for the reason (a full disk) or gets it done.
  const rest = Buffer.concat(parts).subarray(bytesWritten)
  for (let at = 0; at < rest.length; ) {
    const { bytesWritten: more } = await handle.write(rest, at)
    if (more === 0) throw new Error('the file system writes nothing and reports no error')
    at += more
  }
}
