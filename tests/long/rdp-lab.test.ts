import { type ChildProcess, spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { missingTools } from '../lab/lab.ts'
import { type LabRdp, listens, shadowMissing, startShadow } from '../lab/rdp-server.ts'
import { until } from '../lab/until.ts'
import { gone, pictureOf, startXvfb, type Xvfb } from '../lab/x-display.ts'
import { startXrdp, xrdpMissing } from '../lab/xrdp-server.ts'

/** What the lab's RDP servers promise, by a client that is not ours: FreeRDP's. */
const client = missingTools('freerdp-client', 'xvfb').join(', ') || null
const noShadow = shadowMissing() ?? client
const noXrdp = xrdpMissing() ?? client
const title = (text: string, missing: string | null) => `${text}${missing ? ` (skipped: ${missing})` : ''}`

let dir: string
let desk: Xvfb
const clients: ChildProcess[] = []
beforeAll(async () => {
  if (noShadow !== null && noXrdp !== null) return
  dir = await mkdtemp(join(tmpdir(), 'sallyport-rdp-client-'))
  desk = await startXvfb('320x240', dir)
})
afterEach(async () => {
  for (const child of clients) child.kill('SIGKILL')
  await Promise.all(clients.splice(0).map(gone))
})
afterAll(async () => {
  await desk?.stop()
  if (dir) await rm(dir, { recursive: true, force: true })
})

/** Signs in; takes no certificate but the one that the lab told of. */
function signIn(lab: LabRdp, ...words: string[]): ChildProcess {
  const fingerprint = new X509Certificate(lab.certificate).fingerprint256.toLowerCase()
  const child = spawn(
    'xfreerdp',
    [
      ...[`/v:${lab.host}:${lab.port}`, `/u:${lab.user}`, `/p:${lab.password}`],
      ...[`/cert:deny,fingerprint:sha256:${fingerprint}`, '/size:320x240', '-decorations', ...words],
    ],
    { stdio: 'ignore', env: desk.environment },
  )
  clients.push(child)
  return child
}

/** The colours of the client's screen: one until there is something to see. */
async function colours(): Promise<Set<number>> {
  const { pixels } = await pictureOf(desk.environment)
  return new Set(new Uint32Array(pixels.buffer, pixels.byteOffset, pixels.byteLength / 4))
}

async function shown(child: ChildProcess) {
  await until(
    async () => {
      if (child.exitCode !== null) throw new Error(`the client ended with ${child.exitCode}`)
      return (await colours()).size > 2
    },
    'the client shows the desktop',
    30_000,
  )
}

async function ended(child: ChildProcess): Promise<number | null> {
  await gone(child)
  return child.exitCode
}

describe.skipIf(noShadow)(title('the lab: RDP servers of FreeRDP', noShadow), () => {
  it('lets in by NLA with the right password alone, and shows its desktop', async () => {
    const lab = await startShadow()
    try {
      expect(await ended(signIn(lab, '/sec:nla', '/p:wrong', '+auth-only'))).not.toBe(0)
      expect(await ended(signIn(lab, '/sec:tls', '+auth-only'))).not.toBe(0)
      await shown(signIn(lab, '/sec:nla'))
      const { width, height } = await lab.picture()
      expect([width, height]).toEqual([640, 400])
    } finally {
      await lab.stop()
    }
  })

  it('is the same machine with another certificate when it starts again on its port', async () => {
    const before = await startShadow({
      geometry: '320x240',
      security: 'tls',
      account: { user: 'eve', password: 'any' },
    })
    try {
      await shown(signIn(before, '/sec:tls'))
    } finally {
      await before.stop()
    }
    const after = await startShadow({ geometry: '320x240', security: 'tls', port: before.port })
    try {
      expect(after.certificate.equals(before.certificate)).toBe(false)
      expect(await ended(signIn(before, '/sec:tls'))).not.toBe(0)
      await shown(signIn(after, '/sec:tls'))
    } finally {
      await after.stop()
    }
  })

  it('speaks RDP without TLS when told to', async () => {
    const lab = await startShadow({ geometry: '320x240', security: 'rdp' })
    try {
      await shown(signIn(lab, '/sec:rdp'))
    } finally {
      await lab.stop()
    }
  })
})

describe.skipIf(noXrdp)(title('the lab: xrdp', noXrdp), () => {
  it('gives a session with a desktop and a clipboard over TLS, until its user logs off', async () => {
    const lab = await startXrdp()
    try {
      const child = signIn(lab, '/sec:tls', '+clipboard')
      const session = await lab.session()
      await until(async () => (await colours()).has(0xff546f1f), 'the client shows the root window')
      const { pixels } = await session.picture()
      expect([...pixels.subarray(0, 4)]).toEqual([0x1f, 0x6f, 0x54, 255])

      await writeFile(join(dir, 'copied'), 'from the plant')
      session.start('xclip', '-selection', 'clipboard', '-quiet', join(dir, 'copied'))
      await until(async () => (await pasted()) === 'from the plant', 'the copy arrives at the client')

      await session.logOff()
      await ended(child)
      await shown(signIn(lab, '/sec:tls'))
      await lab.session()
    } finally {
      await lab.stop()
    }
    expect(await readFile('/etc/passwd', 'utf8')).not.toContain(lab.user)
  })
})

describe.skipIf(noXrdp)(title('the lab: xrdp without its starter', noXrdp), () => {
  it('ends with a process that is killed', async () => {
    const machine = join(import.meta.dirname, '..', 'lab', 'xrdp-machine.ts')
    const starter = spawn(
      process.execPath,
      [
        '--input-type=module',
        '--eval',
        `import { startXrdpMachine } from ${JSON.stringify(pathToFileURL(machine).href)}
         const { port, dir } = await startXrdpMachine()
         console.log(JSON.stringify({ port, dir }))`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    let said = ''
    starter.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    try {
      await until(() => said.endsWith('\n'), 'it has started', 30_000)
      const { port, dir } = JSON.parse(said) as { port: number; dir: string }
      expect(await listens(port)).toBe(true)
      starter.kill('SIGKILL')
      await until(async () => !(await listens(port)), 'nobody listens any more', 10_000)
      await rm(dir, { recursive: true, force: true })
    } finally {
      starter.kill('SIGKILL')
    }
  })
})

async function pasted(): Promise<string> {
  const child = spawn('xclip', ['-selection', 'clipboard', '-o', '-t', 'UTF8_STRING'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: desk.environment,
    timeout: 2000,
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part
  })
  await new Promise((done) => child.once('close', done))
  return text
}
