import { randomBytes } from 'node:crypto'
import { mkdir, open, rename, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

/** A file or folder of ours that others could read or change. The message says which, and what to do. */
export class TooOpen extends Error {
  readonly code = 'key-file-too-open'

  constructor(path: string, mode: number) {
    super(
      `${path} has mode ${(mode & 0o777).toString(8)}: others could read or change it. ` +
        'Set it to 600 (folders to 700), and enrol the gateway again if somebody may have read its keys.',
    )
    this.name = 'TooOpen'
  }
}

/** Makes the folder, its own name on the disk too: what is synced inside it is lost with a folder that is not. */
export async function privateFolder(path: string): Promise<void> {
  const folder = resolve(path)
  const made = await mkdir(folder, { recursive: true, mode: 0o700 })
  if (made !== undefined)
    for (let at = folder; at.length >= made.length; at = dirname(at)) await syncFolder(dirname(at))
  await refuseOpen(folder)
}

/** Writes with mode 0600 and fsync, replacing in one step: a crash leaves the old file or the new one. */
export async function writePrivate(path: string, text: string): Promise<void> {
  const part = `${path}.${randomBytes(6).toString('hex')}.part`
  const file = await open(part, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(part, path)
  await syncFolder(dirname(path))
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Reads a key file; throws TooOpen when group or others have any right to it. */
export async function readPrivate(path: string): Promise<string> {
  const file = await open(path, 'r')
  try {
    const { mode } = await file.stat()
    if ((mode & 0o077) !== 0) throw new TooOpen(path, mode)
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}

async function refuseOpen(path: string): Promise<void> {
  const { mode } = await stat(path)
  if ((mode & 0o077) !== 0) throw new TooOpen(path, mode)
}
