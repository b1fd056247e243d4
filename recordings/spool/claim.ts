import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** Another gateway works in this spool: it would "recover" what the first one is still recording. */
export class SpoolInUse extends Error {
  readonly code = 'spool-in-use'
  constructor(folder: string) {
    super(`The folder ${folder} is in use by another gateway. Stop that one, or choose another folder.`)
    this.name = 'SpoolInUse'
  }
}

const SQLITE_BUSY = 5

/**
 * One gateway per spool. The claim is a lock of the operating system on a file that is never deleted: it goes with the
 * process, however that ends, and holds over containers that share the folder, where a process id says nothing. Node
 * can lock a file only through SQLite; the file stays empty. Nothing else may open it: closing any descriptor of a file
 * drops the process's locks on it (fcntl(2)). Returns what releases it. Throws SpoolInUse.
 */
export function claimSpool(folder: string): () => void {
  const lock = new DatabaseSync(join(folder, 'gateway.claim'))
  try {
    lock.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    lock.close()
    throw (error as { errcode?: number }).errcode === SQLITE_BUSY ? new SpoolInUse(folder) : error
  }
  return () => lock.close()
}
