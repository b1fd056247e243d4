import type { Screen } from '../../../gateway/desktop/screen/screen.ts'
import { random } from '../../../gateway/desktop/testing/painting.ts'
import { Painter } from '../../demo/hmi/painter.ts'
import { COLOUR, Picture } from '../../demo/hmi/picture.ts'
import { MixingStation } from '../../demo/hmi/process.ts'
import { CODE, codeColours } from './code.ts'

/** The painter's colours have red highest, the screen's red lowest. */
const inScreen = (colour: number) => ((colour & 0xff) << 16) | (colour & 0xff00) | (colour >> 16)

export const WIDTH = 1024
export const HEIGHT = 768

const PAGES = 6
const MINUTE = 60_000
/** Values that change by themselves, below the page. */
const VALUES = Array.from({ length: 8 }, (_, place) => ({
  x: 340 + (place % 4) * 168,
  y: 660 + Math.floor(place / 4) * 48,
}))
const VALUE = { width: 140, height: 32 }
const TREND = { x: 16, y: 690, width: 300, height: 64 }

/**
 * A working day at an operator panel, seen from its screen: values that change every 100 to 500 ms, a trend and a clock
 * every second, another page now and then, the pointer's shape; in between nobody works and nothing moves for minutes.
 * The same day each time. The number of the change stands in the picture, in black and white squares.
 */
export class HmiDay {
  readonly #screen: Screen
  readonly #next = random(20)
  readonly #pages: Uint8Array[]
  readonly #value = new Painter(VALUE.width, VALUE.height)
  readonly #values: number[] = VALUES.map(() => 500)
  #level = 30
  #page = 0
  #number = 0
  #timeMs = 0
  #second = -1
  #pageUntilMs = 0
  #worksUntilMs = 0

  constructor(screen: Screen) {
    this.#screen = screen
    this.#pages = pages()
    screen.fill({ x: 0, y: 640, width: WIDTH, height: HEIGHT - 640 }, inScreen(COLOUR.panel))
    this.#draw()
  }

  /** Number of the change that is shown. */
  get number(): number {
    return this.#number
  }

  /** Milliseconds until the next change. */
  wait(): number {
    const next = this.#next
    if (this.#timeMs < this.#worksUntilMs) return 100 + next(400)
    // Five to twenty minutes of work, then two to twelve of nothing.
    const pause = this.#timeMs === 0 ? 0 : (2 + next(10)) * MINUTE
    this.#worksUntilMs = this.#timeMs + pause + (5 + next(15)) * MINUTE
    return pause + 100 + next(400)
  }

  /** The next change, at its time. */
  change(timeMs: number): void {
    this.#timeMs = timeMs
    this.#number += 1
    this.#draw()
  }

  #draw(): void {
    const next = this.#next
    if (this.#timeMs >= this.#pageUntilMs) {
      this.#pageUntilMs = this.#timeMs + 10_000 + next(60_000)
      this.#page = (this.#page + 1 + next(PAGES - 1)) % PAGES
      this.#screen.put(
        { x: 0, y: 0, width: WIDTH, height: 640 },
        this.#pages[this.#page] ?? new Uint8Array(0),
      )
      this.#pointer()
    }
    for (let count = 1 + next(3); count > 0; count--) this.#change(next(VALUES.length))
    const second = Math.floor(this.#timeMs / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#trend()
      this.#text(new Date(this.#timeMs).toISOString().slice(11, 19), { x: 872, y: 6 }, COLOUR.title)
    }
    for (const [place, colour] of codeColours(this.#number).entries())
      this.#screen.fill({ ...CODE, x: CODE.x + place * CODE.width }, colour)
    this.#screen.flush()
  }

  #change(place: number): void {
    const value = Math.max(0, (this.#values[place] ?? 0) + this.#next(41) - 20)
    this.#values[place] = value
    const at = VALUES[place]
    if (at) this.#text((value / 10).toFixed(1), at, COLOUR.steel)
  }

  #text(text: string, at: { x: number; y: number }, back: number): void {
    this.#value.panel(0, 0, VALUE.width, VALUE.height, 0, back)
    const ink = back === COLOUR.title ? COLOUR.titleText : COLOUR.value
    this.#value.text(text, VALUE.width - 8, 8, 16, ink, { align: 'right' })
    this.#screen.put({ ...at, ...VALUE }, this.#value.pixels)
  }

  /** One pixel to the left, and the newest at the right. */
  #trend(): void {
    const { x, y, width, height } = TREND
    this.#level = Math.min(height - 3, Math.max(2, this.#level + this.#next(7) - 3))
    this.#screen.copy({ x, y, width: width - 1, height }, x + 1, y)
    this.#screen.fill({ x: x + width - 1, y, width: 1, height }, inScreen(COLOUR.plot))
    this.#screen.fill({ x: x + width - 1, y: y + this.#level, width: 1, height: 2 }, inScreen(COLOUR.value))
  }

  #pointer(): void {
    const side = 8 + this.#next(8)
    const pixels = new Uint8Array(side * side * 4).fill(255)
    this.#screen.cursor({ width: side, height: side, hotX: 0, hotY: 0, pixels })
  }
}

/** The demo's panel, at different moments of its process. */
function pages(): Uint8Array[] {
  let now = Date.UTC(2026, 0, 12, 6)
  const station = new MixingStation(() => now)
  const picture = new Picture('Europe/Vienna')
  return Array.from({ length: PAGES }, (_, page) => {
    station.switchPump(page % 2 === 0)
    for (let second = 0; second < 50; second++) {
      now += 1000
      station.advance()
    }
    return picture.draw(station.state, now, null).slice()
  })
}
