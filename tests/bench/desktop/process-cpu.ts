import { readdir, readFile } from 'node:fs/promises'

/** Of Linux for user space, whatever the kernel's own. */
const TICKS_PER_SECOND = 100

interface Stat {
  pid: number
  parent: number
  name: string
  seconds: number
}

/**
 * Seconds of processor time that a process, its descendants and those that it has waited for have taken. `without`: names
 * of programs that count as none of it.
 */
export async function cpuSeconds(pid: number, without: readonly string[] = []): Promise<number> {
  const all = (await Promise.all((await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(statOf)))
    .filter((one) => one !== null)
    .filter(({ name }) => !without.includes(name))
  let sum = 0
  const counted = new Set([pid])
  for (const one of all) if (one.pid === pid) sum += one.seconds
  for (let grew = true; grew; ) {
    grew = false
    for (const one of all) {
      if (counted.has(one.pid) || !counted.has(one.parent)) continue
      counted.add(one.pid)
      sum += one.seconds
      grew = true
    }
  }
  return sum
}

/** One that has just ended is none. */
async function statOf(pid: string): Promise<Stat | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => null)
  const [, name = '', rest = ''] = /^\d+ \((.*)\) (.*)$/s.exec(text ?? '') ?? []
  if (text === null) return null
  const fields = rest.split(' ').map(Number)
  // utime, stime, cutime, cstime are the fields 14 to 17 of proc(5); these begin with the third.
  const ticks = fields.slice(11, 15).reduce((sum, one) => sum + one, 0)
  return { pid: Number(pid), parent: fields[1] ?? 0, name, seconds: ticks / TICKS_PER_SECOND }
}
