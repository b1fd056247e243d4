import { MessageChannel } from 'node:worker_threads'
import { afterEach, expect, test } from 'vitest'
import { BLOCK_BYTES } from '../screen-model/messages.ts'
import { ScreenModel } from '../screen-model/model.ts'
import { type ScreenModelPort, screenModelOver } from '../screen-model/port.ts'
import { ModelFeed } from './model-feed.ts'

let port: ScreenModelPort | null = null
afterEach(() => port?.close())

function fed() {
  const { port1, port2 } = new MessageChannel()
  new ScreenModel().serve(port1)
  port = screenModelOver(port2)
  const handle = port.create(80, 24)
  return { handle, feed: new ModelFeed(handle) }
}

const bytes = (text: string) => new TextEncoder().encode(text)

test('a little waits until a keyframe needs it', async () => {
  const { handle, feed } = fed()
  feed.feed(bytes('ab'))
  feed.feed(bytes('cd'))
  expect([handle.position, feed.lag]).toEqual([0, 4])
  const keyframe = await feed.keyframe()
  expect(keyframe.position).toBe(4)
  expect(new TextDecoder().decode(keyframe.bytes)).toContain('abcd')
})

test('what ends a sequence goes to a keyframe that waits for it, however little', async () => {
  const { feed } = fed()
  feed.feed(bytes('ab\x1b[3'))
  const keyframe = feed.keyframe()
  feed.feed(bytes('1mx'))
  expect((await keyframe).position).toBe(7)
})

test('keeps the order over pieces, growing blocks and whole ones', async () => {
  const { feed } = fed()
  let total = 0
  for (const length of [1, 100, 4095, 4096, 4097, 50_000, BLOCK_BYTES, 3 * BLOCK_BYTES + 1, 7]) {
    feed.feed(bytes(`${length},`.repeat(length).slice(0, length)))
    total += length
  }
  feed.feed(bytes('\x1b[2J\x1b[Hend'))
  const keyframe = await feed.keyframe()
  expect(keyframe.position).toBe(total + 10)
  expect(new TextDecoder().decode(keyframe.bytes)).toContain('end')
})
