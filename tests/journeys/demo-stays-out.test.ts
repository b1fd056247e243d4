import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { builtPages } from '../lab/built-pages.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const PRODUCT = ['broker', 'gateway', 'approvals', 'recordings', 'web']
/** What stands for a part of the demo, or for plain HTTP, wherever it is spelt. */
const DEMO_WORDS = /software.?(?:passkey|authenticator)|sallyportDemo|demo-passkey|oidc-provider/i

/** `npm start` is `main.ts up`: nothing of the demo can be switched on in it. */
describe('nothing of the demo is in the product', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sallyport-stays-out-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it('no product file imports anything of tests/, the identity provider for trials, or names a part of the demo', async () => {
    const wrong: string[] = []
    for (const file of await productFiles()) {
      const text = await readFile(join(ROOT, file), 'utf8')
      for (const specifier of importsOf(text)) {
        const target = specifier.startsWith('.')
          ? relative(ROOT, resolve(ROOT, dirname(file), specifier))
          : specifier
        if (target.startsWith('tests') || target === 'oidc-provider')
          wrong.push(`${file} imports ${specifier}`)
      }
      if (DEMO_WORDS.test(text)) wrong.push(`${file} says ${DEMO_WORDS.exec(text)?.[0]}`)
    }
    expect(wrong).toEqual([])
  })

  it('main.ts and the settings know no way to plain HTTP', async () => {
    for (const file of ['main.ts', 'broker/settings.ts'])
      expect(await readFile(join(ROOT, file), 'utf8'), file).not.toMatch(/allowHttpLocalhost|http:\/\//)
  })

  it('the built pages hold no authenticator of their own', async () => {
    const pages = await builtPages()
    try {
      const wrong: string[] = []
      for (const entry of await readdir(pages.folder, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(?:js|html)$/.test(entry.name)) continue
        const text = await readFile(join(entry.parentPath, entry.name), 'utf8')
        if (DEMO_WORDS.test(text) || /navigator,\s*["']credentials["']/.test(text)) wrong.push(entry.name)
      }
      expect(wrong).toEqual([])
    } finally {
      await pages.remove()
    }
  })

  const refused: [name: string, env: Record<string, string>, config?: unknown][] = [
    ['a public name with http', { SALLYPORT_PUBLIC_NAME: 'http://localhost:8080' }],
    ['an IP address as public name', { SALLYPORT_PUBLIC_NAME: '127.0.0.1' }],
    ['SALLYPORT_ALLOW_HTTP_LOCALHOST', { SALLYPORT_ALLOW_HTTP_LOCALHOST: 'true' }],
    ['SALLYPORT_DEMO', { SALLYPORT_DEMO: '1' }],
    ['SALLYPORT_SOFTWARE_PASSKEY', { SALLYPORT_SOFTWARE_PASSKEY: '1' }],
    ['SALLYPORT_PUBLIC_URL', { SALLYPORT_PUBLIC_URL: 'http://localhost:8080' }],
    ['SALLYPORT_INSECURE', { SALLYPORT_INSECURE: '1' }],
    ['SALLYPORT_PROVIDERS', { SALLYPORT_PROVIDERS: '[]' }],
    ['allowHttpLocalhost in the file', {}, { allowHttpLocalhost: true }],
    ['demo in the file', {}, { demo: true }],
    ['a provider over http', {}, { providers: [provider({ issuer: 'http://localhost:4000' })] }],
    ['a provider that allows http', {}, { providers: [provider({ allowHttpLocalhost: true })] }],
  ]
  for (const [name, env, config] of refused) {
    it.concurrent(`"up" refuses ${name}, and makes nothing`, async () => {
      const data = await mkdtemp(join(folder, 'data-'))
      const args = [join(ROOT, 'main.ts'), 'up']
      if (config !== undefined) {
        await writeFile(`${data}.json`, JSON.stringify(config))
        args.push('--config', `${data}.json`)
      }
      const { PATH = '', HOME = '' } = process.env
      const ended = await run(args, {
        PATH,
        HOME,
        SALLYPORT_DATA: data,
        SALLYPORT_WEB_HOST: '127.0.0.1',
        SALLYPORT_WEB_PORT: '0',
        SALLYPORT_LINK_PORT: '0',
        SALLYPORT_PUBLIC_NAME: 'access.plant.example',
        ...env,
      })
      expect(ended.status, ended.text).toBe(2)
      expect(ended.text).toContain('sallyport: ')
      expect(ended.text).not.toContain(' is at ')
      expect(await readdir(data)).toEqual([])
    })
  }
})

function provider(more: object): object {
  return {
    id: 'company',
    name: 'Company',
    issuer: 'https://id.plant.example',
    clientId: 'sallyport',
    mapping: { organisations: { plant: 'staff' }, rolesClaim: 'groups', roles: {} },
    ...more,
  }
}

async function productFiles(): Promise<string[]> {
  const found = ['main.ts']
  for (const folder of PRODUCT)
    for (const entry of await readdir(join(ROOT, folder), { recursive: true, withFileTypes: true })) {
      const path = relative(ROOT, join(entry.parentPath, entry.name))
      // web/dev is a workbench beside the pages: not built, not shipped.
      if (
        entry.isFile() &&
        /\.tsx?$/.test(path) &&
        !/\.test\.tsx?$/.test(path) &&
        !path.startsWith(join('web', 'dev'))
      )
        found.push(path)
    }
  return found
}

/** Static and dynamic imports, re-exports, and modules named by URL. */
function importsOf(text: string): string[] {
  return [...text.matchAll(/(?:from|import|import\.meta\.resolve|new URL)\s*\(?\s*['"]([^'"\n]+)['"]/g)].map(
    (match) => match[1] ?? '',
  )
}

function run(args: string[], env: Record<string, string>): Promise<{ status: number | null; text: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: tmpdir(), env, stdio: ['ignore', 'pipe', 'pipe'] })
    let text = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => {
        text += chunk.toString()
      })
    // It should have ended by itself long before; one that started is what this test is about.
    const started = setTimeout(() => child.kill('SIGTERM'), 20_000)
    child.once('error', reject)
    child.once('close', (status) => {
      clearTimeout(started)
      resolve({ status, text })
    })
  })
}
