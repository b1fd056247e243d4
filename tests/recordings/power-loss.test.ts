import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { systemClock } from '../../broker/domain/clock.ts'
import { newId } from '../../broker/domain/ids.ts'
import type { EvidenceKey } from '../../recordings/archive/evidence-store.ts'
import { openFolderStore } from '../../recordings/archive/folder-store.ts'
import type { AnchorHead } from '../../recordings/format/anchor.ts'
import { SegmentReader } from '../../recordings/format/segment-reader.ts'
import { openRecorder } from '../../recordings/recorder/recorder.ts'
import { recoverSpool } from '../../recordings/spool/recover.ts'
import { until } from '../lab/until.ts'
import { PageCache } from './power-loss.ts'
import { type Fixture, newGrant, readManifest, recorderFixture } from './recorder-fixture.ts'

const ROOT = vi.hoisted(() => ({ functions: null as unknown }))
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof fs.promises>()
  const pass = (name: 'mkdir' | 'open' | 'rename' | 'link' | 'unlink' | 'rm' | 'appendFile') =>
    ((...args: never[]) => {
      const from = (ROOT.functions ?? real) as Record<string, (...args: never[]) => unknown>
      return from[name]?.(...args)
    }) as never
  return {
    ...real,
    mkdir: pass('mkdir'),
    open: pass('open'),
    rename: pass('rename'),
    link: pass('link'),
    unlink: pass('unlink'),
    rm: pass('rm'),
    appendFile: pass('appendFile'),
  }
})

/** Losses taken at one moment, which differ in what of the unsynced is left. */
const CHOICES = 3

let fixture: Fixture
let folder: string
let seed = 7
beforeAll(async () => {
  fixture = await recorderFixture()
  folder = fs.mkdtempSync(join(tmpdir(), 'sallyport-power-'))
})
afterAll(async () => {
  ROOT.functions = null
  await fixture.dispose()
  fs.rmSync(folder, { recursive: true })
})

function any(below: number): number {
  seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
  return Math.floor((seed / 2 ** 31) * below)
}

/** Runs `work` over a page cache and loses power after each of its operations; `claims` says what holds by then. */
async function losses<T>(
  root: string,
  claims: () => T,
  work: () => Promise<void>,
): Promise<{ claimed: T; left: Map<string, Buffer | null> }[]> {
  fs.mkdirSync(root)
  const cache = new PageCache(root)
  const taken: { claimed: T; left: Map<string, Buffer | null> }[] = []
  const take = () => {
    for (let choice = 0; choice < CHOICES; choice++) taken.push({ claimed: claims(), left: cache.lose(any) })
  }
  cache.onOperation = take
  ROOT.functions = cache.functions()
  try {
    await work()
    take()
  } finally {
    ROOT.functions = null
  }
  return taken
}

function putBack(left: Map<string, Buffer | null>, root: string): void {
  fs.rmSync(root, { recursive: true, force: true })
  fs.mkdirSync(root)
  for (const [path, content] of left) {
    if (content) fs.writeFileSync(join(root, path), content)
    else fs.mkdirSync(join(root, path))
  }
}

describe('after a power loss at any moment', () => {
  test('everything that a recording has called durable is there', async () => {
    let isOpen = false
    let heads: () => AnchorHead[] = () => []
    let grants = 1
    let manifest: string | null = null
    const taken = await losses(
      join(folder, 'spool'),
      () => ({ isOpen, heads: heads(), grants, manifest }),
      async () => {
        const limits = { segmentBytes: 48 * 1024, flushMs: 20 }
        const recorder = await openRecorder(fixture.options({ spool: join(folder, 'spool'), limits }))
        isOpen = true
        heads = () => recorder.heads()
        const isAt = (segment: number) =>
          recorder.heads().some((head) => head.stream === 'screen' && head.segment === segment)
        for (const segment of [1, 2]) {
          await until(() => {
            recorder.output(new Uint8Array(4096).fill(0x61))
            recorder.input(Buffer.from('k'))
            return isAt(segment)
          }, `segment ${segment}`)
        }
        const grant = newGrant(fixture.keys)
        await recorder.addGrant({ ...grant, session: sessionIn(join(folder, 'spool')) }, 'f'.repeat(64))
        grants = 2
        const closed = await recorder.close({ reason: 'vendor-left' })
        expect(closed).toMatchObject({ stored: true, failure: null })
        manifest = closed.jws
      },
    )
    expect(taken.length).toBeGreaterThan(100)
    const spool = join(folder, 'after')
    for (const { claimed, left } of taken) {
      putBack(left, spool)
      const { recovered } = await recoverSpool({ spool, signing: fixture.keys.signing, clock: systemClock })
      const [recording] = fs.readdirSync(spool)
      if (!claimed.isOpen || !recording) {
        expect(claimed.isOpen).toBe(false)
        continue
      }
      const inFolder = (...parts: string[]) => join(spool, recording, ...parts)
      if (claimed.manifest !== null) {
        expect(fs.readFileSync(inFolder('manifest.jws'), 'latin1')).toBe(claimed.manifest)
        continue
      }
      const [found] = recovered
      // The manifest itself may have survived before anybody was told of it.
      const { segments, hashes } = await readManifest(
        found?.jws ?? fs.readFileSync(inFolder('manifest.jws'), 'latin1'),
        fixture.keys,
      )
      expect(hashes.grants.length).toBeGreaterThanOrEqual(claimed.grants)
      for (const { stream, segment, seq, c } of claimed.heads) {
        const bytes = segments.find((one) => one.stream === stream && one.number === segment)?.bytes ?? 0
        const reader = new SegmentReader()
        reader.push(fs.readFileSync(inFolder(stream, `${segment}.spr`)).subarray(0, bytes))
        const frames = reader.frames()
        expect(frames[seq]?.c.toString('hex'), `${stream} ${segment}/${seq}`).toBe(c)
        expect(fs.existsSync(inFolder('keys', reader.header?.key_object ?? ''))).toBe(true)
      }
    }
  })

  test('everything that the archive has called stored is there', async () => {
    const stored = new Set<string>()
    const recording = newId()
    const objects = ['screen/0.spr', 'input/0.spr', 'screen/1.spr', 'keys/screen-0.jwe', 'manifest.jws'].map(
      (name) => ({ key: `${recording}/${name}` as EvidenceKey, content: Buffer.from(`content of ${name}`) }),
    )
    const taken = await losses(
      join(folder, 'store'),
      () => [...stored],
      async () => {
        const store = await openFolderStore(join(folder, 'store'), 0)
        const put = async ({ key, content }: (typeof objects)[number]) => {
          const sha256 = createHash('sha256').update(content).digest('hex')
          const answer = await store.put(key, sha256, content.length, Readable.from([content]))
          expect(['stored', 'same']).toContain(answer)
          stored.add(key)
        }
        // Two at once, and each object twice: "same" promises what "stored" does.
        for (const one of objects) await Promise.all([put(one), put(one)])
      },
    )
    expect(taken.length).toBeGreaterThan(50)
    const after = join(folder, 'after-store')
    for (const { claimed, left } of taken) {
      putBack(left, after)
      const store = await openFolderStore(after, 0)
      for (const { key, content } of objects) {
        const sha256 = createHash('sha256').update(content).digest('hex')
        if (claimed.includes(key)) expect(await store.hash(key), key).toBe(sha256)
        // A name stands for the whole object or is not there: a half one would refuse the same object for ever.
        else expect([sha256, null], key).toContain(await store.hash(key))
      }
    }
  })
})

function sessionIn(spool: string): string {
  const [recording = ''] = fs.readdirSync(spool)
  return (JSON.parse(fs.readFileSync(join(spool, recording, 'session.json'), 'utf8')) as { session: string })
    .session
}
