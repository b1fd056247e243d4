import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { chown, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { zstdCompressSync } from 'node:zlib'
import { freePort } from '../../lab/free-port.ts'
import { until } from '../../lab/until.ts'

const run = promisify(execFile)

/** Debian's last release with guacd. */
const SUITE = 'bullseye'
const PACKAGES = 'guacd,libguac-client-rdp0,libguac-client-vnc0,fonts-dejavu-core,ca-certificates'
const NOBODY = 65534

export interface Guacd {
  port: number
  pid: number
  /** For a connection's `recording-path`. */
  recordings: string
  /** Bytes of the newest recording under Zstandard's default level; the file goes. */
  takeRecording(): Promise<number>
  stop(): Promise<void>
}

/**
 * Starts guacd as nobody, in a Debian of its own that is made once and kept in the user's cache. Null where that cannot be:
 * not root, no debootstrap, no mirror. Whoever reaches its port owns it, so it listens on the loopback interface.
 */
export async function startGuacd(): Promise<Guacd | null> {
  const root = await guacdRoot()
  if (root === null) return null
  const home = join(root, 'var/lib/guacd')
  const recordings = join(home, 'recordings')
  await rm(recordings, { recursive: true, force: true })
  await mkdir(recordings, { recursive: true })
  await chown(home, NOBODY, NOBODY)
  await chown(recordings, NOBODY, NOBODY)
  const port = await freePort()
  // chroot and env give their process to guacd, so this is its process id.
  const child = spawn(
    'chroot',
    [
      ...[`--userspec=${NOBODY}:${NOBODY}`, '--groups=', root, '/usr/bin/env', '-i'],
      ...['HOME=/var/lib/guacd', 'PATH=/usr/sbin:/usr/bin'],
      ...['guacd', '-f', '-b', '127.0.0.1', '-l', String(port)],
    ],
    { stdio: 'ignore' },
  )
  try {
    await until(() => answers(port), 'guacd listens')
  } catch {
    child.kill('SIGKILL')
    return null
  }
  return {
    port,
    pid: child.pid ?? -1,
    recordings: '/var/lib/guacd/recordings',
    async takeRecording() {
      const [name = ''] = await readdir(recordings)
      const path = join(recordings, name)
      const size = zstdCompressSync(await readFile(path)).length
      await rm(path)
      return size
    },
    stop: () => end(child),
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((done) => child.once('exit', done))
  child.kill('SIGTERM')
  await ended
}

/** Where it lies, made when it is not there yet (a minute, 370 MB); null when it cannot be made. */
async function guacdRoot(): Promise<string | null> {
  if (process.getuid?.() !== 0) return null
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'sallyport')
  const root = join(cache, `guacd-${SUITE}`)
  if ((await readdir(root).catch(() => [])).length > 0) return root
  const unfinished = `${root}-unfinished`
  try {
    await rm(unfinished, { recursive: true, force: true })
    await mkdir(cache, { recursive: true })
    const mirror = await debianMirror()
    if (mirror === null) return null
    console.log(`· making a Debian ${SUITE} with guacd in ${root}`)
    await run('debootstrap', ['--variant=minbase', `--include=${PACKAGES}`, SUITE, unfinished, mirror], {
      maxBuffer: 16 * 1024 * 1024,
    })
    await rename(unfinished, root)
    return root
  } catch (error) {
    console.error(`guacd could not be installed: ${error instanceof Error ? error.message : String(error)}`)
    return null
  }
}

/** The mirror that this machine's own apt takes Debian from. */
async function debianMirror(): Promise<string | null> {
  const format = '$(CREATED_BY) $(ORIGIN) $(LABEL) $(REPO_URI)'
  const { stdout } = await run('apt-get', ['indextargets', '--format', format])
  const [, mirror] = /^Packages Debian Debian (\S+)$/m.exec(stdout) ?? []
  return mirror ?? null
}

function answers(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', () => done(false))
    socket.once('connect', () => {
      socket.destroy()
      done(true)
    })
  })
}
