// Makes a checkout ready, whatever Node runs this: installs the locked packages (the pinned Node 24 among them)
// and, with --build, builds the web pages. Does nothing when nothing has changed. Plain JavaScript, because the
// machine's own Node, which may not run TypeScript, starts it.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const pinnedNode = join(root, 'node_modules', '.bin', 'node')

function run(command, args, why) {
  console.log(`· ${why}`)
  const done = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  if (done.status !== 0) {
    console.error(`${why}: ${command} ${args.join(' ')} ended with ${done.status ?? done.error?.message}`)
    process.exit(1)
  }
}

function stampOf(paths) {
  const hash = createHash('sha256')
  const add = (path) => {
    const full = join(root, path)
    if (!existsSync(full)) return
    const entries = readdirSyncOrNull(full)
    if (entries === null) {
      hash.update(path).update('\0').update(readFileSync(full)).update('\0')
      return
    }
    for (const entry of entries.sort()) if (entry !== 'node_modules') add(`${path}/${entry}`)
  }
  for (const path of paths) add(path)
  return hash.digest('hex')
}

function readdirSyncOrNull(path) {
  try {
    return readdirSync(path)
  } catch {
    return null
  }
}

/** Runs `work` when `stampFile` does not say that it was done for just these sources. */
function unlessDone(stampFile, sources, work) {
  const stamp = stampOf(sources)
  const path = join(root, stampFile)
  if (existsSync(path) && readFileSync(path, 'utf8') === stamp) return
  work()
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, stamp)
}

// npm may have been run by hand already: what counts is that the installed tree matches the lock file.
unlessDone('node_modules/.sallyport-setup', ['package.json', 'package-lock.json'], () => {
  // Not `npm ci`: it refuses a lock file that was made where a registry lacks some other platform's optional binaries.
  // With the lock file there, `npm install --no-save` takes the very versions and hashes that it names.
  // Warnings about the machine's own Node are of no use here: the pinned one runs everything.
  run(
    'npm',
    ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'],
    'installing the locked packages (takes a minute or two the first time)',
  )
})
if (spawnSync(pinnedNode, ['--version']).status !== 0) {
  // Where install scripts are switched off, the pinned Node's own set-up has not run yet.
  run(
    process.execPath,
    [join('node_modules', 'node', 'installArchSpecificPackage.js')],
    'setting up the pinned Node',
  )
}
// ssh2's native cipher, compiled with the headers of Node 24.19 or newer, aborts the whole process when a cipher is
// collected, as after each key renewal (mscdex/ssh2 issue 1511). npm compiles it where there is a compiler.
rmSync(join(root, 'node_modules/ssh2/lib/protocol/crypto/build'), { recursive: true, force: true })
if (process.argv.includes('--build')) {
  unlessDone('dist/web/.stamp', ['web', 'broker/contract', 'broker/domain', 'package-lock.json'], () => {
    run(
      pinnedNode,
      [
        join('node_modules', 'vite', 'bin', 'vite.js'),
        'build',
        '--config',
        'web/vite.config.ts',
        '--logLevel',
        'warn',
      ],
      'building the web pages',
    )
  })
}
