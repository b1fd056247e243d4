import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { manualClock } from '../../broker/domain/manual-clock.ts'
import { RECORDER_LIMITS, RecordingRefused } from '../../recordings/recorder/api.ts'
import { type Disk, nodeDisk } from '../../recordings/recorder/disk.ts'
import { openRecorder } from '../../recordings/recorder/recorder.ts'
import { spoolSpace } from '../../recordings/spool/space.ts'
import { until } from '../lab/until.ts'
import { type Fixture, openSegment, readManifest, recorderFixture } from './recorder-fixture.ts'

let fixture: Fixture
beforeAll(async () => {
  fixture = await recorderFixture()
})
afterAll(() => fixture.dispose())

const block = new Uint8Array(64 * 1024).fill(0x61)

/** A disk whose segment files obey `before`: it may wait or throw. */
function diskWith(before: { write?: () => Promise<void>; sync?: () => Promise<void> }): Disk {
  return {
    ...nodeDisk,
    async create(path) {
      const file = await nodeDisk.create(path)
      return {
        async write(parts) {
          await before.write?.()
          await file.write(parts)
        },
        async sync() {
          await before.sync?.()
          await file.sync()
        },
        close: () => file.close(),
      }
    },
  }
}

function gate(): { wait: () => Promise<void>; close: () => void; open: () => void } {
  let opened = Promise.resolve()
  let release: () => void = () => {}
  return {
    wait: () => opened,
    close() {
      opened = new Promise((resolve) => {
        release = resolve
      })
    },
    open: () => release(),
  }
}

describe('a slow disk', () => {
  test('makes forwarding wait, and loses nothing', async () => {
    const door = gate()
    const recorder = await openRecorder(fixture.options({ disk: diskWith({ write: door.wait }) }))
    let drains = 0
    recorder.onDrain(() => {
      drains += 1
    })
    door.close()
    let taken = 0
    while (recorder.output(block)) taken += block.length
    taken += block.length
    // What waits is bounded: the queue, the chunk being filled, and no more.
    expect(taken).toBeGreaterThan(RECORDER_LIMITS.queueBytes - 2 * block.length)
    expect(taken).toBeLessThan(RECORDER_LIMITS.queueBytes + 1024 * 1024)
    expect(recorder.heads().filter(({ seq }) => seq > 0)).toEqual([])
    expect(drains).toBe(0)
    door.open()
    await until(() => drains === 1, 'the drain')
    const closed = await recorder.close({ reason: 'vendor-left' })
    expect(closed.failure).toBeNull()
    let shown = 0
    for (const { stream, number } of closed.manifest.segments.filter(({ stream }) => stream === 'screen')) {
      const segment = await openSegment(
        fixture.spool,
        recorder.recording,
        stream,
        number,
        fixture.keys.replay.private,
      )
      for (const [, , data] of segment.events.slice(1)) shown += data.length
    }
    expect(shown).toBe(taken)
  })

  test('that confirms nothing gives back-pressure after 3 s and ends the recording after 30 s', async () => {
    const clock = manualClock()
    const door = gate()
    const recorder = await openRecorder(fixture.options({ clock, disk: diskWith({ sync: door.wait }) }))
    door.close()
    expect(recorder.output(block)).toBe(true)
    clock.advance(2000)
    expect(recorder.output(block)).toBe(true)
    clock.advance(2000)
    expect(recorder.output(block)).toBe(false)
    clock.advance(30_000)
    await expect(recorder.failed).resolves.toMatchObject({ code: 'sync-stalled' })
    expect(() => recorder.output(block)).toThrow(RecordingRefused)
    door.open()
  })
})

describe('a failing disk', () => {
  test.each([
    ['a write error', 'EIO', 'write-failed', 'write' as const],
    ['a failed fdatasync', 'EIO', 'write-failed', 'sync' as const],
    ['a full disk', 'ENOSPC', 'disk-full', 'write' as const],
  ])('%s is told at once, and nothing more is taken', async (_name, errno, code, where) => {
    let isBroken = false
    const fail = async () => {
      if (isBroken) throw Object.assign(new Error(`${errno}: injected`), { code: errno })
    }
    const clock = manualClock()
    const recorder = await openRecorder(fixture.options({ clock, disk: diskWith({ [where]: fail }) }))
    recorder.output(new TextEncoder().encode('kept'))
    clock.advance(1000)
    await until(() => recorder.heads().some(({ seq }) => seq === 1), 'the first flush')
    isBroken = true
    clock.advance(500)
    recorder.output(new TextEncoder().encode('lost'))
    clock.advance(1000)
    const failure = await recorder.failed
    expect(failure).toMatchObject({ code })
    expect(() => recorder.output(block)).toThrow(RecordingRefused)
    expect(() => recorder.input(block)).toThrow(RecordingRefused)
    const closed = await recorder.close({ reason: 'recording-failed' })
    const manifest = await readManifest(closed.jws, fixture.keys)
    expect(manifest).toMatchObject({ ended: 'recovered', session_end: 'recording-failed' })
    const gap = manifest.gaps.find(({ stream }) => stream === 'screen')
    expect(gap).toMatchObject({ segment: 0, reason: `recording failed: ${code}` })
    const kept = await openSegment(
      fixture.spool,
      recorder.recording,
      'screen',
      0,
      fixture.keys.replay.private,
      manifest.segments[0]?.bytes,
    )
    expect(kept.events[1]?.[2]).toBe('kept')
    expect(kept.final).toBe(false)
  })

  test('at the very end is told by close, and what was synced before counts', async () => {
    let isBroken = false
    const write = async () => {
      if (isBroken) throw Object.assign(new Error('injected'), { code: 'ENOSPC' })
    }
    const recorder = await openRecorder(fixture.options({ disk: diskWith({ write }) }))
    recorder.output(new TextEncoder().encode('lost'))
    isBroken = true
    const closed = await recorder.close({ reason: 'vendor-left' })
    expect(closed).toMatchObject({ stored: true, failure: { code: 'disk-full' } })
    expect(closed.manifest).toMatchObject({ ended: 'recovered', session_end: 'vendor-left' })
    expect(closed.manifest.segments.every(({ final }) => !final)).toBe(true)
  })

  test('no session opens when the spool cannot be written', async () => {
    const disk = {
      ...nodeDisk,
      put: () => Promise.reject(Object.assign(new Error('EROFS'), { code: 'EROFS' })),
    }
    await expect(openRecorder(fixture.options({ disk }))).rejects.toThrow('EROFS')
  })
})

describe('sessions that flush together', () => {
  const hello = new TextEncoder().encode('hello')
  const isDurable = (recorder: { heads(): { seq: number }[] }) =>
    recorder.heads().some(({ seq }) => seq === 1)

  test('each is acknowledged by its own fdatasync, and one that hangs or fails ends one recording', async () => {
    const clock = manualClock()
    const door = gate()
    let isBroken = false
    const failing = async () => {
      if (isBroken) throw Object.assign(new Error('injected'), { code: 'EIO' })
    }
    const [broken, hanging, whole] = await Promise.all([
      openRecorder(fixture.options({ clock, disk: diskWith({ sync: failing }) })),
      openRecorder(fixture.options({ clock, disk: diskWith({ sync: door.wait }) })),
      openRecorder(fixture.options({ clock })),
    ])
    let wholeFailed = false
    void whole.failed.then(() => {
      wholeFailed = true
    })
    isBroken = true
    door.close()
    for (const recorder of [broken, hanging, whole]) recorder.output(hello)
    clock.advance(1000)
    await until(() => isDurable(whole), 'the flush of the one whose disk works')
    expect(await broken.failed).toMatchObject({ code: 'write-failed' })
    // Written, not synced: nothing may vouch for it.
    expect([isDurable(hanging), isDurable(broken)]).toEqual([false, false])
    clock.advance(31_000)
    expect(await hanging.failed).toMatchObject({ code: 'sync-stalled' })
    whole.output(hello)
    clock.advance(1000)
    await until(() => whole.heads().some(({ seq }) => seq === 2), 'the next flush')
    expect(wholeFailed).toBe(false)
    door.open()
    expect(isDurable(hanging)).toBe(false)
    expect((await whole.close({ reason: 'vendor-left' })).failure).toBeNull()
  })

  test('an exception in the flush of one ends that one alone', async () => {
    const clock = manualClock()
    const broken = await openRecorder(fixture.options({ clock }))
    const whole = await openRecorder(fixture.options({ clock }))
    for (const recorder of [broken, whole]) recorder.output(hello)
    // The first to be flushed is the first to read the time of day.
    const { wall } = clock
    clock.wall = () => {
      clock.wall = wall
      throw new Error('injected')
    }
    clock.advance(1000)
    expect(() => broken.output(hello)).toThrow(RecordingRefused)
    expect(await broken.failed).toMatchObject({ code: 'internal' })
    await until(() => isDurable(whole), 'the flush of the other')
  })

  test('one that closes is flushed no more, and the others go on', async () => {
    const clock = manualClock()
    const [leaves, stays] = await Promise.all([
      openRecorder(fixture.options({ clock })),
      openRecorder(fixture.options({ clock })),
    ])
    for (const recorder of [leaves, stays]) recorder.output(hello)
    const closed = await leaves.close({ reason: 'vendor-left' })
    expect(closed.failure).toBeNull()
    clock.advance(1000)
    await until(() => isDurable(stays), 'the flush of the one that stays')
    const { chunks } = closed.manifest.segments.find(({ stream }) => stream === 'screen') ?? {}
    expect(leaves.heads().find(({ stream }) => stream === 'screen')?.seq).toBe((chunks ?? 0) - 1)
  })
})

describe('a full file system', () => {
  let mounted: string | null = null
  const reason = (() => {
    if (process.getuid?.() !== 0) return 'only root may mount a tmpfs'
    return null
  })()
  afterAll(() => {
    if (mounted) execFileSync('umount', [mounted])
  })

  test.skipIf(reason !== null)(
    `ends the recording, and what was synced verifies${reason ? ` (skipped: ${reason})` : ''}`,
    async (context) => {
      const folder = join(fixture.spool, 'small')
      mkdirSync(folder)
      try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', folder], { stdio: 'pipe' })
      } catch (error) {
        context.skip(`mount is not permitted here: ${String(error)}`)
      }
      mounted = folder
      const space = await spoolSpace(folder, 1024 * 1024)
      expect(space.aboveReserve).toBe(true)
      expect((await spoolSpace(folder, 64 * 1024 * 1024)).aboveReserve).toBe(false)
      const recorder = await openRecorder(fixture.options({ spool: folder }))
      let failed = false
      void recorder.failed.then(() => {
        failed = true
      })
      await until(() => {
        if (!failed) recorder.output(block)
        return failed
      }, 'the failure')
      expect(await recorder.failed).toMatchObject({ code: 'disk-full' })
      const closed = await recorder.close({ reason: 'recording-failed' })
      const [segment] = closed.manifest.segments
      expect(segment?.chunks).toBeGreaterThan(10)
      const file = await readFile(join(folder, recorder.recording, 'screen', '0.spr'))
      expect(file.length).toBe((segment?.bytes ?? 0) + (segment?.torn_bytes ?? 0))
      expect((await readManifest(closed.jws, fixture.keys)).gaps).toHaveLength(2)
    },
  )
})
