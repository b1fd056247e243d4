import { expect, test } from 'vitest'
import { random } from '../testing/painting.ts'
import { NOVNC_ENCODINGS, say } from '../testing/rfb-client.ts'
import {
  CLIENT_TEXT_LIMIT,
  type ClientMessage,
  ClientMessages,
  ClientProtocolError,
} from './client-messages.ts'

const GREETING = [say.version(), say.security(), say.init()]
const CONVERSATION = [
  ...GREETING,
  say.pixelFormat(),
  say.encodings(...NOVNC_ENCODINGS),
  say.updateRequest(false),
  say.key(true, 0xff0d),
  say.qemuKey(false, 0x61, 0x9d),
  say.pointer(0x81, 300, 5),
  say.extendedPointer(0x101, 1919, 1079),
  say.cutText('grüße'),
  say.extendedCutText(0x08000001),
  say.continuousUpdates(true),
  say.fence(1, Buffer.from('abcd')),
  say.desktopSize(1280, 720),
  say.updateRequest(true),
]

function parsed(chunks: Iterable<Uint8Array>): ClientMessage[] {
  const messages: ClientMessage[] = []
  const parser = new ClientMessages()
  for (const chunk of chunks)
    parser.push(chunk, (message) => {
      messages.push(message)
      // The plain pointer message with bit 7 comes first; the extended one after the offer.
      if (message.type === 'pointer') parser.hasExtendedMouseButtons = true
    })
  return messages
}

test('every message is read as it was said', () => {
  const messages = parsed(CONVERSATION)
  expect(messages.map(({ type }) => type)).toEqual([
    'version',
    'security',
    'init',
    'pixel-format',
    'encodings',
    'update-request',
    'key',
    'key',
    'pointer',
    'pointer',
    'cut-text',
    'extended-cut-text',
    'continuous-updates',
    'fence',
    'desktop-size',
    'update-request',
  ])
  expect(messages.slice(5, 10)).toEqual([
    { type: 'update-request', incremental: false },
    { type: 'key', down: true, keysym: 0xff0d, scancode: null },
    { type: 'key', down: false, keysym: 0x61, scancode: 0x9d },
    { type: 'pointer', x: 300, y: 5, buttons: 0x81 },
    { type: 'pointer', x: 1919, y: 1079, buttons: 0x101 },
  ])
  expect(messages[14]).toEqual({ type: 'desktop-size', width: 1280, height: 720 })
})

test('however the bytes are split, the messages are the same', () => {
  const bytes = Buffer.concat(CONVERSATION)
  const whole = parsed([bytes])
  for (let at = 1; at < bytes.length; at++)
    expect(parsed([bytes.subarray(0, at), bytes.subarray(at)]), `split at ${at}`).toEqual(whole)
  expect(parsed(Array.from(bytes, (byte) => Buffer.from([byte])))).toEqual(whole)
})

test('what was not offered or is too long is refused before it is waited for', () => {
  const long = (limit: number) => {
    const head = Buffer.from([6, 0, 0, 0, 0, 0, 0, 0])
    head.writeInt32BE(limit, 4)
    return head
  }
  const refused: [string, Uint8Array[]][] = [
    ['another version', [Buffer.from('RFB 003.003\n')]],
    ['a web request', [Buffer.from('GET / HTTP/1.1\r\n')]],
    ['another security type', [say.version(), Buffer.from([2])]],
    ['16 bits', [...GREETING, say.pixelFormat({ at: 4, to: 16 })]],
    ['big-endian', [...GREETING, say.pixelFormat({ at: 6, to: 1 })]],
    ['blue lowest', [...GREETING, say.pixelFormat({ at: 14, to: 16 })]],
    ['xvp', [...GREETING, Buffer.from([250, 0, 1, 2])]],
    ['QEMU audio', [...GREETING, Buffer.from([255, 1, 0, 0])]],
    ['a scancode above a byte', [...GREETING, say.qemuKey(true, 1, 0x100)]],
    ['257 encodings', [...GREETING, Buffer.from([2, 0, 1, 1])]],
    ['17 screens', [...GREETING, Buffer.from([251, 0, 1, 0, 1, 0, 17, 0])]],
    ['a fence of 65', [...GREETING, Buffer.from([248, 0, 0, 0, 0, 0, 0, 0, 65])]],
    ['much text', [...GREETING, long(CLIENT_TEXT_LIMIT + 1)]],
    ['much extended text', [...GREETING, long(-CLIENT_TEXT_LIMIT - 1)]],
    ['the least number', [...GREETING, long(-0x80000000)]],
  ]
  for (const [what, chunks] of refused) expect(() => parsed(chunks), what).toThrow(ClientProtocolError)
})

/** FUZZ_SECONDS makes it go on for longer, with seeds of the same row. */
test('whatever comes, it is messages or a refusal', () => {
  const until = performance.now() + Number(process.env.FUZZ_SECONDS ?? 0) * 1000
  for (let seed = 0; seed < 2000 || performance.now() < until; seed++) {
    const next = random(seed)
    const bytes = Buffer.concat([
      ...GREETING,
      ...Array.from({ length: next(20) }, () => CONVERSATION[3 + next(13)] ?? Buffer.alloc(0)),
    ])
    for (let change = next(6); change > 0; change--)
      bytes[(next(4) === 0 ? 0 : 14) + next(bytes.length - 14)] = next(256)
    const chunks: Buffer[] = []
    for (let at = 0; at < bytes.length; ) {
      const length = 1 + next(40)
      chunks.push(bytes.subarray(at, at + length))
      at += length
    }
    let one: unknown
    let other: unknown
    for (const [split, keep] of [
      [
        chunks,
        (result: unknown) => {
          one = result
        },
      ],
      [
        [bytes],
        (result: unknown) => {
          other = result
        },
      ],
    ] as const)
      try {
        keep(parsed(split))
      } catch (error) {
        if (!(error instanceof ClientProtocolError)) throw new Error(`seed ${seed}`, { cause: error })
        keep(error.message)
      }
    expect(one, `seed ${seed}`).toEqual(other)
  }
})
