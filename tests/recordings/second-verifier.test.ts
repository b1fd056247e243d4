import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { missingTools } from '../lab/lab.ts'
import { PYTHON, PYTHON_VERIFIER, verifyWithBoth } from '../lab/verifiers.ts'
import { wrapInput } from './cases/change.ts'
import { CASES } from './cases/index.ts'
import { keys, makeFixture, type Plan, trustOf } from './fixture.ts'
import { desktop } from './fixture-desktop.ts'
import { VECTORS, zipOf } from './make-vectors.ts'

const missing = missingTools('python-cryptography')
const why = missing.length > 0 ? ` (skipped: ${missing.join(', ')} is missing)` : ''

describe.skipIf(missing.length > 0)(`the second verifier, in Python${why}`, () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sallyport-second-'))
  })
  afterAll(async () => await rm(folder, { recursive: true }))

  async function verified(plan: Plan, spoil: (zip: Buffer) => Buffer = (zip) => zip) {
    const { files, trust } = await makeFixture(plan)
    const path = join(folder, 'package.zip')
    await writeFile(path, spoil(await zipOf(files)))
    return verifyWithBoth(path, JSON.stringify(trust), keys.recipient.priv)
  }

  it('gives every frozen vector its verdict and its failing checks', () => {
    const args = ['-B', PYTHON_VERIFIER, '--vectors', fileURLToPath(VECTORS)]
    const { status, stdout, stderr } = spawnSync(PYTHON, args, { encoding: 'utf8' })
    expect(stderr).toBe('')
    expect(stdout).toBe(`${CASES.length} passed, 0 failed\n`)
    expect(status).toBe(0)
  })

  it('agrees about a zip that is cut, or has a flipped byte, wherever that is', async () => {
    const { files } = await makeFixture({})
    const size = (await zipOf(files)).length
    for (let at = 40; at < size; at += Math.floor(size / 25)) {
      await verified({}, (zip) => {
        zip[at] = (zip[at] as number) ^ 4
        return zip
      })
    }
    const cut = await verified({}, (zip) => zip.subarray(0, size / 2))
    expect(cut.ours.fails).toEqual({ package: ['package-unreadable'] })
  })

  it('agrees about files that are spoilt and signed again, whichever they are', async () => {
    let state = 20
    const any = (below: number) => {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31
      return Math.floor((state / 2 ** 31) * below)
    }
    for (let round = 0; round < 30; round++) {
      await verified({
        extended: any(2) === 0,
        cosigned: true,
        files: (files) => {
          const [path, content] = [...files][any(files.size)] as [string, Buffer]
          const at = any(content.length)
          const [before, after] = [content.subarray(0, at), content.subarray(at)]
          const put = Buffer.from(['.0', ' ', '"', '\n', 'e1', '\\', '\u0000'][any(7)] as string)
          files.set(path, any(3) === 0 ? before : Buffer.concat([before, put, after]))
        },
      })
    }
  })

  it('agrees about pictures and keys that are spoilt before they are sealed, wherever that is', async () => {
    let state = 7
    const any = (below: number) => {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31
      return Math.floor((state / 2 ** 31) * below)
    }
    const verdicts = new Set<string>()
    for (let round = 0; round < 60; round++) {
      const spoil = (plain: Buffer) => {
        const copy = Buffer.from(plain)
        const at = any(copy.length)
        copy[at] = [0, 0xff, any(256), (copy[at] ?? 0) ^ (1 << any(8))][any(4)] ?? 0
        return any(6) === 0 ? copy.subarray(0, at) : copy
      }
      const plan = desktop(
        (plans) => {
          const { chunks } = plans[any(3)] ?? { chunks: [] }
          const chunk = chunks[any(chunks.length)]
          const content = chunk?.content
          if (chunk && content) chunk.content = (header) => spoil(content(header))
        },
        { files: wrapInput(0) },
      )
      verdicts.add((await verified(plan)).ours.verdict)
    }
    expect([...verdicts].sort()).toEqual(['INVALID', 'VALID'])
  })

  it('refuses, as ours does, a trust file in which one name stands for two keys', async () => {
    const { files } = await makeFixture({})
    const path = join(folder, 'package.zip')
    await writeFile(path, await zipOf(files))
    const trust = trustOf()
    for (const key of trust.keys.filter(({ use }) => use === 'broker')) {
      trust.keys.push({ ...key, x: keys.stranger.x, from_index: 5 })
    }
    const both = await verifyWithBoth(path, JSON.stringify(trust))
    expect(both.ours.exit).toBe(3)
    for (const key of trust.keys) if (key.use === 'broker' && key.from_index === 0) key.to_index = 5
    expect((await verifyWithBoth(path, JSON.stringify(trust))).ours.exit).toBe(2)
  })
})
