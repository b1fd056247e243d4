import { constants } from 'node:fs'
import { mkdir, open, readdir, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { AuditActor } from '../../broker/contract/audit-entry.ts'
import type { Clock, Timer } from '../../broker/domain/clock.ts'
import { TicketFileError } from './ticket-file.ts'

const EVERY_MS = 10_000
const MOST_BYTES = 1_000_000
const MOST_FILES = 50

export const DROP_FOLDER_ACTOR: AuditActor = {
  kind: 'system',
  id: 'ticket-folder',
  name: null,
  organisation: null,
}

/**
 * Looks every ten seconds for `*.jws` in a folder, so that an export job needs no sign-in: what counts goes to
 * `accepted/`, what doesn't to `refused/` with the reason beside it. A file that can't be judged now (the database is
 * down) stays for the next round. Write under another name and rename, so that no half file is read.
 */
export function watchDropFolder(options: {
  folder: string
  clock: Clock
  receive: (jws: string) => Promise<unknown>
  onError: (error: unknown) => void
}): { round(): Promise<void>; close(): Promise<void> } {
  let timer: Timer | null = null
  let closed = false
  let running: Promise<void> = Promise.resolve()
  const round = async () => {
    for (const name of ['accepted', 'refused'])
      await mkdir(path.join(options.folder, name), { recursive: true, mode: 0o700 })
    const entries = await readdir(options.folder, { withFileTypes: true })
    const files = entries.filter((entry) => entry.isFile() && /^[^.].*\.jws$/.test(entry.name))
    for (const { name } of files.sort((a, b) => (a.name < b.name ? -1 : 1)).slice(0, MOST_FILES)) {
      if (closed) return
      await take(path.join(options.folder, name), name)
    }
  }
  const take = async (file: string, name: string) => {
    const stamp = new Date(options.clock.wall()).toISOString().replaceAll(':', '')
    try {
      await options.receive(await readSmall(file))
      await rename(file, path.join(options.folder, 'accepted', `${stamp}-${name}`))
    } catch (error) {
      if (!(error instanceof TicketFileError)) throw error
      const refused = path.join(options.folder, 'refused', `${stamp}-${name}`)
      await rename(file, refused)
      await writeFile(`${refused}.reason.txt`, `${error.code}: ${error.message}\n`, { mode: 0o600 })
    }
  }
  const arm = () => {
    if (closed) return
    timer = options.clock.after(EVERY_MS, () => {
      running = round().catch(options.onError).finally(arm)
    })
  }
  arm()
  return {
    round,
    async close() {
      closed = true
      timer?.cancel()
      await running
    },
  }
}

/** Reads a file that is no link and not too large. */
async function readSmall(file: string): Promise<string> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    const { size } = await handle.stat()
    if (size > MOST_BYTES)
      throw new TicketFileError('too-large', `A ticket file has at most ${MOST_BYTES} bytes.`)
    return await handle.readFile('utf8')
  } finally {
    await handle.close()
  }
}
