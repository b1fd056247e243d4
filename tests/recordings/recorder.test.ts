import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { manualClock } from '../../broker/domain/manual-clock.ts'
import { RecordingRefused, type SessionRecorder } from '../../recordings/recorder/api.ts'
import { openRecorder } from '../../recordings/recorder/recorder.ts'
import { newTerminal } from '../../recordings/screen-model/xterm-state.ts'
import { until } from '../lab/until.ts'
import { describeState } from './keyframe-state.ts'
import { type Fixture, openSegment, readManifest, recorderFixture } from './recorder-fixture.ts'

let fixture: Fixture
beforeAll(async () => {
  fixture = await recorderFixture()
})
afterAll(() => fixture.dispose())

const bytes = (text: string) => new TextEncoder().encode(text)
const shown = (events: [number, string, string][]) =>
  events
    .filter(([, code]) => code === 'o')
    .map(([, , data]) => data)
    .join('')

/** Feeds as a well-behaved source: stops on back-pressure. */
async function pour(
  recorder: SessionRecorder,
  total: number,
  piece: (index: number) => Uint8Array,
): Promise<Uint8Array[]> {
  let drained: () => void = () => {}
  recorder.onDrain(() => drained())
  const sent: Uint8Array[] = []
  for (let count = 0, index = 0; count < total; index++) {
    const next = piece(index)
    sent.push(next)
    count += next.length
    const waiting = new Promise<void>((resolve) => {
      drained = resolve
    })
    if (!recorder.output(next)) await waiting
    // As a socket would: data comes in turns of the loop.
    if (index % 4 === 3) await new Promise((resolve) => setImmediate(resolve))
  }
  return sent
}

describe('a recording', () => {
  test('holds what was shown and what was typed, in two streams that open with different keys', async () => {
    const recorder = await openRecorder(fixture.options())
    expect(recorder.output(bytes('login: \xc3'))).toBe(true)
    recorder.input(bytes('secret\r'))
    recorder.resize(100, 30)
    recorder.marker('watcher Grace joined')
    recorder.output(bytes('welcome\r\n'))
    const closed = await recorder.close({ reason: 'vendor-left' })
    const manifest = await readManifest(closed.jws, fixture.keys)
    expect(closed).toMatchObject({ stored: true, failure: null })
    expect(manifest).toMatchObject({ ended: 'clean', session_end: 'vendor-left', gaps: [], discarded: [] })
    expect(manifest.segments.map(({ stream, number, final }) => ({ stream, number, final }))).toEqual([
      { stream: 'screen', number: 0, final: true },
      { stream: 'input', number: 0, final: true },
    ])
    const { spool, keys } = fixture
    const screen = await openSegment(spool, recorder.recording, 'screen', 0, keys.replay.private)
    expect(screen.events.slice(1).map(([, code, data]) => [code, data])).toEqual([
      ['o', 'login: Ã'],
      ['r', '100x30'],
      ['m', 'watcher Grace joined'],
      ['o', 'welcome\r\n'],
    ])
    expect(screen.header).toMatchObject({
      width: 80,
      height: 24,
      sallyport: { person: { name: 'Ada Example' } },
    })
    const input = await openSegment(spool, recorder.recording, 'input', 0, keys.input.private)
    expect(input.events.map(([, code, data]) => [code, data])).toEqual([['i', 'secret\r']])
    await expect(openSegment(spool, recorder.recording, 'input', 0, keys.replay.private)).rejects.toThrow(
      'wrap-',
    )
    expect((await openSegment(spool, recorder.recording, 'input', 0, keys.escrow.private)).final).toBe(true)
    // Nothing is left of the keys that were prepared for segments that never came.
    expect((await readdir(join(spool, recorder.recording, 'keys'))).sort()).toEqual([
      'input-0.jwe',
      'screen-0.jwe',
    ])
    expect(await readFile(join(spool, recorder.recording, 'manifest.jws'), 'utf8')).toBe(closed.jws)
    const clear = Buffer.concat(
      await Promise.all(
        ['screen', 'input'].map((stream) => readFile(join(spool, recorder.recording, stream, '0.spr'))),
      ),
    )
    expect(clear.includes('Ada Example')).toBe(false)
    expect(clear.includes('secret')).toBe(false)
  })

  test('refuses what comes after the end', async () => {
    const recorder = await openRecorder(fixture.options())
    const first = recorder.close({ reason: 'idle' })
    expect(() => recorder.output(bytes('x'))).toThrow(RecordingRefused)
    expect(() => recorder.input(bytes('x'))).toThrow(RecordingRefused)
    expect((await recorder.close({ reason: 'operator-stopped' })).hash).toBe((await first).hash)
  })

  test('rotates under a flood, and every segment opens by itself on the same screen', async () => {
    const limits = { segmentBytes: 1024 * 1024, segmentCapBytes: 3 * 1024 * 1024, cutLagBytes: 128 * 1024 }
    const recorder = await openRecorder(fixture.options({ limits }))
    const words = [
      '\x1b[1;31mred\x1b[m ',
      'plain text é 世 ',
      '\x1b[2;5H',
      '\x1b[K',
      '\x1b(0lqk\x1b(B',
      'ok\r\n',
      '\x1b[3;20r',
      '\x1b7\x1b8',
      '🙂',
    ]
    const sent = await pour(recorder, 18 * 1024 * 1024, (index) => {
      let text = ''
      for (let n = 0; n < 2000; n++) text += words[(index * 7 + n * n) % words.length]
      // Pieces end anywhere, inside sequences and characters too.
      const whole = bytes(text)
      return whole.subarray(0, whole.length - (index % 5))
    })
    const closed = await recorder.close({ reason: 'vendor-left' })
    const screens = closed.manifest.segments.filter((segment) => segment.stream === 'screen')
    expect(screens.length).toBeGreaterThan(2)
    const from = newTerminal(80, 24)
    let all = ''
    for (const { number } of screens) {
      const segment = await openSegment(
        fixture.spool,
        recorder.recording,
        'screen',
        number,
        fixture.keys.replay.private,
      )
      const keyframes = segment.flags.filter((flags) => flags & 8).length
      expect(keyframes).toBeGreaterThan(0)
      const keyframe = shown(segment.events.slice(0, keyframes))
      const alone = newTerminal(segment.header.width, segment.header.height)
      void alone.state._inputHandler.parse(bytes(keyframe))
      expect(describeState(alone.state)).toBe(describeState(from.state))
      const rest = shown(segment.events.slice(keyframes))
      void from.state._inputHandler.parse(bytes(rest))
      all += rest
    }
    const played = new TextDecoder().decode(Buffer.concat(sent))
    expect(all.length).toBe(played.length)
    expect(all === played).toBe(true)
  }, 60_000)

  test('rotates by age only when there is something new', async () => {
    const clock = manualClock()
    const recorder = await openRecorder(
      fixture.options({ clock, limits: { segmentMs: 10_000, stallFailureMs: 1e9 } }),
    )
    const segments = async () => (await readdir(join(fixture.spool, recorder.recording, 'screen'))).length
    recorder.output(bytes('one'))
    await until(async () => {
      clock.advance(1000)
      return (await segments()) === 2
    }, 'the first rotation')
    for (let second = 0; second < 50; second++) {
      clock.advance(1000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(await segments()).toBe(2)
    recorder.output(bytes('two'))
    const closed = await recorder.close({ reason: 'vendor-left' })
    expect(closed.manifest.segments.filter(({ stream }) => stream === 'screen')).toHaveLength(2)
  })

  test('flags a jump of the wall clock', async () => {
    const clock = manualClock()
    const recorder = await openRecorder(fixture.options({ clock }))
    recorder.output(bytes('before'))
    clock.advance(1000)
    clock.setWall(clock.wall() - 3_600_000)
    recorder.output(bytes('after'))
    clock.advance(1000)
    recorder.output(bytes('later'))
    await recorder.close({ reason: 'vendor-left' })
    const { flags } = await openSegment(
      fixture.spool,
      recorder.recording,
      'screen',
      0,
      fixture.keys.replay.private,
    )
    expect(flags.map((flag) => flag & 4)).toEqual([0, 0, 4, 0])
  })

  test('anchors only what is durable, and keeps the proofs', async () => {
    const clock = manualClock()
    const recorder = await openRecorder(fixture.options({ clock }))
    recorder.output(bytes('x'))
    const before = recorder.heads()
    clock.advance(1000)
    await until(
      () => recorder.heads().some(({ stream, seq }) => stream === 'screen' && seq === 1),
      'a durable head',
    )
    expect(before.every(({ seq }) => seq === 0)).toBe(true)
    const head = recorder.heads()[0]!
    const proof = {
      entry: 7,
      stream: head.stream,
      segment: 0,
      seq: head.seq,
      c: head.c,
      index: 0,
      size: 1,
      path: [],
    }
    await recorder.addAnchorProof(proof)
    await recorder.close({ reason: 'vendor-left' })
    const kept = await readFile(join(fixture.spool, recorder.recording, 'anchors.ndjson'), 'utf8')
    expect(JSON.parse(kept)).toEqual(proof)
  })

  test('gives a late observer the screen and the place to go on from', async () => {
    const recorder = await openRecorder(fixture.options())
    recorder.output(bytes('hello \x1b[1mworld\x1b['))
    const asked = recorder.screen()
    recorder.output(bytes('31m!\r\nnext'))
    const keyframe = await asked
    expect(keyframe).toMatchObject({ cols: 80, rows: 24 })
    const late = newTerminal(80, 24)
    void late.state._inputHandler.parse(keyframe.bytes)
    const all = bytes('hello \x1b[1mworld\x1b[31m!\r\nnext')
    void late.state._inputHandler.parse(all.subarray(keyframe.position))
    const direct = newTerminal(80, 24)
    void direct.state._inputHandler.parse(all)
    expect(describeState(late.state)).toBe(describeState(direct.state))
    await recorder.close({ reason: 'vendor-left' })
  })

  test('cuts through a control string that never ends', async () => {
    const recorder = await openRecorder(fixture.options({ limits: { segmentCapBytes: 6 * 1024 * 1024 } }))
    recorder.output(bytes('before\x1b]0;'))
    await pour(recorder, 14 * 1024 * 1024, () => bytes('never '.repeat(5000)))
    const closed = await recorder.close({ reason: 'vendor-left' })
    expect(closed.manifest.segments.filter(({ stream }) => stream === 'screen').length).toBeGreaterThan(1)
    const second = await openSegment(
      fixture.spool,
      recorder.recording,
      'screen',
      1,
      fixture.keys.replay.private,
    )
    expect(second.events[0]?.[2]?.endsWith('\x1b]')).toBe(true)
  }, 30_000)

  test('survives sequences made to be slow', async () => {
    const recorder = await openRecorder(fixture.options())
    // The processor's time, not the wall's: what else this machine does is not the sequences' doing.
    const started = process.cpuUsage()
    for (const final of ['S', 'T', 'L', 'M', 'b', 'I', 'Z', '@', 'P', 'X'])
      recorder.output(bytes(`x\x1b[2147483647${final}`))
    recorder.output(bytes(`e${'\u0301'.repeat(100_000)}`))
    const keyframe = await recorder.screen()
    const { user, system } = process.cpuUsage(started)
    expect((user + system) / 1000).toBeLessThan(2000)
    expect(keyframe.bytes.length).toBeLessThan(20_000)
    await recorder.close({ reason: 'vendor-left' })
  })
})
