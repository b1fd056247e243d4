import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'

export interface Import {
  from: string
  to: string
  typesOnly: boolean
}

/** Imports flow one way. Each room names the rooms that it may import; what is not named is refused. */
export const MAY_IMPORT: Record<string, readonly string[]> = {
  'broker/domain': ['broker/domain'],
  'broker/policy': ['broker/policy', 'broker/domain'],
  'broker/contract': ['broker/contract', 'broker/domain'],
  broker: ['broker', 'broker/contract', 'broker/domain', 'broker/policy'],
  approvals: ['approvals', 'broker', 'broker/contract', 'broker/domain', 'broker/policy'],
  'recordings/format': ['recordings/format', 'broker/contract', 'broker/domain'],
  'recordings/verify': ['recordings/verify', 'recordings/format', 'broker/contract', 'broker/domain'],
  recordings: ['recordings', 'recordings/format', 'recordings/verify', 'broker/contract', 'broker/domain'],
  gateway: ['gateway', 'recordings', 'recordings/format', 'broker/contract', 'broker/domain'],
  web: ['web', 'broker/contract', 'broker/domain'],
  main: [
    'broker',
    'broker/contract',
    'broker/domain',
    'approvals',
    'recordings',
    'recordings/verify',
    'gateway',
  ],
}

/**
 * What each top folder shows to the others; everything else in it is its own business. The contract and the domain's
 * words are open to all who may import them.
 */
const OPEN = ['broker/contract/', 'broker/domain/']
export const ENTRIES: readonly string[] = [
  'approvals/approvals.ts',
  'approvals/tickets/snapshot-signer.ts',
  'broker/broker.ts',
  'broker/settings.ts',
  'broker/audit/integrity.ts',
  'broker/audit/log.ts',
  'broker/backup/backup.ts',
  'broker/backup/restore.ts',
  'broker/inventory/row-states.ts',
  'broker/keys/handout.ts',
  'broker/keys/keys.ts',
  'broker/link/gateway-rows.ts',
  'broker/policy/count-approvals.ts',
  'broker/policy/decide-access.ts',
  'broker/policy/explain.ts',
  'broker/sessions/console-ready.ts',
  'broker/store/sql.ts',
  'gateway/enrol.ts',
  'gateway/gateway.ts',
  'gateway/identity/identity.ts',
  'gateway/version.ts',
  'recordings/archive/archive.ts',
  'recordings/cli/verify.ts',
  'recordings/format/anchor.ts',
  'recordings/format/grant-schema.ts',
  'recordings/format/jws.ts',
  'recordings/format/manifest.ts',
  'recordings/format/target.ts',
  'recordings/recorder/api.ts',
  'recordings/recorder/desktop-recorder.ts',
  'recordings/recorder/recorder.ts',
  'recordings/screen-model/port.ts',
  'recordings/screen-model/start.ts',
  'recordings/spool/claim.ts',
  'recordings/spool/layout.ts',
  'recordings/spool/recover.ts',
  'recordings/spool/space.ts',
]
const folderOf = (file: string) => file.split('/')[0]

/** Verification and decisions do no I/O of their own, so an auditor can run the one and a test can replay the other. */
export const NO_IO = [
  'broker/domain',
  'broker/policy',
  'broker/contract',
  'recordings/format',
  'recordings/verify',
]
const IO_MODULES =
  /^(node:(fs|net|tls|http|https|http2|dgram|child_process|worker_threads|cluster|dns)(\/.*)?|ws|ssh2|postgres|fastify)$/

/** The room a file belongs to: the longest named folder that holds it. */
export function roomOf(file: string): string | null {
  if (file === 'main.ts') return 'main'
  return (
    Object.keys(MAY_IMPORT)
      .filter((room) => file.startsWith(`${room}/`))
      .sort((a, b) => b.length - a.length)[0] ?? null
  )
}

export function sourceFiles(root: string, folders: readonly string[]): string[] {
  const found: string[] = []
  const walk = (folder: string) => {
    for (const name of readdirSync(folder)) {
      const path = join(folder, name)
      if (name === 'node_modules' || name === 'dev') continue
      if (statSync(path).isDirectory()) walk(path)
      else if (/\.tsx?$/.test(name) && !/\.test\.tsx?$/.test(name)) found.push(relative(root, path))
    }
  }
  for (const folder of folders) walk(join(root, folder))
  return found
}

const STATEMENT =
  /(?:^|\n)\s*(import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|import\(\s*'([^']+)'\s*\)|new URL\(\s*'(\.[^']+)'\s*,\s*import\.meta\.url/g

/** Every import of a file, `import()` and worker URLs included; relative ones as paths from the root. */
export function importsOf(root: string, file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8')
  return [...text.matchAll(STATEMENT)].map((match) => {
    const target = match[3] ?? match[4] ?? match[5] ?? ''
    const to = target.startsWith('.') ? normalize(join(dirname(file), target)) : target
    return { from: file, to, typesOnly: match[2] !== undefined }
  })
}

/** One sentence for each import that the rules refuse. */
export function violations(root: string, files: readonly string[]): string[] {
  const found: string[] = []
  for (const file of files) {
    const room = roomOf(file)
    if (room === null) continue
    for (const { to, typesOnly } of importsOf(root, file)) {
      if (NO_IO.includes(room) && IO_MODULES.test(to) && !typesOnly)
        found.push(`${file}: ${room} does no I/O, but imports ${to}`)
      const target = roomOf(to)
      if (to.startsWith('tests/')) found.push(`${file}: product code imports ${to}`)
      if (target === null) continue
      if (!(MAY_IMPORT[room] ?? []).includes(target))
        found.push(`${file}: ${room} must not import ${target} (${to})`)
      const shown = OPEN.some((open) => to.startsWith(open)) || ENTRIES.includes(to)
      if (folderOf(to) !== folderOf(file) && !shown)
        found.push(`${file}: ${to} is no entry of ${folderOf(to)}`)
      if (room === 'web' && target.startsWith('broker') && !typesOnly && !WEB_MAY_RUN.includes(to)) {
        found.push(`${file}: the web takes types only from ${to}`)
      }
    }
  }
  return found
}

/** The only contract files whose code (plain constants, no schemas) runs in the browser. */
const WEB_MAY_RUN = ['broker/domain/words.ts']
