import { mkdir } from 'node:fs/promises'
import { setImmediate as turn } from 'node:timers/promises'
import { manualClock } from '../../../broker/domain/manual-clock.ts'
import { EncodePool } from '../../../gateway/desktop/encode/pool.ts'
import { TileEncoder } from '../../../gateway/desktop/encode/tile-encoder.ts'
import { DesktopFrames } from '../../../gateway/desktop/frames.ts'
import { Screen } from '../../../gateway/desktop/screen/screen.ts'
import type { DesktopRecorderOptions } from '../../../recordings/recorder/api.ts'
import { openDesktopRecorder } from '../../../recordings/recorder/desktop-recorder.ts'
import { HEIGHT, HmiDay, WIDTH } from './hmi-day.ts'

export interface RecordedDay {
  /** Milliseconds since the start, of each change by its number. */
  times: number[]
  segments: number
  bytes: number
  tookMs: number
}

/** Nothing is asked of a clock that runs ahead of the disk: what waits is bounded by the queue alone. */
const NO_STALLS = { stallMs: Number.MAX_SAFE_INTEGER, stallFailureMs: Number.MAX_SAFE_INTEGER }

/**
 * Records a day of so many hours through the gateway's own frames and recorder, as fast as they go: each change is sampled
 * at its time, and the clock goes on when it has been taken.
 */
export async function recordDay(
  options: Omit<DesktopRecorderOptions, 'clock' | 'keyframe'>,
  hours: number,
): Promise<RecordedDay> {
  const began = performance.now()
  await mkdir(options.spool, { recursive: true })
  const pool = new EncodePool()
  const clock = manualClock(Date.now())
  const screen = new Screen(WIDTH, HEIGHT)
  const day = new HmiDay(screen)
  let failure: Error | null = null
  const frames = new DesktopFrames(screen, new TileEncoder(screen, pool), {
    name: 'Mixing station 3',
    failed: (error) => {
      failure = error
    },
  })
  try {
    const recorder = await openDesktopRecorder({
      ...options,
      clock,
      keyframe: () => frames.keyframe(),
      limits: NO_STALLS,
    })
    let drained = Promise.withResolvers<void>()
    let hasRoom = true
    recorder.onDrain(() => drained.resolve())
    frames.start((messages) => {
      hasRoom = recorder.frame(messages)
      return true
    })
    const times = [0]
    const end = hours * 3_600_000
    for (let timeMs = day.wait(); timeMs < end; timeMs += day.wait()) {
      clock.advance(timeMs - (times.at(-1) ?? 0))
      day.change(timeMs)
      times[day.number] = timeMs
      await frames.sample()
      if (failure) throw failure
      if (!hasRoom) {
        await drained.promise
        drained = Promise.withResolvers<void>()
      }
    }
    clock.advance(end - (times.at(-1) ?? 0))
    await turn()
    await frames.close()
    const { manifest, failure: lost } = await recorder.close({ reason: 'vendor-left' })
    if (lost) throw new Error(`the recording failed: ${lost.message}`)
    const screens = manifest.segments.filter(({ stream }) => stream === 'screen')
    return {
      times,
      segments: screens.length,
      bytes: screens.reduce((sum, { bytes }) => sum + bytes, 0),
      tookMs: performance.now() - began,
    }
  } finally {
    await pool.stop()
  }
}
