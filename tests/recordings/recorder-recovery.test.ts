import { type ChildProcess, spawn } from 'node:child_process'
import { appendFile, cp, mkdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../broker/domain/clock.ts'
import { newId } from '../../broker/domain/ids.ts'
import { SegmentReader } from '../../recordings/format/segment-reader.ts'
import { openRecorder } from '../../recordings/recorder/recorder.ts'
import { recoverSpool } from '../../recordings/spool/recover.ts'
import {
  exportSigning,
  type Fixture,
  newGrant,
  openSegment,
  readManifest,
  recorderFixture,
} from './recorder-fixture.ts'

interface Head {
  stream: 'screen' | 'input'
  segment: number
  seq: number
  c: string
}

let fixture: Fixture
const children: ChildProcess[] = []
beforeAll(async () => {
  fixture = await recorderFixture()
})
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  await fixture.dispose()
})

const recover = (spool: string) => recoverSpool({ spool, signing: fixture.keys.signing, clock: systemClock })

/**
 * Floods in a process of its own until it is killed, by us after so many ms or by itself where a file would be made;
 * returns the last heads that it called durable.
 */
async function killed(
  spool: string,
  when: { ms: number } | { making: string },
  rate: number,
): Promise<{ recording: string; heads: Head[] }> {
  const grant = newGrant(fixture.keys)
  const script = new URL('./recorder-crash-child.ts', import.meta.url).pathname
  const args = [script, spool, JSON.stringify(grant), exportSigning(fixture.keys), String(rate)]
  if ('making' in when) args.push(when.making)
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  let heads: Head[] = []
  const lines = createInterface({ input: child.stdout! })
  const ready = new Promise<void>((resolve, reject) => {
    lines.on('line', (line) => {
      const value = JSON.parse(line)
      if (value.ready) resolve()
      else heads = value
    })
    child.once('exit', () => reject(new Error('the child ended by itself')))
  })
  const ended = new Promise<void>((resolve) => lines.once('close', resolve))
  await ready
  if ('ms' in when) {
    await new Promise((resolve) => setTimeout(resolve, when.ms))
    child.kill('SIGKILL')
  }
  await ended
  return { recording: grant.recording, heads }
}

describe('after kill -9', () => {
  test.each([
    [350, 1_000_000],
    [1700, 20_000_000],
    [2600, 100_000_000],
    [1300 + Math.floor(Math.random() * 2000), 5_000_000],
  ])(
    'after %i ms at %i bytes/s: everything up to the last flush verifies and opens',
    async (ms, rate) => {
      const spool = join(fixture.spool, newId())
      await mkdir(spool)
      const { recording, heads } = await killed(spool, { ms }, rate)
      const { recovered, unreadable } = await recover(spool)
      expect(unreadable).toEqual([])
      expect(recovered).toHaveLength(1)
      const [found] = recovered
      const manifest = await readManifest(found!.jws, fixture.keys)
      expect(found!.problems).toEqual([])
      expect(manifest).toMatchObject({ recording, ended: 'recovered', session_end: 'gateway-stopped' })
      // Each stream says where it stops: by the gap of a segment that breaks off, or by a number that holds nothing.
      const torn = manifest.segments.filter(({ final }) => !final)
      const place = ({ stream, segment, seq }: { stream: string; segment: number; seq: number }) =>
        `${stream}/${segment}/${seq}`
      expect(manifest.gaps.map(place)).toEqual(
        torn.map(({ stream, number, chunks }) => place({ stream, segment: number, seq: chunks })),
      )
      for (const { reason } of manifest.gaps) expect(reason).toBe('gateway crash')
      expect([...torn, ...manifest.discarded].map(({ stream }) => stream).sort()).toEqual(['input', 'screen'])
      expect(found!.missing).toHaveLength(2)
      // Every head that was ever called durable is inside what verifies.
      for (const head of heads) {
        const segment = manifest.segments.find(
          ({ stream, number }) => stream === head.stream && number === head.segment,
        )
        expect(segment?.chunks).toBeGreaterThan(head.seq)
        const reader = new SegmentReader()
        reader.push(
          (await readFile(join(spool, recording, head.stream, `${head.segment}.spr`))).subarray(
            0,
            segment!.bytes,
          ),
        )
        expect(reader.frames()[head.seq]?.c.toString('hex')).toBe(head.c)
      }
      for (const { stream, number, bytes } of manifest.segments) {
        const key = stream === 'screen' ? fixture.keys.replay.private : fixture.keys.input.private
        await openSegment(spool, recording, stream, number, key, bytes)
      }
      // Again: nothing changes.
      const before = await readFile(join(spool, recording, 'manifest.jws'), 'utf8')
      expect((await recover(spool)).recovered).toEqual([])
      expect(await readFile(join(spool, recording, 'manifest.jws'), 'utf8')).toBe(before)
    },
    60_000,
  )
})

describe('killed between two segments', () => {
  const crash = 'gateway crash'
  const nothing = (segment: number) => `${crash}: nothing of segment ${segment} was written`

  test('the manifest says that the screen went on', async () => {
    const spool = join(fixture.spool, newId())
    await mkdir(spool)
    const { recording } = await killed(spool, { making: 'screen/1.spr' }, 1_000_000)
    const [found] = (await recover(spool)).recovered
    const { segments, gaps, discarded } = await readManifest(found!.jws, fixture.keys)
    expect(found).toMatchObject({ recording, problems: [] })
    expect(segments).toMatchObject([
      { stream: 'screen', number: 0, final: true },
      { stream: 'input', number: 0, final: false },
    ])
    expect(gaps).toMatchObject([{ stream: 'input', segment: 0, reason: crash }])
    expect(discarded).toEqual([{ stream: 'screen', number: 1, bytes: 0 }])
    expect(found!.missing).toEqual([
      { stream: 'input', reason: crash },
      { stream: 'screen', reason: nothing(1) },
    ])
  })

  test('and nobody takes a recording for complete whose manifest alone was not written', async () => {
    const spool = join(fixture.spool, newId())
    await mkdir(spool)
    await killed(spool, { making: 'manifest.jws' }, 1000)
    const [found] = (await recover(spool)).recovered
    const { ended, segments, gaps, discarded } = await readManifest(found!.jws, fixture.keys)
    expect({ ended, gaps }).toEqual({ ended: 'recovered', gaps: [] })
    expect(segments.every(({ final }) => final)).toBe(true)
    const last = (stream: string) => segments.filter((one) => one.stream === stream).length
    expect(discarded).toEqual([
      { stream: 'screen', number: last('screen'), bytes: 0 },
      { stream: 'input', number: last('input'), bytes: 0 },
    ])
    expect(found!.missing.map(({ reason }) => reason)).toEqual([
      nothing(last('screen')),
      nothing(last('input')),
    ])
  })
})

describe('recovery', () => {
  async function closedWithoutManifest(): Promise<{ spool: string; recording: string; screen: string }> {
    const spool = join(fixture.spool, newId())
    await mkdir(spool)
    const recorder = await openRecorder(fixture.options({ spool }))
    for (let count = 0; count < 40; count++)
      recorder.output(new Uint8Array(32 * 1024).fill(0x41 + (count % 20)))
    await recorder.close({ reason: 'vendor-left' })
    await rm(join(spool, recorder.recording, 'manifest.jws'))
    return {
      spool,
      recording: recorder.recording,
      screen: join(spool, recorder.recording, 'screen', '0.spr'),
    }
  }

  test('counts torn bytes at any place, and never changes a file', async () => {
    const { spool, recording, screen } = await closedWithoutManifest()
    const whole = await readFile(screen)
    for (const cut of [1, 31, 32, 100, 70_000, whole.length - 100, whole.length - 3]) {
      await truncate(screen, whole.length)
      await writeFile(screen, whole)
      await truncate(screen, whole.length - cut)
      const [found] = (await recover(spool)).recovered
      const segment = found!.manifest.segments.find(({ stream }) => stream === 'screen')
      const length = whole.length - cut
      if (segment) {
        expect(segment.bytes + segment.torn_bytes).toBe(length)
        await openSegment(spool, recording, 'screen', 0, fixture.keys.replay.private, segment.bytes)
      } else expect(found!.manifest.discarded).toContainEqual({ stream: 'screen', number: 0, bytes: length })
      expect((await readFile(screen)).equals(whole.subarray(0, length))).toBe(true)
      await rm(join(spool, recording, 'manifest.jws'))
    }
  })

  test('takes a half-written frame and foreign bytes at the end as torn, and names a changed chunk', async () => {
    const { spool, recording, screen } = await closedWithoutManifest()
    const whole = await readFile(screen)
    await truncate(screen, whole.length - 80)
    await appendFile(screen, Buffer.alloc(10))
    expect((await recover(spool)).recovered[0]?.tornBytes).toBeGreaterThan(0)
    await rm(join(spool, recording, 'manifest.jws'))
    const changed = Buffer.from(whole)
    changed[changed.length - 200_000] = (changed[changed.length - 200_000] ?? 0) ^ 1
    await writeFile(screen, changed)
    const [found] = (await recover(spool)).recovered
    expect(found?.problems.join()).toContain('screen: segment 0: chunk-altered')
    expect(found?.manifest.segments[0]?.torn_bytes).toBeGreaterThan(0)
  })

  test('declares a stream of which there is nothing', async () => {
    const { spool, recording } = await closedWithoutManifest()
    const ends = async () => (await recover(spool)).recovered[0]?.manifest.discarded
    expect(await ends()).toEqual([
      { stream: 'screen', number: 1, bytes: 0 },
      { stream: 'input', number: 1, bytes: 0 },
    ])
    await rm(join(spool, recording, 'manifest.jws'))
    await rm(join(spool, recording, 'input', '0.spr'))
    expect(await ends()).toEqual([
      { stream: 'screen', number: 1, bytes: 0 },
      { stream: 'input', number: 0, bytes: 0 },
    ])
  })

  test('says how the session ended where that is known', async () => {
    const { spool, recording } = await closedWithoutManifest()
    const options = { spool, signing: fixture.keys.signing, clock: systemClock }
    const { recovered } = await recoverSpool({ ...options, endOf: () => 'operator-stopped' })
    expect(recovered[0]?.manifest).toMatchObject({ recording, session_end: 'operator-stopped' })
    await rm(join(spool, recording, 'manifest.jws'))
    const unknown = await recoverSpool({ ...options, endOf: () => null })
    expect(unknown.recovered[0]?.manifest.session_end).toBe('gateway-stopped')
  })

  test('leaves alone what is live, what is no recording, and what holds nothing', async () => {
    const spool = join(fixture.spool, newId())
    await mkdir(join(spool, 'lost+found'), { recursive: true })
    const empty = newId()
    await mkdir(join(spool, empty))
    const [broken, misplaced] = [newId(), newId()]
    await mkdir(join(spool, broken))
    await writeFile(join(spool, broken, 'screen'), 'not a folder')
    const recorder = await openRecorder(fixture.options({ spool }))
    await cp(join(spool, recorder.recording), join(spool, misplaced), { recursive: true })
    const result = await recoverSpool({
      spool,
      signing: fixture.keys.signing,
      clock: systemClock,
      isLive: (recording) => recording === recorder.recording,
    })
    const by = (one: { recording: string }, two: { recording: string }) =>
      one.recording.localeCompare(two.recording)
    expect(result).toMatchObject({ recovered: [], empty: [empty] })
    expect(result.unreadable.toSorted(by)).toEqual(
      [
        { recording: broken, reason: expect.stringContaining('ENOTDIR') },
        { recording: misplaced, reason: expect.stringContaining(recorder.recording) },
      ].toSorted(by),
    )
    await recorder.close({ reason: 'vendor-left' })
  })
})
