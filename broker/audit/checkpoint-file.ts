import { type FileHandle, open } from 'node:fs/promises'
import { z } from 'zod'

/**
 * checkpoints.log: one JSON line per checkpoint, outside the database, appended and synced. A database whose end is
 * cut off, or which is put back to an older state, no longer fits its last line.
 */
export interface CheckpointFile {
  /** The last note for this origin, or null. A torn last line (power cut) is passed over. */
  last(origin: string): string | null
  append(note: string): Promise<void>
  close(): Promise<void>
}

const line = z.object({ at: z.string(), note: z.string() })
/** Enough for thousands of checkpoints; older ones are never needed to judge the database. */
const TAIL_BYTES = 1 << 20

export async function openCheckpointFile(file: string): Promise<CheckpointFile> {
  const handle = await open(file, 'a+', 0o600)
  const { size } = await handle.stat()
  const tail = Buffer.alloc(Math.min(size, TAIL_BYTES))
  await handle.read(tail, 0, tail.length, size - tail.length)
  const text = tail.toString('utf8')
  const notes = text.split('\n').flatMap(readLine)
  // A torn last line would swallow the next one.
  if (text !== '' && !text.endsWith('\n')) await writeSynced(handle, '\n')
  return {
    last: (origin) => notes.findLast((note) => note.startsWith(`${origin}\n`)) ?? null,
    async append(note) {
      await writeSynced(handle, `${JSON.stringify({ at: new Date().toISOString(), note })}\n`)
      notes.push(note)
      if (notes.length > 100) notes.shift()
    },
    close: () => handle.close(),
  }
}

async function writeSynced(handle: FileHandle, text: string): Promise<void> {
  await handle.appendFile(text)
  await handle.datasync()
}

function readLine(text: string): string[] {
  try {
    return [line.parse(JSON.parse(text)).note]
  } catch {
    return []
  }
}
