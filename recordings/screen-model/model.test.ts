import { MessageChannel } from 'node:worker_threads'
import { afterEach, expect, test, vi } from 'vitest'
import { ScreenModel } from './model.ts'
import { type ScreenModelPort, screenModelOver } from './port.ts'
import { Screen } from './screen.ts'

let port: ScreenModelPort | null = null
afterEach(() => {
  port?.close()
  vi.restoreAllMocks()
})

function connected(): ScreenModelPort {
  const { port1, port2 } = new MessageChannel()
  new ScreenModel().serve(port1)
  port = screenModelOver(port2)
  return port
}

const fill = (bytes: number) => new Uint8Array(bytes).fill(0x61)

test('a flood does not delay another session', async () => {
  const model = connected()
  const flood = model.create(80, 24)
  const quiet = model.create(80, 24)
  for (let count = 0; count < 32; count++) flood.feed(fill(64 * 1024))
  quiet.feed(fill(10))
  expect((await quiet.keyframe()).position).toBe(10)
  expect(flood.lag).toBeGreaterThan(1024 * 1024)
  expect((await flood.keyframe()).position).toBe(32 * 64 * 1024)
  expect(model.outstanding).toBe(0)
  flood.dispose()
  quiet.dispose()
})

test('resizes without end do not delay another session', async () => {
  const model = connected()
  const busy = model.create(80, 24)
  const quiet = model.create(80, 24)
  const resize = vi.spyOn(Screen.prototype, 'resize')
  for (let count = 0; count < 100; count++) busy.resize(count % 2 ? 200 : 2, count % 2 ? 100 : 1)
  quiet.feed(fill(10))
  await quiet.keyframe()
  expect(resize.mock.calls.length).toBeLessThan(30)
  expect((await busy.keyframe()).cols).toBe(200)
  expect(resize).toHaveBeenCalledTimes(100)
})

test('a failure of the emulator costs one session its screen', async () => {
  const model = connected()
  const bad = model.create(80, 24)
  const good = model.create(80, 24)
  const { feed } = Screen.prototype
  vi.spyOn(Screen.prototype, 'feed').mockImplementation(function (this: Screen, bytes: Uint8Array) {
    if (bytes[0] === 0x21) throw new Error('hostile')
    feed.call(this, bytes)
  })
  let fault = ''
  bad.onFault((message) => {
    fault = message
  })
  good.feed(fill(5))
  bad.feed(Uint8Array.from([0x21, 0x21]))
  bad.feed(fill(3))
  const [after, other] = await Promise.all([bad.keyframe(), good.keyframe()])
  expect(fault).toBe('hostile')
  expect(after.position).toBe(5)
  expect(new TextDecoder().decode(after.bytes)).toContain('aaa')
  expect(other.position).toBe(5)
})
