import type { Page } from 'playwright-core'
import { CODE, CODE_BITS } from './code.ts'

/** What a seek came to. */
export interface Seek {
  /** From the press on the timeline to the sought picture on the canvas. */
  ms: number
  wantedMs: number
  number: number
}

declare global {
  interface Window {
    /** Watches the seek that is made next. */
    watchNextSeek(): void
    watched: Promise<Seek>
  }
}

/**
 * Puts a watcher into the player's page: from the press on the timeline it looks at every frame of the page whether the
 * canvas shows the change that was on the screen at the sought time.
 */
export async function watchSeeks(page: Page, times: readonly number[], durationMs: number): Promise<void> {
  await page.evaluate(
    ({ times, durationMs, code, bits }) => {
      const numberAt = (timeMs: number) => {
        let [low, high] = [0, times.length]
        while (high - low > 1) {
          const middle = (low + high) >> 1
          if ((times[middle] ?? 0) <= timeMs) low = middle
          else high = middle
        }
        return low
      }
      const shown = () => {
        const canvas = document.querySelector<HTMLCanvasElement>('.stage canvas')
        const row = canvas
          ?.getContext('2d')
          ?.getImageData(code.x, code.y + (code.height >> 1), code.width * bits, 1).data
        let number = 0
        for (let bit = 0; bit < bits; bit++)
          number = number * 2 + ((row?.[(bit * code.width + (code.width >> 1)) * 4] ?? 0) > 127 ? 1 : 0)
        return number
      }
      window.watchNextSeek = () => {
        window.watched = new Promise((done, fail) => {
          window.addEventListener(
            'pointerdown',
            (event) => {
              const began = performance.now()
              const track = document.querySelector('[role="slider"].timeline-track')?.getBoundingClientRect()
              if (!track) throw new Error('there is no timeline')
              const wantedMs =
                Math.min(1, Math.max(0, (event.clientX - track.left) / track.width)) * durationMs
              const number = numberAt(wantedMs)
              const look = () => {
                const ms = performance.now() - began
                if (shown() === number) done({ ms, wantedMs, number })
                else if (ms > 30_000) fail(new Error(`change ${number} was never shown, but ${shown()}`))
                else requestAnimationFrame(look)
              }
              requestAnimationFrame(look)
            },
            { capture: true, once: true },
          )
        })
      }
    },
    { times: [...times], durationMs, code: CODE, bits: CODE_BITS },
  )
}
