import { expect, test } from 'vitest'
import { RfbChannel } from './rfb-channel.ts'

const bytes = (...values: number[]) => Uint8Array.from(values).buffer

function channel() {
  const sent: number[][] = []
  const one = new RfbChannel((said) => sent.push([...said]))
  const heard: number[][] = []
  const listen = () => {
    one.onmessage = ({ data }) => heard.push([...new Uint8Array(data)])
  }
  return { sent, one, heard, listen }
}

test('it has what noVNC looks for, on itself or its class', () => {
  const { one } = channel()
  const names = [...Object.keys(one), ...Object.getOwnPropertyNames(Object.getPrototypeOf(one))]
  for (const name of [
    'send',
    'close',
    'binaryType',
    'onerror',
    'onmessage',
    'onopen',
    'protocol',
    'readyState',
  ])
    expect(names).toContain(name)
})

test('what came before noVNC listened is handed over first, in order', async () => {
  const { one, heard, listen } = channel()
  one.receive(bytes(1))
  one.receive(bytes(2))
  listen()
  one.receive(bytes(3))
  expect(heard).toEqual([])
  await Promise.resolve()
  one.receive(bytes(4))
  expect(heard).toEqual([[1], [2], [3], [4]])
})

test('after its end nothing passes either way, and noVNC is told once', async () => {
  const { one, heard, listen, sent } = channel()
  listen()
  const closes: number[] = []
  one.onclose = ({ code }) => closes.push(code)
  one.send(Uint8Array.of(7))
  one.close()
  expect(closes).toEqual([])
  await Promise.resolve()
  one.receive(bytes(1))
  one.send(Uint8Array.of(1))
  one.end()
  expect([closes, heard, sent, one.readyState]).toEqual([[1000], [], [[7]], 3])
})
