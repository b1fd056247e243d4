import { existsSync, readFileSync } from 'node:fs'
import type { ChildStanding } from './frames.ts'

/** What holds a decoding child, strongest word first in health and session headers. */
export const MEASURES = [
  'permission-model',
  'empty-environment',
  'rss-watchdog',
  'memory-limit',
  'no-new-privileges',
  'empty-network-namespace',
  'own-user',
] as const
export type Measure = (typeof MEASURES)[number]

/**
 * `full`: a decoder that was taken over can neither connect anywhere nor signal another process. `basic`: Node's
 * permission model and memory limits alone, which restrict neither.
 */
export interface SandboxReport {
  level: 'full' | 'basic'
  measures: readonly Measure[]
}

/** A program for the child: its module, and all that it may read. */
export interface ChildProgram {
  entry: string
  readable: readonly string[]
}

const BASE: readonly Measure[] = ['permission-model', 'empty-environment', 'rss-watchdog']
const LIMITED: readonly Measure[] = [...BASE, 'memory-limit']

/** Every level that can be tried, best first. */
export const SANDBOXES: readonly SandboxReport[] = [
  { level: 'full', measures: MEASURES },
  { level: 'basic', measures: LIMITED },
  { level: 'basic', measures: BASE },
]

/**
 * Node needs 600 MB of writable mappings before it has run a line (code range, heap reservations); what is above that is
 * the decoder's. A limit on the address space would end Node at once.
 */
const DATA_LIMIT = 1024 * 1024 * 1024
const HEAP_MB = 96
const PRLIMIT = '/usr/bin/prlimit'
const UNSHARE = '/usr/bin/unshare'
const SETPRIV = '/usr/bin/setpriv'

/** Whether the machine's tools and this process's rights allow an attempt; whether it holds is seen on the child. */
export function mayTry({ measures }: SandboxReport): boolean {
  if (measures.includes('memory-limit') && !existsSync(PRLIMIT)) return false
  if (!measures.includes('own-user')) return true
  return process.getuid?.() === 0 && existsSync(UNSHARE) && existsSync(SETPRIV)
}

/** The command line of a child. Every word before Node replaces itself by the next: the process id stays the same. */
export function commandLine(program: ChildProgram, sandbox: SandboxReport): string[] {
  const has = (measure: Measure) => sandbox.measures.includes(measure)
  return [
    ...(has('memory-limit')
      ? [PRLIMIT, `--data=${DATA_LIMIT}`, '--core=0', '--fsize=0', '--nofile=64', '--']
      : []),
    ...(has('empty-network-namespace') ? [UNSHARE, '--net', '--ipc', '--'] : []),
    ...(has('no-new-privileges')
      ? [SETPRIV, '--no-new-privs', '--inh-caps=-all', '--bounding-set=-all,+setuid,+setgid', '--']
      : []),
    process.execPath,
    '--permission',
    ...program.readable.map((path) => `--allow-fs-read=${path}`),
    '--disable-warning=SecurityWarning',
    '--disallow-code-generation-from-strings',
    `--max-old-space-size=${HEAP_MB}`,
    program.entry,
    ...(has('own-user') ? ['--own-uid'] : []),
  ]
}

/** Looks at a child that has just loaded, from outside: does it stand where it was put? */
export function holds(sandbox: SandboxReport, pid: number, standing: ChildStanding): boolean {
  if (sandbox.level === 'basic') return true
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1]?.trim() ?? ''
    const uids = field('Uid').split(/\s+/)
    return (
      standing.networkInterfaces === 0 &&
      uids.length === 4 &&
      uids.every((uid) => uid === String(standing.uid)) &&
      standing.uid !== 0 &&
      field('NoNewPrivs') === '1' &&
      /^0+$/.test(field('CapEff')) &&
      /^0+$/.test(field('CapPrm'))
    )
  } catch {
    return false
  }
}
