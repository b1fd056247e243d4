import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { missingTools } from '../lab/lab.ts'
import { keys, makeFixture, trustOf } from './fixture.ts'
import { HOSTILE_CASES } from './hostile-cases.ts'
import { ourVerifier, pythonVerifier } from './hostile-verifier.ts'
import { lyingZip } from './hostile-zip.ts'

/** For a package of at most 72 MiB; what both of them keep from earlier packages is in it. */
const MEMORY_MIB = 1024
/** Several times what the slowest case takes on a slow machine. */
const DEADLINE_MS = 30_000

const missing = missingTools('python-cryptography')
const why = missing.length > 0 ? ` (the Python one is skipped: ${missing.join(', ')} is missing)` : ''

describe(`hostile packages, before both verifiers${why}`, () => {
  const verifiers = [ourVerifier(DEADLINE_MS), ...(missing.length > 0 ? [] : [pythonVerifier(DEADLINE_MS)])]
  let folder: string
  let args: string[]
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sallyport-hostile-'))
    const [zip = '', trust = '', key = ''] = ['package.zip', 'keys.json', 'recipient.jwk'].map((name) =>
      join(folder, name),
    )
    await writeFile(trust, JSON.stringify(trustOf()))
    await writeFile(key, JSON.stringify(keys.recipient.priv), { mode: 0o600 })
    args = [zip, '--trust', trust, '--key', key]
  })
  afterAll(async () => {
    for (const verifier of verifiers) verifier.stop()
    await rm(folder, { recursive: true })
  })

  async function answers(zip: Buffer, given = args) {
    await writeFile(join(folder, 'package.zip'), zip)
    return await Promise.all(verifiers.map((verifier) => verifier.ask(given)))
  }

  test('the writer of these zips writes a whole one when it is told no lie', async () => {
    const { files } = await makeFixture()
    for (const lies of [{}, { zip64: true }, { descriptors: true }, { between: Buffer.from('junk') }]) {
      for (const { exit, verdict } of await answers(lyingZip(files, lies)))
        expect([exit, verdict]).toEqual([0, 'VALID'])
    }
  })

  test.each(HOSTILE_CASES)('$name', async ({ zip, wants }) => {
    const found = await answers(await zip())
    for (const { exit, told, memoryMib, verdict, fails } of found) {
      expect(told).toBe('')
      expect({ verdict, exit }).toEqual({ verdict: 'INVALID', exit: 2 })
      for (const [check, code] of Object.entries(wants)) expect(fails[check] ?? []).toContain(code)
      expect(gist(fails)).toEqual(gist(found[0]?.fails ?? {}))
      expect(memoryMib).toBeLessThan(MEMORY_MIB)
    }
  })

  test('a file of lines has a hundred thousand of them, and not one more', async () => {
    const line = '{"v":1,"at":"2026-11-24T01:00:00.000Z","event":"read","by":"somebody","note":null}\n'
    for (const [count, exit] of [
      [100_000, 0],
      [100_001, 2],
    ] as const) {
      const { files } = await makeFixture({
        files: (all) => all.set('custody.ndjson', Buffer.from(line.repeat(count))),
      })
      for (const found of await answers(lyingZip(files))) {
        expect(found.exit).toBe(exit)
        expect(found.fails).toEqual(exit === 0 ? {} : { package: ['custody-malformed'] })
      }
    }
  })

  test.each([
    ['trust', 'keys.json', 32 * 1024 * 1024],
    ['key', 'recipient.jwk', 64 * 1024],
  ])('a %s file above its limit is not read, and there is no verdict', async (option, _name, limit) => {
    const large = join(folder, 'large')
    await writeFile(large, '')
    await truncate(large, limit + 1)
    const given = args.map((arg, at) => (args[at - 1] === `--${option}` ? large : arg))
    const { files } = await makeFixture()
    for (const { exit, told, memoryMib } of await answers(lyingZip(files), given)) {
      expect(exit).toBe(3)
      expect(told).toMatch(/larger than|too large/)
      expect(memoryMib).toBeLessThan(MEMORY_MIB)
    }
  })
})

/** A check keeps this many reasons; what comes after them is not told, so the last ones depend on the order. */
const REASONS_KEPT = 20

/** Failing checks with their reasons, each once. */
function gist(fails: Record<string, string[]>): Record<string, string[]> {
  const entries = Object.entries(fails).map(([check, codes]) => [
    check,
    codes.length < REASONS_KEPT ? [...new Set(codes)].sort() : codes.slice(0, 1),
  ])
  return Object.fromEntries(entries)
}
