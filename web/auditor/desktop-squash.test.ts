import { expect, it } from 'vitest'
import { rectsOf } from './desktop-segment.ts'
import { squash } from './desktop-squash.ts'

type Bytes = Uint8Array<ArrayBuffer>

/** Numbers from a seed (Lehmer). */
function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state * 48271) % 0x7fffffff
    return state % below
  }
}

function update(...rects: { head: number[]; encoding: number; body: number[] }[]): Bytes {
  const bytes: number[] = [0, 0, rects.length >> 8, rects.length & 255]
  for (const { head, encoding, body } of rects) {
    for (const value of head) bytes.push(value >> 8, value & 255)
    bytes.push(encoding >>> 24, (encoding >> 16) & 255, (encoding >> 8) & 255, encoding & 255, ...body)
  }
  return Uint8Array.from(bytes)
}
const fill = (head: number[], colour: number) => ({
  head,
  encoding: 7,
  body: [0x8f, colour, colour >> 1, 255 - colour],
})
const copy = (head: number[], x: number, y: number) => ({
  head,
  encoding: 1,
  body: [x >> 8, x & 255, y >> 8, y & 255],
})
const size = (width: number, height: number) => ({ head: [0, 0, width, height], encoding: -223, body: [] })
const pointer = (colour: number) => ({
  head: [0, 0, 1, 1],
  encoding: -239,
  body: [colour, 0, 0, 255, 0x80],
})

/** What a client of these messages shows. */
function drawn(init: Bytes, messages: readonly Bytes[]) {
  let width = (init[0] ?? 0) * 256 + (init[1] ?? 0)
  let height = (init[2] ?? 0) * 256 + (init[3] ?? 0)
  let pixels = new Int32Array(width * height)
  let shape = -1
  for (const rect of messages.flatMap((message) => rectsOf(message))) {
    const body = rect.bytes.subarray(12)
    if (rect.encoding === -239) shape = body[0] ?? 0
    else if (rect.encoding === -223) {
      const next = new Int32Array(rect.width * rect.height)
      for (let y = 0; y < Math.min(height, rect.height); y++)
        for (let x = 0; x < Math.min(width, rect.width); x++)
          next[y * rect.width + x] = pixels[y * width + x] ?? 0
      pixels = next
      width = rect.width
      height = rect.height
    } else {
      const before = pixels.slice()
      const [fromX, fromY] = [(body[0] ?? 0) * 256 + (body[1] ?? 0), (body[2] ?? 0) * 256 + (body[3] ?? 0)]
      for (let y = 0; y < rect.height; y++)
        for (let x = 0; x < rect.width; x++)
          pixels[(rect.y + y) * width + rect.x + x] =
            rect.encoding === 1 ? (before[(fromY + y) * width + fromX + x] ?? 0) : (body[1] ?? 0) + 1
    }
  }
  return { width, height, pixels: pixels.join(), shape }
}

function initOf(width: number, height: number): Bytes {
  return Uint8Array.from([width >> 8, width & 255, height >> 8, height & 255])
}

it('leads to the same picture and pointer, over copies and changes of size', () => {
  for (let seed = 1; seed <= 24; seed++) {
    const next = random(seed * 7919)
    let [width, height] = [70 + next(80), 70 + next(80)]
    const init = initOf(width, height)
    const messages = [update(fill([0, 0, width, height], 1))]
    for (let step = 0; step < 60; step++) {
      const area = () => [next(width - 20), next(height - 20), 1 + next(20), 1 + next(20)]
      const kind = next(12)
      if (kind === 0 && seed % 3 === 0) {
        ;[width, height] = [70 + next(80), 70 + next(80)]
        messages.push(update(size(width, height)), update(fill([0, 0, width, height], next(250))))
      } else if (kind < 3) messages.push(update(copy(area(), next(width - 20), next(height - 20))))
      else if (kind === 3) messages.push(update(pointer(next(250))))
      else messages.push(update(fill(area(), next(250)), fill(area(), next(250))))
    }
    expect(drawn(init, squash(init, messages)), `seed ${seed}`).toEqual(drawn(init, messages))
  }
})

it('is as long as the picture is large, however many changes there were', () => {
  const init = initOf(256, 128)
  const messages = [update(fill([0, 0, 256, 128], 1))]
  for (let change = 0; change < 2000; change++)
    messages.push(update(fill([64, 64, 30, 20], change % 250), pointer(change % 250)))
  const squashed = squash(init, messages)
  expect(squashed).toHaveLength(1)
  expect(rectsOf(squashed[0] ?? new Uint8Array()).length).toBe(3)
})
