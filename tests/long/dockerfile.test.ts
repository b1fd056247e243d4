import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ApiClient } from '../lab/api-client.ts'
import { until } from '../lab/until.ts'

const root = path.join(import.meta.dirname, '..', '..')
const ORDINARY = 65_534

interface Step {
  word: string
  rest: string
}

/** Lines of a Dockerfile as instructions, by build stage; continued lines joined. */
function stagesOf(text: string): Step[][] {
  const stages: Step[][] = []
  const lines = text.replace(/\\\n/g, ' ').split('\n')
  for (const line of lines) {
    const [, word = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line.trim()) ?? []
    if (word === 'FROM') stages.push([])
    else if (word) stages.at(-1)?.push({ word, rest })
  }
  return stages
}

/**
 * The Dockerfile's steps in an empty folder in place of /app, as far as a machine without Docker can: what a package
 * manager installs and the image's own user are this machine's. Nothing of the checkout but what git holds.
 */
describe('the Dockerfile, in an empty folder', () => {
  let folder: string
  let app: string
  let data: string
  let stages: Step[][]
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'sallyport-image-'))
    await chmod(folder, 0o711)
    app = path.join(folder, 'app')
    data = path.join(folder, 'data')
    await mkdir(app)
    await mkdir(data, { mode: 0o700 })
    if (process.getuid?.() === 0) await chown(data, ORDINARY, ORDINARY)
    stages = stagesOf(await readFile(path.join(root, 'Dockerfile'), 'utf8'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  /** Without the test runner's own packages on the path. */
  const environment = () => ({
    ...Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^(npm_|VITEST|NODE_|SALLYPORT_|DATABASE_)/.test(name)),
    ),
    PATH: (process.env.PATH ?? '')
      .split(':')
      .filter((one) => !one.includes('node_modules'))
      .join(':'),
  })

  async function run(command: string, cwd: string): Promise<void> {
    const child = spawn('/bin/sh', ['-c', command], {
      cwd,
      env: environment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let words = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        words = (words + text).slice(-4_000)
      })
    const code = await new Promise((done) => child.once('close', done))
    if (code !== 0) throw new Error(`${command} ended with ${String(code)}:\n${words}`)
  }

  it('builds, and what it built starts as an ordinary user', async () => {
    const source = path.join(folder, 'context')
    await mkdir(source)
    await run(`git archive --format=tar HEAD | tar -x -C '${source}'`, root)
    const [build = [], image = []] = stages
    expect(stages).toHaveLength(2)
    for (const { word, rest } of build) {
      if (word === 'COPY') {
        const [to = '', ...from] = rest.split(/\s+/).reverse()
        for (const one of from)
          await cp(
            path.join(source, one),
            to === './' ? path.join(app, path.basename(one)) : path.join(app, to),
            {
              recursive: true,
            },
          )
      } else if (word === 'RUN') {
        if (rest.startsWith('apt-get ')) continue
        await run(rest, app)
      } else expect(word).toBe('WORKDIR')
    }
    expect(existsSync(path.join(app, 'dist', 'web', 'index.html'))).toBe(true)
    expect(existsSync(path.join(app, 'node_modules', 'vitest'))).toBe(false)

    // The second stage takes the folder over; its last lines say how it starts.
    const line = (word: string) => image.find((step) => step.word === word)?.rest ?? ''
    expect(line('COPY')).toBe('--from=build /app /app')
    expect(line('USER')).toBe('sallyport')
    expect(line('VOLUME')).toBe('/data')
    expect(line('ENV')).toBe('SALLYPORT_DATA=/data')
    const [file = '', ...args] = [
      ...(JSON.parse(line('ENTRYPOINT')) as string[]),
      ...(JSON.parse(line('CMD')) as string[]),
    ].map((word) => word.replace(/^\/app\//, `${app}/`))
    const [web, link] = [18_443 + (process.pid % 1000), 19_443 + (process.pid % 1000)]
    const child = spawn(file, args, {
      cwd: app,
      env: {
        PATH: '/usr/bin:/bin',
        SALLYPORT_DATA: data,
        SALLYPORT_PUBLIC_NAME: 'access.plant.example',
        SALLYPORT_WEB_PORT: String(web),
        SALLYPORT_LINK_PORT: String(link),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(process.getuid?.() === 0 ? { uid: ORDINARY, gid: ORDINARY } : {}),
    })
    let words = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        words += text
      })
    try {
      await until(() => words.includes('First administrator') || child.exitCode !== null, 'it starts', 60_000)
      expect(words).toContain(`is at https://access.plant.example:${web}`)
      const browser = new ApiClient(`https://access.plant.example:${web}`, {
        ca: await readFile(path.join(data, 'tls', 'ca.crt'), 'utf8'),
        connectTo: { host: '127.0.0.1', port: web },
      })
      const page = await browser.fetch('GET', '/')
      expect(page.status).toBe(200)
      expect(String(page.body)).toContain('<script type="module"')
    } finally {
      const ended = new Promise((done) => child.once('exit', done))
      child.kill('SIGTERM')
      if (child.exitCode === null) await ended
    }
    expect(child.exitCode, words).toBe(0)
  })
})
