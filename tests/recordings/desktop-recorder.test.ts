import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { manualClock } from '../../broker/domain/manual-clock.ts'
import { EncodePool } from '../../gateway/desktop/encode/pool.ts'
import { say } from '../../gateway/desktop/testing/rfb-client.ts'
import { RfbReader } from '../../gateway/desktop/testing/rfb-reader.ts'
import { FLAG } from '../../recordings/format/frame.ts'
import {
  type DesktopKeyframe,
  type DesktopRecorder,
  RecordingRefused,
} from '../../recordings/recorder/api.ts'
import { openDesktopRecorder } from '../../recordings/recorder/desktop-recorder.ts'
import { until } from '../lab/until.ts'
import {
  desktopOptions,
  openDesktopSegment,
  type PaintedDesktop,
  paintedDesktop,
  picture,
  played,
} from './desktop-recorder-fixture.ts'
import { type Keys, newKeys, readManifest } from './recorder-fixture.ts'

const pool = new EncodePool(1)
let keys: Keys
let spool: string
beforeAll(async () => {
  keys = newKeys()
  spool = await mkdtemp(join(tmpdir(), 'sallyport-desktop-'))
})
afterAll(async () => {
  await pool.stop()
  await rm(spool, { recursive: true, force: true })
})

const desktop = (change: object = {}) =>
  paintedDesktop(pool, { width: 333, height: 217 }, (keyframe) => ({
    ...desktopOptions(keys, spool, keyframe),
    ...change,
  }))
const screenOf = (recording: string, segment: number) =>
  openDesktopSegment({ spool, recording, stream: 'screen', segment, key: keys.replay.private })

/** A recorder without a picture behind it: the keyframes are given by hand. */
const bare = (keyframe: () => Promise<DesktopKeyframe>, change: object = {}) =>
  openDesktopRecorder({ ...desktopOptions(keys, spool, keyframe), ...change })

async function keyframeOf(): Promise<DesktopKeyframe> {
  const { frames, recorder } = await desktop()
  const keyframe = await frames.keyframe()
  await recorder.close({ reason: 'vendor-left' })
  await frames.close()
  return keyframe
}

describe('a desktop recording', () => {
  test('holds the screen in samples and what the person sent, in two streams that open with different keys', async () => {
    const one = await desktop()
    const { recorder, screen } = one
    screen.cursor({ width: 2, height: 1, hotX: 1, hotY: 0, pixels: Uint8Array.of(1, 2, 3, 255, 4, 5, 6, 0) })
    one.paint(1)
    await one.frames.sample()
    const sent = [say.key(true, 0x73), say.qemuKey(true, 0x65, 0x12), say.pointer(1, 10, 20)]
    for (const message of sent) recorder.input(message)
    recorder.marker('watcher Grace joined')
    one.paint(2)
    const closed = await one.close()
    expect(closed).toMatchObject({ stored: true, failure: null })
    const manifest = await readManifest(closed.jws, keys)
    expect(manifest).toMatchObject({ ended: 'clean', gaps: [], discarded: [] })
    expect(manifest.segments.map(({ stream, number, final }) => ({ stream, number, final }))).toEqual([
      { stream: 'screen', number: 0, final: true },
      { stream: 'input', number: 0, final: true },
    ])
    const { recording } = recorder
    const opened = await screenOf(recording, 0)
    expect(opened.facts).toMatchObject({ recording, stream: 'screen', segment: 0, asset: 'Line 3 HMI' })
    expect(opened.changes.map(({ message }) => message[0])).toContain(77)
    expect(picture(screen).equals(Buffer.from(played(opened).picture))).toBe(true)
    const asked = { spool, recording, stream: 'input', segment: 0 } as const
    const input = await openDesktopSegment({ ...asked, key: keys.input.private })
    expect(input.changes.map(({ message }) => message)).toEqual(sent)
    expect(input.keyframe).toEqual([])
    await expect(openDesktopSegment({ ...asked, key: keys.replay.private })).rejects.toThrow('wrap-')
    expect((await openDesktopSegment({ ...asked, key: keys.escrow.private })).final).toBe(true)
    expect((await readdir(join(spool, recording, 'keys'))).sort()).toEqual(['input-0.jwe', 'screen-0.jwe'])
    const clear = Buffer.concat(
      await Promise.all(
        ['screen', 'input'].map((stream) => readFile(join(spool, recording, stream, '0.spr'))),
      ),
    )
    expect(clear.includes('Ada Example')).toBe(false)
    expect(clear.includes(sent[0] as Buffer)).toBe(false)
  })

  test('what follows the keyframes plays to the same picture as reading from the start, at every boundary', async () => {
    const one = await desktop({ limits: { segmentBytes: 96 * 1024, chunkBytes: 16 * 1024 } })
    const { recorder, screen } = one
    for (let seed = 0; seed < 60; seed++) {
      if (seed === 20) screen.resize(401, 190)
      if (seed === 40) screen.resize(120, 300)
      screen.flush()
      one.paint(seed)
      await one.frames.sample()
    }
    const { manifest } = await one.close()
    const numbers = manifest.segments.filter(({ stream }) => stream === 'screen').map(({ number }) => number)
    expect(numbers.length).toBeGreaterThan(3)
    const fromStart = new RfbReader()
    for (const number of numbers) {
      const segment = await screenOf(recorder.recording, number)
      expect((segment.flags[0] ?? 0) & FLAG.keyframe).toBe(FLAG.keyframe)
      const restored = played({ ...segment, changes: [] })
      if (number === 0) {
        const [init, ...pictures] = segment.keyframe
        fromStart.init(init as Buffer)
        for (const message of pictures) fromStart.read(message)
      } else {
        expect([restored.width, restored.height]).toEqual([fromStart.width, fromStart.height])
        expect(Buffer.from(restored.picture).equals(Buffer.from(fromStart.picture))).toBe(true)
      }
      played(segment, fromStart)
      expect(Buffer.from(played(segment).picture).equals(Buffer.from(fromStart.picture))).toBe(true)
    }
    expect(picture(screen).equals(Buffer.from(fromStart.picture))).toBe(true)
  })

  test('begins a segment after five minutes only when something has changed since', async () => {
    const clock = manualClock()
    const one = await desktop({
      clock,
      limits: { segmentMs: 5000, flushMs: 1000, stallMs: 1e9, stallFailureMs: 1e9 },
    })
    const segments = async () => (await readdir(join(spool, one.recorder.recording, 'screen'))).length
    for (let second = 0; second < 12; second++) clock.advance(1000)
    await one.frames.keyframe()
    expect(await segments()).toBe(1)
    one.paint(3)
    await one.frames.sample()
    await until(async () => (await segments()) === 2, 'a second segment')
    await one.close()
    expect((await screenOf(one.recorder.recording, 1)).changes).toEqual([])
  })

  test('without room it samples no more, and goes on when the disk does', async () => {
    let isHeld = true
    const one = await desktop({ limits: { queueBytes: 1, chunkBytes: 1 } })
    const taken: boolean[] = []
    one.recorder.onDrain(() => {
      isHeld = false
    })
    one.paint(4)
    const message = (await one.frames.keyframe()).messages.at(-1) as Uint8Array
    taken.push(one.recorder.frame([message]))
    expect(taken).toEqual([false])
    await until(() => !isHeld, 'the recorder to drain')
    await one.close()
  })
})

describe('what no reader would take is not recorded', () => {
  test('a keyframe that leaves something out, is of another size, or has no pointer', async () => {
    const whole = await keyframeOf()
    const [init, cursor, ...pictures] = whole.messages as [Uint8Array, Uint8Array, ...Uint8Array[]]
    const cases: [Partial<DesktopKeyframe>, string][] = [
      [{ messages: [init, cursor, ...pictures.slice(1)] }, 'a keyframe has no picture|leaves a part'],
      [{ width: 334 }, 'its size is not that of its ServerInit'],
      [{ messages: [init, ...pictures] }, 'the pointer does not follow'],
      [{ messages: [cursor, ...pictures] }, 'content-'],
    ]
    for (const [change, message] of cases)
      await expect(bare(async () => ({ ...whole, ...change }))).rejects.toThrow(new RegExp(message))
    await (await bare(async () => whole)).close({ reason: 'vendor-left' })
  })

  test('a message without a place in the format fails the recording, and is refused', async () => {
    const whole = await keyframeOf()
    const outside = Buffer.from(whole.messages.at(-1) as Uint8Array)
    outside.writeUInt16BE(8000, 4)
    const wrong: [string, (one: DesktopRecorder) => void][] = [
      ['content-rectangle', (one) => one.frame([outside])],
      ['content-code', (one) => one.frame([Buffer.from([3, 0, 0, 0, 0, 0, 0, 0])])],
      ['content-message', (one) => one.frame([Buffer.from([0, 0, 0, 1])])],
      ['content-message', (one) => one.input(Buffer.from([4, 1, 0]))],
      ['content-code', (one) => one.input(say.updateRequest(true))],
    ]
    for (const [code, give] of wrong) {
      const one = await bare(async () => whole)
      expect(() => give(one)).toThrow(RecordingRefused)
      expect((await one.failed).message).toContain(code)
      expect(() => one.input(say.key(true, 65))).toThrow(RecordingRefused)
      const { failure, manifest } = await one.close({ reason: 'recording-failed' })
      expect(failure?.message).toContain(code)
      expect(manifest.ended).toBe('recovered')
    }
  })

  test('a screen that gives no whole picture any more fails the recording', async () => {
    const whole = await keyframeOf()
    const clock = manualClock()
    let asked = 0
    const limits = { segmentBytes: 1, stallFailureMs: 3000, stallMs: 1e9 }
    const one = await bare(
      () => {
        asked += 1
        return asked === 1 ? Promise.resolve(whole) : new Promise(() => {})
      },
      { clock, limits },
    )
    await until(() => {
      one.frame([whole.messages.at(-1) as Uint8Array])
      return asked === 2
    }, 'the next keyframe to be asked for')
    let failed = ''
    void one.failed.then(({ code }) => {
      failed = code
    })
    await until(() => {
      clock.advance(1000)
      return failed !== ''
    }, 'the recording to fail')
    expect(failed).toMatch(/stalled/)
    await one.close({ reason: 'recording-failed' })
  })
})

describe('an altered desktop recording', () => {
  let one: PaintedDesktop
  beforeAll(async () => {
    one = await desktop()
    one.paint(9)
    await one.close()
  })

  test('one changed byte anywhere is found', async () => {
    const path = join(spool, one.recorder.recording, 'screen', '0.spr')
    const whole = await readFile(path)
    for (const at of [20, 900, Math.floor(whole.length / 2), whole.length - 40, whole.length - 1]) {
      const changed = Buffer.from(whole)
      changed[at] = (changed[at] ?? 0) ^ 1
      await writeFile(path, changed)
      await expect(screenOf(one.recorder.recording, 0)).rejects.toThrow()
    }
    await writeFile(path, whole)
    expect((await screenOf(one.recorder.recording, 0)).final).toBe(true)
  })
})
