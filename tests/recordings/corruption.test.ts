import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openPackage } from '../../recordings/package/open-zip.ts'
import { verifyPackage } from '../../recordings/verify/verify-package.ts'
import { CASES } from './cases/index.ts'
import { type Fixture, keys, makeFixture } from './fixture.ts'
import { zipOf } from './make-vectors.ts'
import { mapReader } from './map-reader.ts'

/** Random damage: nothing that changes a byte of evidence passes, and nothing makes the verifier throw. */
let whole: Fixture
let folder: string
beforeAll(async () => {
  whole = await makeFixture({})
  folder = await mkdtemp(join(tmpdir(), 'sallyport-corruption-'))
})
afterAll(async () => await rm(folder, { recursive: true }))

function flip(content: Buffer, bit: number): Buffer {
  const copy = Buffer.from(content)
  copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7))
  return copy
}

it('finds one flipped bit anywhere in any file, by its signed hash', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.nat(), async (which, where) => {
      const paths = [...whole.files.keys()]
      const path = paths[which % paths.length] as string
      const content = whole.files.get(path) as Buffer
      const files = new Map(whole.files).set(path, flip(content, where % (content.length * 8)))
      const report = await verifyPackage(mapReader(files), whole.trust, { key: keys.recipient.priv })
      expect(report.verdict, `${path}`).toBe('INVALID')
    }),
    { numRuns: 150 },
  )
})

it('finds one flipped bit in a segment by the chain alone', async () => {
  const segments = [...whole.files.keys()].filter((path) => path.startsWith('segments/'))
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.nat(), async (which, where) => {
      const path = segments[which % segments.length] as string
      const content = whole.files.get(path) as Buffer
      const files = new Map(whole.files).set(path, flip(content, where % (content.length * 8)))
      const report = await verifyPackage(mapReader(files, 333), whole.trust)
      const chain = report.checks.find((check) => check.name === 'chain')
      expect(chain?.result).toBe('failed')
      expect(chain?.faults[0]?.place).toContain(path)
    }),
    { numRuns: 150 },
  )
})

it('finds a segment cut off at any byte', async () => {
  const path = 'segments/screen-1.spr'
  const content = whole.files.get(path) as Buffer
  await fc.assert(
    fc.asyncProperty(fc.nat(content.length - 1), async (length) => {
      const files = new Map(whole.files).set(path, content.subarray(0, length))
      const report = await verifyPackage(mapReader(files), whole.trust)
      expect(report.checks.find((check) => check.name === 'chain')?.result).toBe('failed')
    }),
    { numRuns: 60 },
  )
})

it('vouches for a torn recording up to every byte that a crash can leave', async () => {
  // The last screen chunk of a recovered recording is cut anywhere: the manifest, made from what verifies, holds.
  const recovered = CASES.find((one) => one.name === 'truncated-recovered')
  for (const torn of [0, 1, 40, 41, 90, 200]) {
    const { files, trust } = await makeFixture({
      ...recovered?.plan,
      segments: (plans) => {
        for (const plan of plans) if (plan.torn !== undefined) plan.torn = torn
      },
    })
    const report = await verifyPackage(mapReader(files), trust, { key: keys.recipient.priv })
    expect(report.verdict).toBe('VALID-TRUNCATED')
    expect(report.unanchoredTailMs).toBeGreaterThan(0)
  }
})

it('never throws over a damaged zip, and never calls it valid with other content', async () => {
  const zip = await zipOf(whole.files)
  const path = join(folder, 'damaged.zip')
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(zip.length * 8 - 1), { minLength: 1, maxLength: 3 }), async (bits) => {
      await writeFile(path, bits.reduce(flip, zip))
      const opened = await openPackage(path)
      if (!opened.ok) return
      try {
        const report = await verifyPackage(opened.value, whole.trust)
        // Bits of the zip's own bookkeeping (times, modes) carry no evidence.
        if (report.verdict !== 'INVALID') {
          for (const [name, content] of whole.files) {
            const pieces: Uint8Array[] = []
            for await (const piece of opened.value.open(name)) pieces.push(piece)
            expect(Buffer.concat(pieces).equals(content)).toBe(true)
          }
        }
      } finally {
        opened.value.close()
      }
    }),
    { numRuns: 100 },
  )
})
