import { expect, test } from 'vitest'
import type { Rect } from '../canvas.ts'
import { MAX_PIXELS } from '../limits.ts'
import { pixels, random, shown } from '../testing/painting.ts'
import { TILE } from './grid.ts'
import { Screen } from './screen.ts'

const RED = 0x0000ff
const BLUE = 0xff0000

function watched(screen: Screen) {
  let damaged = 0
  const consumer = screen.consumer({ onDamage: () => damaged++ })
  consumer.take()
  return { consumer, damaged: () => damaged }
}

test('a screen begins black, and all of it is new to whoever comes', () => {
  const screen = new Screen(130, 70)
  const taken = screen.consumer({ onDamage() {} }).take()
  expect(taken.tiles).toEqual([0, 1, 2, 3, 4, 5])
  expect(taken.isResized).toBe(true)
  expect(taken.pointer).toBeNull()
  expect(Buffer.from(shown(screen)).equals(Buffer.alloc(130 * 70 * 4, '000000ff', 'hex'))).toBe(true)
})

test('nothing is seen before flush', () => {
  const screen = new Screen(64, 64)
  const { consumer, damaged } = watched(screen)
  screen.fill({ x: 0, y: 0, width: 5, height: 5 }, RED)
  expect(damaged()).toBe(0)
  expect(consumer.take().tiles).toEqual([])
  expect(shown(screen)[0]).toBe(0)
  screen.flush()
  expect(damaged()).toBe(1)
  expect(consumer.take().tiles).toEqual([0])
  expect([...shown(screen).subarray(0, 4)]).toEqual([255, 0, 0, 255])
})

test('only tiles that got other pixels are damage', () => {
  const screen = new Screen(3 * TILE, 2 * TILE)
  const { consumer, damaged } = watched(screen)
  screen.fill({ x: 0, y: 0, width: 3 * TILE, height: 2 * TILE }, 0)
  screen.flush()
  expect(damaged()).toBe(0)
  screen.fill({ x: TILE - 1, y: TILE - 1, width: 2, height: 2 }, RED)
  screen.flush()
  expect(consumer.take().tiles).toEqual([0, 1, 3, 4])
  screen.put({ x: 3 * TILE - 1, y: 2 * TILE - 1, width: 1, height: 1 }, Uint8Array.of(9, 8, 7, 255))
  screen.fill({ x: 0, y: 0, width: 10, height: 10 }, 0)
  screen.flush()
  expect(consumer.take().tiles).toEqual([5])
})

test('each consumer has its own damage, and what comes twice is taken once', () => {
  const screen = new Screen(2 * TILE, TILE)
  const quick = watched(screen).consumer
  const slow = watched(screen).consumer
  screen.fill({ x: 0, y: 0, width: 1, height: 1 }, RED)
  screen.flush()
  expect(quick.take().tiles).toEqual([0])
  screen.fill({ x: 0, y: 0, width: 1, height: 1 }, BLUE)
  screen.fill({ x: TILE, y: 0, width: 1, height: 1 }, BLUE)
  screen.flush()
  expect(quick.take().tiles).toEqual([0, 1])
  expect(quick.isBehind).toBe(false)
  expect(slow.isBehind).toBe(true)
  expect(slow.take().tiles).toEqual([0, 1])
  slow.forget()
  expect(slow.take().tiles).toEqual([0, 1])
})

test('tiles that never rest keep no others from being taken', () => {
  const screen = new Screen(4 * TILE, TILE)
  const { consumer } = watched(screen)
  const seen = new Set<number>()
  for (let round = 0; round < 4; round++) {
    for (let tile = 0; tile < 4; tile++) screen.fill({ x: tile * TILE, y: 0, width: 1, height: 1 }, round + 1)
    screen.flush()
    for (const tile of consumer.take(1).tiles) seen.add(tile)
  }
  expect([...seen].sort()).toEqual([0, 1, 2, 3])
})

test('copy moves what stands there, overlapping in any direction', () => {
  const next = random(7)
  const size = { width: 90, height: 80 }
  for (const [dx, dy] of [
    [3, 0],
    [-3, 0],
    [0, 2],
    [0, -2],
    [5, 5],
    [-4, 6],
    [4, -6],
  ] as const) {
    const screen = new Screen(size.width, size.height)
    const picture = pixels({ x: 0, y: 0, ...size }, 500, next)
    screen.put({ x: 0, y: 0, ...size }, picture)
    screen.copy({ x: 20 + dx, y: 20 + dy, width: 40, height: 30 }, 20, 20)
    screen.flush()
    const expected = picture.slice()
    for (let row = 0; row < 30; row++) {
      const from = ((20 + row) * size.width + 20) * 4
      expected.set(picture.subarray(from, from + 160), ((20 + dy + row) * size.width + 20 + dx) * 4)
    }
    expect(Buffer.from(shown(screen)).equals(expected), `${dx},${dy}`).toBe(true)
  }
})

test('another size keeps what both have, and everything is new', () => {
  const screen = new Screen(100, 100)
  const { consumer } = watched(screen)
  screen.fill({ x: 0, y: 0, width: 100, height: 100 }, RED)
  screen.flush()
  consumer.take()
  screen.resize(130, 50)
  expect(screen.grid.width).toBe(100)
  screen.fill({ x: 120, y: 0, width: 10, height: 10 }, BLUE)
  screen.flush()
  const taken = consumer.take()
  expect(taken.isResized).toBe(true)
  expect(taken.tiles).toEqual([0, 1, 2])
  const at = (x: number, y: number) => [...shown(screen).subarray((y * 130 + x) * 4, (y * 130 + x) * 4 + 3)]
  expect([at(99, 49), at(100, 0), at(125, 5)]).toEqual([
    [255, 0, 0],
    [0, 0, 0],
    [0, 0, 255],
  ])
})

test('the pointer is told when its picture is another one', () => {
  const screen = new Screen(10, 10)
  const { consumer, damaged } = watched(screen)
  const arrow = { width: 1, height: 1, hotX: 0, hotY: 0, pixels: Uint8Array.of(1, 2, 3, 255) }
  screen.cursor(arrow)
  screen.flush()
  screen.cursor(arrow)
  screen.flush()
  expect(damaged()).toBe(1)
  expect(consumer.take().pointer).toEqual(arrow)
  expect(consumer.take().pointer).toBeNull()
  screen.cursor({ width: 0, height: 5, hotX: 0, hotY: 0, pixels: new Uint8Array(0) })
  screen.flush()
  expect(consumer.take().pointer?.width).toBe(0)
})

test('what is outside, or larger than any screen may be, is refused and changes nothing', () => {
  for (const [width, height] of [
    [0, 1],
    [8193, 1],
    [8192, MAX_PIXELS / 8192 + 1],
    [1.5, 2],
    [Number.NaN, 2],
  ] as const)
    expect(() => new Screen(width, height)).toThrow(RangeError)
  expect(new Screen(8192, MAX_PIXELS / 8192).grid.count).toBe(4096)
  const screen = new Screen(10, 10)
  const { damaged } = watched(screen)
  const refused: (() => void)[] = [
    () => screen.fill({ x: 5, y: 0, width: 6, height: 1 }, 0),
    () => screen.fill({ x: -1, y: 0, width: 1, height: 1 }, 0),
    () => screen.put({ x: 0, y: 0, width: 2, height: 2 }, new Uint8Array(15)),
    () => screen.copy({ x: 0, y: 0, width: 5, height: 5 }, 6, 0),
    () => screen.resize(1, 9000),
    () => screen.cursor({ width: 2, height: 2, hotX: 2, hotY: 0, pixels: new Uint8Array(16) }),
    () => screen.cursor({ width: 385, height: 1, hotX: 0, hotY: 0, pixels: new Uint8Array(385 * 4) }),
  ]
  for (const run of refused) expect(run).toThrow(RangeError)
  screen.flush()
  expect(damaged()).toBe(0)
})

/** What somebody shows who takes and draws; what is left over by a `limit` comes with the next ones. */
class Looker {
  readonly screen: Screen
  readonly consumer
  picture = new Uint8Array(0)
  width = 0
  painted = 0
  copied = 0
  copiedPixels = 0

  constructor(screen: Screen, takesCopies: boolean) {
    this.screen = screen
    this.consumer = screen.consumer({ onDamage() {} })
    this.consumer.takesCopies = takesCopies
  }

  take(limit: number): void {
    const { grid } = this.screen
    const isOther = this.consumer.isOtherSize
    const { copies, areas } = this.consumer.take(limit)
    if (isOther) this.picture = new Uint8Array(grid.width * grid.height * 4)
    this.width = grid.width
    const now = shown(this.screen)
    for (const { fromX, fromY, ...rect } of copies) {
      this.copied += 1
      this.copiedPixels += rect.width * rect.height
      this.#draw(rect, this.picture.slice(), fromX, fromY)
    }
    for (const area of areas) {
      this.painted += area.width * area.height
      this.#draw(area, now, area.x, area.y)
    }
  }

  #draw(rect: Rect, from: Uint8Array, fromX: number, fromY: number): void {
    for (let row = 0; row < rect.height; row++) {
      const at = ((fromY + row) * this.width + fromX) * 4
      this.picture.set(from.subarray(at, at + rect.width * 4), ((rect.y + row) * this.width + rect.x) * 4)
    }
  }
}

test('whatever is painted and copied, and however much is taken at once, lookers come to the screen', () => {
  let copied = 0
  for (let seed = 1; seed <= 30; seed++) {
    const next = random(seed)
    const screen = new Screen(200 + next(150), 150 + next(150))
    const lookers = [new Looker(screen, true), new Looker(screen, true), new Looker(screen, false)]
    for (let step = 0; step < 60; step++) {
      for (let count = next(4); count > 0; count--) {
        const { width, height } = screen.grid
        const area = {
          x: next(width - 140),
          y: next(height - 120),
          width: 1 + next(140),
          height: 1 + next(120),
        }
        const kind = next(4)
        if (kind < 2) screen.copy(area, next(width - 140), next(height - 120))
        else if (kind === 2) screen.fill(area, next(0xffffff))
        else screen.put(area, pixels(area, 1 + next(4), next))
      }
      // Many copies at once are not told one by one.
      if (next(20) === 0)
        for (let count = 0; count < 30; count++)
          screen.copy({ x: next(60), y: next(30), width: 100, height: 70 }, next(60), next(30))
      if (next(25) === 0) screen.resize(200 + next(150), 150 + next(150))
      screen.flush()
      for (const looker of lookers) if (next(3) === 0) looker.take(next(2) === 0 ? 1 + next(9) : 1000)
    }
    for (const looker of lookers) {
      looker.take(1000)
      expect(Buffer.from(looker.picture).equals(shown(screen)), `seed ${seed}`).toBe(true)
      expect(looker.consumer.isBehind).toBe(false)
    }
    copied += lookers[0]?.copied ?? 0
    expect(lookers[2]?.copied).toBe(0)
  }
  expect(copied).toBeGreaterThan(300)
})

test('a text that scrolls is a copy and the new line', () => {
  const screen = new Screen(512, 512)
  const next = random(11)
  const all = { x: 0, y: 0, width: 512, height: 512 }
  screen.put(all, pixels(all, 2, next))
  screen.flush()
  const looker = new Looker(screen, true)
  looker.take(1000)
  looker.painted = 0
  for (let line = 0; line < 20; line++) {
    screen.copy({ x: 0, y: 0, width: 512, height: 499 }, 0, 13)
    const last = { x: 0, y: 499, width: 512, height: 13 }
    screen.put(last, pixels(last, 2, next))
    screen.flush()
    // Two lines at once, as a slower looker gets them.
    if (line % 2 === 1) looker.take(1000)
  }
  expect(Buffer.from(looker.picture).equals(shown(screen))).toBe(true)
  expect(looker.copied).toBe(20)
  expect(looker.painted).toBeLessThanOrEqual(10 * 512 * 26)
})

test('however much is copied before a flush, no more than one screen is copied by it', () => {
  const screen = new Screen(300, 200)
  const next = random(5)
  const whole = { x: 0, y: 0, width: 300, height: 200 }
  for (const heights of [[199, 199], [100, 60, 100, 30], new Array<number>(16).fill(199)]) {
    screen.put(whole, pixels(whole, 500, next))
    screen.flush()
    const looker = new Looker(screen, true)
    looker.take(1000)
    for (const height of heights) screen.copy({ ...whole, y: 1, height }, 0, 0)
    screen.flush()
    looker.painted = 0
    // What consumers are told of is what was done; what was too much is painted.
    looker.take(1000)
    expect(looker.copiedPixels).toBeGreaterThan(0)
    expect(looker.copiedPixels).toBeLessThanOrEqual(300 * 200)
    expect(looker.painted).toBeGreaterThan(0)
    expect(Buffer.from(looker.picture).equals(shown(screen))).toBe(true)
  }
})

test('a consumer that has left is told nothing', () => {
  const screen = new Screen(10, 10)
  const { consumer, damaged } = watched(screen)
  consumer.close()
  screen.fill({ x: 0, y: 0, width: 1, height: 1 }, RED)
  screen.flush()
  expect(damaged()).toBe(0)
})
