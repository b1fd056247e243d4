import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openPromise } from 'yauzl'
import { verifyCommand } from '../../recordings/cli/verify.ts'
import { unwrapDataKey } from '../../recordings/format/wrap.ts'
import { bundleVerifier } from '../bundle.ts'
import { keys, makeFixture } from './fixture.ts'
import { makeVectors, rot, VECTORS, type VectorCase, type Vectors, zipOf } from './make-vectors.ts'

const inVectors = (name: string) => fileURLToPath(new URL(name, VECTORS))
const index = JSON.parse(readFileSync(inVectors('index.json'), 'utf8')) as { cases: VectorCase[] }

/** Not by the product's own reader: some vectors are zips that it refuses. */
async function contentOf(path: string): Promise<Map<string, Buffer>> {
  const zip = await openPromise(path, { lazyEntries: true, autoClose: false })
  const files = new Map<string, Buffer>()
  for await (const entry of zip.eachEntry()) {
    if (entry.fileName.endsWith('/')) continue
    const pieces: Buffer[] = []
    for await (const piece of await zip.openReadStreamPromise(entry)) pieces.push(piece as Buffer)
    files.set(entry.fileName, Buffer.concat(pieces))
  }
  zip.close()
  return files
}

describe('the frozen vectors', () => {
  let made: Vectors
  beforeAll(async () => {
    made = await makeVectors()
  })

  it('are what the code makes today', async () => {
    for (const [name, text] of made.texts) {
      expect(readFileSync(inVectors(name), 'utf8') === text, `${name} differs`).toBe(true)
    }
    for (const [name, files] of made.packages) {
      const frozen = await contentOf(inVectors(name))
      expect([...frozen.keys()]).toEqual([...files.keys()])
      for (const [path, content] of files) {
        if (path === made.zips.get(name)?.rotten) rot(content)
        expect(frozen.get(path)?.equals(content), `${name}: ${path} differs`).toBe(true)
      }
    }
    const onDisk = readdirSync(inVectors('packages')).map((name) => `packages/${name}`)
    expect(onDisk.filter((name) => !made.packages.has(name) && !made.texts.has(name))).toEqual([])
  })

  it('have wraps that jose opens, made by hand from the document', async () => {
    const { wrap } = JSON.parse(made.texts.get('primitives.json') as string)
    for (const recipient of [keys.replay.priv, keys.escrow.priv]) {
      const opened = await unwrapDataKey(wrap.jwe, recipient)
      expect(opened.ok && opened.value.toString('hex')).toBe(wrap.data_key)
    }
  })

  it.each(index.cases)('$name: exit $exit', async (one) => {
    let printed = ''
    const args = [
      inVectors(one.package),
      '--trust',
      inVectors(one.trust),
      '--key',
      inVectors('recipient.jwk'),
    ]
    const exit = await verifyCommand([...args, '--json'], (text) => {
      printed += text
    })
    const report = JSON.parse(printed) as {
      verdict: string
      checks: { name: string; result: string; code: string | null; faults: { code: string }[] }[]
    }
    expect(exit).toBe(one.exit)
    expect(report.verdict).toBe(one.verdict)
    const failed = report.checks.filter((check) => check.result === 'failed')
    expect(failed.map((check) => check.name).sort()).toEqual(Object.keys(one.fails).sort())
    for (const check of failed)
      expect(check.faults.map((found) => found.code)).toContain(one.fails[check.name])
    const absent = report.checks.filter((check) => check.result === 'absent')
    expect(Object.fromEntries(absent.map(({ name, code }) => [name, code]))).toEqual(one.absent)
  })
})

describe('the verify command', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sallyport-verify-'))
  })
  afterAll(async () => await rm(folder, { recursive: true }))

  it('shows terminal escapes from a package and does not send them', async () => {
    const { files, trust } = await makeFixture({
      recovered: true,
      manifest: (m) => {
        for (const gap of m.gaps) gap.reason = '\u001b]52;c;cm0gLXJm\u0007\u009b31m\u202egone'
      },
    })
    const [zip, keysFile] = [join(folder, 'hostile.zip'), join(folder, 'keys.json')]
    await writeFile(zip, await zipOf(files))
    await writeFile(keysFile, JSON.stringify(trust))
    let printed = ''
    expect(
      await verifyCommand([zip, '--trust', keysFile], (text) => {
        printed += text
      }),
    ).toBe(1)
    expect(printed).toContain('gone')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    expect(printed).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
  })

  it('runs as one bundled file, without a network, and prints what a person reads', async () => {
    const bundle = await bundleVerifier(join(folder, 'sallyport-verify.mjs'))
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [bundle, ...args], { encoding: 'utf8', cwd: folder })
    const trust = ['--trust', inVectors('keys.json')]
    const whole = run(inVectors('packages/valid.zip'), ...trust, '--key', inVectors('recipient.jwk'))
    expect(whole.stderr).toBe('')
    expect(whole.stdout).toMatch(/VALID: complete and unchanged\n$/)
    expect(whole.stdout).toContain('without a witness')
    expect(whole.status).toBe(0)
    expect(run('verify', inVectors('packages/truncated-recovered.zip'), ...trust).status).toBe(1)
    const broken = run(inVectors('packages/chunk-altered.zip'), ...trust)
    expect(broken.stdout).toContain('segments/screen-0.spr chunk 1 at byte')
    expect(broken.status).toBe(2)
    expect(run(inVectors('packages/valid.zip')).status).toBe(3)
    expect(run(inVectors('keys.json'), ...trust).status).toBe(2)
    expect(run(join(folder, 'no-such.zip'), ...trust).status).toBe(3)
    expect(run(inVectors('packages/valid.zip'), '--trust', inVectors('index.json')).status).toBe(3)
  })
})
