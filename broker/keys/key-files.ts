import { type FileHandle, open, rename, stat } from 'node:fs/promises'
import path from 'node:path'
import { Secret } from '../domain/secret.ts'

export class KeyError extends Error {
  readonly code: 'key-permissions' | 'key-missing' | 'key-malformed' | 'root-mismatch'
  constructor(code: KeyError['code'], message: string) {
    super(message)
    this.code = code
  }
}

/** Reads a private file. Refused when anybody but its owner could read or change it. */
export async function readPrivate(file: string): Promise<Secret> {
  let handle: FileHandle
  try {
    handle = await open(file, 'r')
  } catch (cause) {
    throw new KeyError('key-missing', `The key file ${file} cannot be read: ${(cause as Error).message}.`)
  }
  try {
    // Of the opened file, not of the name: it may be swapped in between.
    const info = await handle.stat()
    if ((info.mode & 0o077) !== 0) {
      const mode = (info.mode & 0o777).toString(8)
      throw new KeyError(
        'key-permissions',
        `The key file ${file} has mode ${mode}: others may have read it. Make sure that nobody did, then chmod 600 it.`,
      )
    }
    const me = process.getuid?.()
    if (me !== undefined && info.uid !== me && info.uid !== 0) {
      throw new KeyError(
        'key-permissions',
        `The key file ${file} belongs to user ${info.uid}, who could change it.`,
      )
    }
    return new Secret(await handle.readFile('utf8'))
  } finally {
    await handle.close()
  }
}

/** Writes whole or not at all, synced, mode 0600 (or 0644 for what is public). */
export async function writeWhole(file: string, text: string, mode: 0o600 | 0o644 = 0o600): Promise<void> {
  const half = `${file}.new`
  const handle = await open(half, 'w', mode)
  try {
    await handle.chmod(mode)
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(half, file)
  await syncFolder(path.dirname(file))
}

/** A rename survives a power cut only once its folder is synced. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

export async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  )
}
