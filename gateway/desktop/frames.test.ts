import { afterAll, expect, test, vi } from 'vitest'
import type { DesktopKeyframe } from '../../recordings/recorder/api.ts'
import { EncodePool } from './encode/pool.ts'
import { TileEncoder } from './encode/tile-encoder.ts'
import { DesktopFrames, MESSAGE_LIMIT } from './frames.ts'
import { Screen } from './screen/screen.ts'
import { pixels, random, shown } from './testing/painting.ts'
import { RfbReader } from './testing/rfb-reader.ts'

const pool = new EncodePool(1)
afterAll(() => pool.stop())
const within = { timeout: 5000, interval: 5 }

type Entry = { keyframe: DesktopKeyframe } | { frame: Uint8Array[] }

/** A recorder: what it gets stands in `entries` in the order in which it got it. */
function recorded(width: number, height: number, name = 'pump 7') {
  const screen = new Screen(width, height)
  const entries: Entry[] = []
  const failures: Error[] = []
  const state = { hasRoom: true }
  const one = new DesktopFrames(screen, new TileEncoder(screen, pool), {
    name,
    failed: (error) => failures.push(error),
  })
  const give = (messages: readonly Uint8Array[]) => {
    entries.push({ frame: [...messages] })
    return state.hasRoom
  }
  // As a recorder asks: through a few promises of its own.
  const keyframe = async () => {
    const asked = async () => await one.keyframe()
    const answer = await (async () => await asked())()
    entries.push({ keyframe: answer })
    return answer
  }
  const frames = () => entries.flatMap((entry) => ('frame' in entry ? [entry.frame] : []))
  return { screen, entries, failures, state, one, give, keyframe, frames }
}

/** What a reader sees who begins at a keyframe and reads on. */
function played(entries: readonly Entry[]): RfbReader {
  const reader = new RfbReader()
  const read = (message: Uint8Array) => expect(reader.read(message)).toHaveLength(1)
  for (const entry of entries)
    if ('frame' in entry) entry.frame.forEach(read)
    else if (reader.width === 0) {
      const [init, ...pictures] = entry.keyframe.messages
      reader.init(init ?? new Uint8Array(0))
      pictures.forEach(read)
      expect([reader.width, reader.height]).toEqual([entry.keyframe.width, entry.keyframe.height])
    }
  return reader
}

test('a keyframe is ServerInit, the pointer and the whole screen, in messages that fit a chunk', async () => {
  const { screen, entries, one, keyframe } = recorded(700, 500)
  const whole = { x: 0, y: 0, width: 700, height: 500 }
  screen.put(whole, pixels(whole, 100_000, random(1)))
  screen.cursor({ width: 2, height: 1, hotX: 1, hotY: 0, pixels: Uint8Array.of(1, 2, 3, 255, 4, 5, 6, 0) })
  screen.flush()
  const { width, height, messages } = await keyframe()
  expect([width, height]).toEqual([700, 500])
  expect(Math.max(...messages.map(({ length }) => length))).toBeLessThanOrEqual(MESSAGE_LIMIT)
  const reader = played(entries)
  expect(Buffer.from(reader.picture).equals(shown(screen))).toBe(true)
  expect(reader.cursor).toMatchObject({ width: 2, height: 1, hotX: 1, hotY: 0 })
  await one.close()
})

test("a desktop's name is cut to whole characters that a recording takes", async () => {
  const { one, keyframe } = recorded(8, 8, `${'x'.repeat(999)}ü`)
  const { messages } = await keyframe()
  expect(new RfbReader().init(messages[0] ?? new Uint8Array(0))).toMatchObject({ name: 'x'.repeat(999) })
  await one.close()
})

test('from any keyframe on, what is read is the screen as it was then, through new sizes too', async () => {
  const next = random(2)
  const { screen, entries, one, give, keyframe } = recorded(200, 150)
  await keyframe()
  one.start(give)
  const asked: Promise<unknown>[] = []
  for (let step = 0; step < 60; step++) {
    if (step % 20 === 10) screen.resize(100 + next(200), 100 + next(200))
    const rect = { x: next(70), y: next(70), width: 1 + next(30), height: 1 + next(30) }
    screen.put(rect, pixels(rect, 1 + next(300), next))
    if (step % 7 === 0)
      screen.cursor({ width: 1, height: 1, hotX: 0, hotY: 0, pixels: Uint8Array.of(step, 0, 0, 255) })
    screen.flush()
    // Asked for together, and painted in between: the order in which they come must be right.
    if (step % 5 === 0) asked.push(one.sample())
    if (step % 15 === 3) asked.push(keyframe())
    if (step % 4 === 0) await new Promise((resolve) => setTimeout(resolve, next(5)))
  }
  await Promise.all(asked)
  await one.sample()
  const starts = entries.flatMap((entry, at) => ('keyframe' in entry ? [at] : []))
  expect(starts).toHaveLength(5)
  for (const start of starts) {
    const reader = played(entries.slice(start))
    expect(Buffer.from(reader.picture).equals(shown(screen)), `from ${start}`).toBe(true)
    // What a reader of the frames before it has come to is the keyframe, pixel for pixel.
    const before = played(entries.slice(0, start + 1))
    const keyframe = played(entries.slice(start, start + 1))
    expect([before.width, before.height]).toEqual([keyframe.width, keyframe.height])
    expect(Buffer.from(before.picture).equals(keyframe.picture), `at ${start}`).toBe(true)
    expect(before.cursor?.pixels ?? Buffer.alloc(0)).toEqual(keyframe.cursor?.pixels)
  }
  await one.close()
})

test('no frame is given before its recorder has the keyframe and has begun', async () => {
  const { screen, entries, one, give, keyframe, frames } = recorded(64, 64)
  screen.fill({ x: 0, y: 0, width: 4, height: 4 }, 5)
  screen.flush()
  await one.sample()
  await keyframe()
  screen.fill({ x: 0, y: 0, width: 4, height: 4 }, 6)
  screen.flush()
  await new Promise((resolve) => setTimeout(resolve, 150))
  await one.sample()
  expect(entries).toHaveLength(1)
  one.start(give)
  await vi.waitFor(() => expect(frames()).toHaveLength(1), within)
  expect(Buffer.from(played(entries).picture).equals(shown(screen))).toBe(true)
  await one.close()
})

test('nothing comes between a keyframe and whoever has asked for it', async () => {
  const { screen, entries, one, give, keyframe } = recorded(64, 64)
  await keyframe()
  one.start(give)
  const paint = (colour: number) => {
    screen.fill({ x: 0, y: 0, width: 4, height: 4 }, colour)
    screen.flush()
  }
  paint(1)
  const asked = keyframe()
  // Once it has looked at the screen, and while it is being encoded.
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve))
  paint(2)
  await Promise.all([one.sample(), asked])
  const kinds = entries.map((entry) => ('frame' in entry ? 'frame' : 'keyframe'))
  expect(kinds).toEqual(['keyframe', 'frame', 'keyframe', 'frame'])
  for (const start of [0, 2])
    expect(Buffer.from(played(entries.slice(start)).picture).equals(shown(screen))).toBe(true)
  await one.close()
})

/** Answers nothing while it is held, and at once what has been encoded meanwhile. */
class HeldEncoder extends TileEncoder {
  held = Promise.resolve()

  /** Encodes without being held. */
  async ready(tiles: readonly number[]): Promise<void> {
    await super.encode(tiles)
  }

  override async encode(tiles: readonly number[]) {
    const encoded = await super.encode(tiles)
    await this.held
    return encoded
  }
}

test('a frame whose tiles are encoded already waits until the keyframe has its place', async () => {
  const screen = new Screen(64, 64)
  const encoder = new HeldEncoder(screen, pool)
  const order: string[] = []
  const one = new DesktopFrames(screen, encoder, { name: '', failed: () => {} })
  await one.keyframe()
  one.start(() => {
    order.push('frame')
    return true
  })
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve))
  const go = Promise.withResolvers<void>()
  encoder.held = go.promise
  const through = async (depth: number): Promise<unknown> =>
    depth === 0 ? await one.keyframe() : await through(depth - 1)
  const placed = through(50).then(() => order.push('keyframe'))
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve))
  screen.fill({ x: 0, y: 0, width: 4, height: 4 }, 1)
  screen.flush()
  await encoder.ready([0])
  const sampled = one.sample()
  go.resolve()
  await Promise.all([placed, sampled])
  expect(order).toEqual(['keyframe', 'frame'])
  await one.close()
})

test('what changes is sampled at the interval and the last state is never missed', async () => {
  const { screen, entries, one, give, keyframe, frames } = recorded(64, 64)
  await keyframe()
  one.start(give)
  const began = performance.now()
  for (let step = 1; performance.now() - began < 350; step++) {
    screen.fill({ x: 0, y: 0, width: 64, height: 64 }, step)
    screen.flush()
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await vi.waitFor(() => {
    expect(Buffer.from(played(entries).picture).equals(shown(screen))).toBe(true)
  }, within)
  expect(frames().length).toBeLessThanOrEqual(Math.ceil((performance.now() - began) / 100) + 1)
  expect(frames().length).toBeGreaterThanOrEqual(2)
  await one.close()
  const count = entries.length
  screen.fill({ x: 0, y: 0, width: 1, height: 1 }, 77)
  screen.flush()
  await one.sample()
  expect(entries).toHaveLength(count)
  await expect(one.keyframe()).rejects.toThrow('closed')
})

test('a recorder without room gets no sample until it has some, and a keyframe all the same', async () => {
  const { screen, entries, state, one, give, keyframe, frames } = recorded(64, 64)
  await keyframe()
  one.start(give)
  state.hasRoom = false
  const paint = (colour: number) => {
    screen.fill({ x: 0, y: 0, width: 4, height: 4 }, colour)
    screen.flush()
  }
  paint(1)
  await vi.waitFor(() => expect(frames()).toHaveLength(1), within)
  for (let step = 2; step < 8; step++) {
    paint(step)
    await new Promise((resolve) => setTimeout(resolve, 40))
  }
  expect(frames()).toHaveLength(1)
  // With what belongs before it.
  await keyframe()
  expect(frames()).toHaveLength(2)
  paint(9)
  await new Promise((resolve) => setTimeout(resolve, 150))
  expect(frames()).toHaveLength(2)
  state.hasRoom = true
  one.resume()
  await vi.waitFor(() => expect(frames()).toHaveLength(3), within)
  for (const start of [0, 3])
    expect(Buffer.from(played(entries.slice(start)).picture).equals(shown(screen))).toBe(true)
  await one.close()
})

test('the last sample is given before the end even to a recorder without room', async () => {
  const { screen, entries, state, one, give, keyframe, frames } = recorded(64, 64)
  await keyframe()
  one.start(give)
  state.hasRoom = false
  for (const colour of [1, 2]) {
    screen.fill({ x: 0, y: 0, width: 4, height: 4 }, colour)
    screen.flush()
    await one.sample()
  }
  await one.close()
  expect(frames()).toHaveLength(2)
  expect(Buffer.from(played(entries).picture).equals(shown(screen))).toBe(true)
})

test('a recorder that refuses ends the frames, which is told once', async () => {
  const { screen, failures, one, keyframe } = recorded(64, 64)
  await keyframe()
  one.start(() => {
    throw new Error('the disk is gone')
  })
  screen.fill({ x: 0, y: 0, width: 4, height: 4 }, 1)
  screen.flush()
  await one.sample()
  await one.sample()
  expect(failures.map(({ message }) => message)).toEqual(['the disk is gone'])
  await expect(one.keyframe()).rejects.toThrow('the disk is gone')
})

test('a screen that cannot be encoded any more is told, once', async () => {
  const gone = new EncodePool(1)
  await gone.stop()
  const screen = new Screen(64, 64)
  const failures: Error[] = []
  const one = new DesktopFrames(screen, new TileEncoder(screen, gone), {
    name: '',
    failed: (error) => failures.push(error),
  })
  await expect(one.keyframe()).rejects.toThrow('stopped')
  await expect(one.keyframe()).rejects.toThrow('stopped')
  expect(failures).toHaveLength(1)
})
