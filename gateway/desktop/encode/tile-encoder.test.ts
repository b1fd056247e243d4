import { afterAll, expect, test } from 'vitest'
import { TILE } from '../screen/grid.ts'
import { Screen } from '../screen/screen.ts'
import { pixels, random, shown } from '../testing/painting.ts'
import { RfbReader } from '../testing/rfb-reader.ts'
import { EncodePool } from './pool.ts'
import { framebufferUpdate, framebufferUpdates, rectsOf } from './rects.ts'
import { encodeRect } from './tight.ts'
import { TileEncoder } from './tile-encoder.ts'

const pool = new EncodePool()
afterAll(() => pool.stop())

function reader(width: number, height: number): RfbReader {
  const one = new RfbReader()
  one.width = width
  one.height = height
  one.picture = new Uint8Array(width * height * 4)
  return one
}

test('every size and number of colours is read as it was, each rectangle for itself', () => {
  const next = random(1)
  const forms = new Set<string | null>()
  for (const [width, height] of [
    [1, 1],
    [2, 1],
    [1, 3],
    [3, 1],
    [2, 2],
    [7, 3],
    [8, 8],
    [9, 5],
    [63, 64],
    [64, 64],
    [64, 1],
    [1, 64],
  ] as const)
    for (const colours of [1, 2, 3, 16, 17, 255, 256, 257, 4000]) {
      const rect = { x: 0, y: 0, width, height }
      const bytes = pixels(rect, colours, next)
      const { body } = encodeRect(new Int32Array(bytes.buffer), width, height)
      const read = reader(width, height)
      const [message] = read.read(framebufferUpdate([{ ...rect, encoding: 7, body }]))
      expect(Buffer.from(read.picture).equals(bytes), `${width}x${height}, ${colours}`).toBe(true)
      if (message?.type === 'update') forms.add(message.rects[0]?.form ?? null)
    }
  expect([...forms].sort()).toEqual(['copy', 'fill', 'indexed', 'mono'])
})

test('plain neighbours are one fill', async () => {
  const screen = new Screen(5 * TILE + 10, 3 * TILE + 7)
  screen.fill({ x: 2 * TILE, y: TILE, width: 1, height: 1 }, 0xffffff)
  screen.flush()
  const tiles = await new TileEncoder(screen, pool).encode([...screen.versions.keys()])
  const rects = rectsOf(tiles)
  expect(rects.length).toBeLessThanOrEqual(6)
  const read = reader(screen.grid.width, screen.grid.height)
  read.read(framebufferUpdate(rects))
  expect(Buffer.from(read.picture).equals(shown(screen))).toBe(true)
  const area = rects.reduce((sum, { width, height }) => sum + width * height, 0)
  expect(area).toBe(screen.grid.width * screen.grid.height)
})

test('a version is encoded once for all, and shows the moment it was asked for', async () => {
  const next = random(3)
  const screen = new Screen(200, 130)
  const whole = { x: 0, y: 0, width: 200, height: 130 }
  screen.put(whole, pixels(whole, 1000, next))
  screen.flush()
  let jobs = 0
  const counting = Object.assign(Object.create(pool) as EncodePool, {
    block: () => pool.block(),
    encode: (...job: Parameters<EncodePool['encode']>) => {
      jobs += 1
      return pool.encode(...job)
    },
  })
  const encoder = new TileEncoder(screen, counting)
  const all = [...screen.versions.keys()]
  const before = shown(screen)
  const first = encoder.encode(all)
  const second = encoder.encode(all)
  // Painted over while the first is on its way.
  screen.fill(whole, 0x123456)
  screen.flush()
  const [one, two] = [await first, await second]
  expect(jobs).toBe(1)
  expect(one.every((tile, place) => tile === two[place])).toBe(true)
  const read = reader(200, 130)
  read.read(framebufferUpdate(rectsOf(one)))
  expect(Buffer.from(read.picture).equals(before)).toBe(true)
  read.read(framebufferUpdate(rectsOf(await encoder.encode(all))))
  expect(Buffer.from(read.picture).equals(shown(screen))).toBe(true)
  expect(jobs).toBe(2)
  await encoder.encode(all)
  expect(jobs).toBe(2)
})

test('messages are cut to the limit', async () => {
  const screen = new Screen(512, 512)
  const whole = { x: 0, y: 0, width: 512, height: 512 }
  screen.put(whole, pixels(whole, 100_000, random(5)))
  screen.flush()
  const tiles = await new TileEncoder(screen, pool).encode([...screen.versions.keys()])
  const messages = framebufferUpdates(rectsOf(tiles), 60 * 1024)
  expect(messages.length).toBeGreaterThan(5)
  expect(Math.max(...messages.map(({ length }) => length))).toBeLessThanOrEqual(60 * 1024)
  const read = reader(512, 512)
  for (const message of messages) read.read(message)
  expect(Buffer.from(read.picture).equals(shown(screen))).toBe(true)
})

test('a job that ends its thread is tried again, then told; others go on', async () => {
  const own = new EncodePool(1)
  // Sizes that say more than the block holds.
  await expect(own.encode(new SharedArrayBuffer(16), Uint8Array.of(64, 64))).rejects.toThrow('end with this')
  const screen = new Screen(64, 64)
  expect(await new TileEncoder(screen, own).encode([0])).toHaveLength(1)
  await own.stop()
  await expect(new TileEncoder(screen, own).encode([0])).rejects.toThrow('stopped')
})
