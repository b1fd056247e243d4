import { link, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** Another gateway works in this spool: it would "recover" what the first one is still recording. */
export class SpoolInUse extends Error {
  readonly code = 'spool-in-use'
  constructor(folder: string, pid: string) {
    super(
      `The folder ${folder} is in use by the gateway with process id ${pid}. Stop it, or choose another folder.`,
    )
    this.name = 'SpoolInUse'
  }
}

/**
 * One gateway per spool. The lock names the process and when it started, so what a kill -9 left, or a process id that
 * has been given anew, is not taken for a living gateway. Returns what releases it. Throws SpoolInUse.
 */
export async function claimSpool(folder: string): Promise<() => Promise<void>> {
  const lock = join(folder, 'gateway.lock')
  const mine = `${process.pid} ${await startTime(String(process.pid))}\n`
  for (let attempt = 0; ; attempt++) {
    try {
      // Written aside and linked: the lock is never there without its holder's name.
      const aside = `${lock}.${process.pid}`
      const file = await open(aside, 'w', 0o600)
      await file.writeFile(mine)
      await file.close()
      try {
        await link(aside, lock)
      } finally {
        await rm(aside, { force: true })
      }
      return async () => {
        if ((await readFile(lock, 'utf8').catch(() => '')) === mine) await rm(lock, { force: true })
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const holder = await readFile(lock, 'utf8').catch(() => '')
    const [pid = '', started] = holder.trim().split(' ')
    if (attempt >= 5 || (started !== undefined && started === (await startTime(pid))))
      throw new SpoolInUse(folder, pid)
    // Of several that see the dead holder's lock one moves it away; a living one's that was moved is put back.
    const stale = `${lock}.stale.${process.pid}`
    await rename(lock, stale).catch(() => undefined)
    if ((await readFile(stale, 'utf8').catch(() => holder)) !== holder)
      await link(stale, lock).catch(() => undefined)
    await rm(stale, { force: true })
  }
}

/** Clock ticks since boot at which the process started (proc(5), field 22); empty when it is not there. */
async function startTime(pid: string): Promise<string> {
  if (!/^[0-9]+$/.test(pid)) return ''
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The second field, the command's name, may hold spaces and parentheses.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}
