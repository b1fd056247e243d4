import { statfs } from 'node:fs/promises'

export interface SpoolSpace {
  /** Bytes that this process may still write. */
  freeBytes: number
  reserveBytes: number
  /** False: no new session. Running ones go on into the reserve. */
  aboveReserve: boolean
}

/** Free space of the spool's file system against the reserve. Rejects when the folder can't be read. */
export async function spoolSpace(folder: string, reserveBytes: number): Promise<SpoolSpace> {
  const { bavail, bsize } = await statfs(folder)
  const freeBytes = bavail * bsize
  return { freeBytes, reserveBytes, aboveReserve: freeBytes > reserveBytes }
}
