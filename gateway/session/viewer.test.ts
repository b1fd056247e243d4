import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { TerminalDown } from '../../broker/contract/terminal.ts'
import type { Keyframe } from '../../recordings/screen-model/port.ts'
import type { Browser } from './browser.ts'
import { Viewer } from './viewer.ts'

/** Numbers the asset's bytes so that a gap or a repetition is seen. */
const stream = (from: number, length: number) =>
  Uint8Array.from({ length }, (_, index) => (from + index) % 251)

function fake() {
  const sent: number[] = []
  const told: TerminalDown[] = []
  const browser = {
    queued: 0,
    send: (bytes: Uint8Array) => sent.push(...bytes),
    tell: (message: TerminalDown) => told.push(message),
    close() {},
    destroy() {},
    pause() {},
    resume() {},
    listen() {},
  }
  return { browser: browser as Browser & { queued: number }, sent, told }
}

const RIS = [0x1b, 0x63]
const SCREEN = [0x53]

it('goes on exactly where the screen ends, wherever the model could cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(500),
      fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 12 }),
      fc.nat(1000),
      async (before, chunks, cut) => {
        const { browser, sent } = fake()
        const answer = Promise.withResolvers<Keyframe>()
        const viewer = new Viewer(browser, () => answer.promise)
        const repainted = viewer.repaint(before, () => ({ cols: 80, rows: 24 }))
        let at = before
        for (const length of chunks) {
          viewer.show(stream(at, length), at)
          at += length
        }
        // The model answers for the place that was asked for, or the first one after it that it has been given.
        const position = before + (cut % (at - before + 1))
        answer.resolve({ position, cols: 80, rows: 24, bytes: Uint8Array.from(SCREEN) })
        await repainted
        viewer.show(stream(at, 5), at)
        expect(sent).toEqual([...RIS, ...SCREEN, ...stream(position, at + 5 - position)])
      },
    ),
  )
})

it('a watcher that is behind gets nothing until it has room, then the screen', async () => {
  const { browser, sent, told } = fake()
  const viewer = new Viewer(browser, async () => ({
    position: 3_000_000,
    cols: 80,
    rows: 24,
    bytes: Uint8Array.from(SCREEN),
  }))
  browser.queued = 2_000_000
  viewer.showIfInStep(stream(0, 10), 0)
  viewer.showIfInStep(stream(10, 10), 10)
  expect(sent).toEqual([])
  expect(viewer.wantsScreen).toBe(false)
  browser.queued = 0
  expect(viewer.wantsScreen).toBe(true)
  await viewer.repaint(3_000_000, () => ({ cols: 100, rows: 30 }))
  expect(sent).toEqual([...RIS, ...SCREEN])
  // Resized while the screen was on its way.
  expect(told.map((message) => message.type)).toEqual(['screen', 'resize'])
})
