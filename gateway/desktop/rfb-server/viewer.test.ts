import { deflateSync, inflateSync } from 'node:zlib'
import { afterAll, expect, test, vi } from 'vitest'
import { EncodePool } from '../encode/pool.ts'
import { TileEncoder } from '../encode/tile-encoder.ts'
import { Screen } from '../screen/screen.ts'
import { pixels, random, shown } from '../testing/painting.ts'
import { NOVNC_ENCODINGS, say } from '../testing/rfb-client.ts'
import { type ReadMessage, type ReadRect, RfbReader } from '../testing/rfb-reader.ts'
import { RfbViewer, type RfbViewerOptions } from './viewer.ts'

const pool = new EncodePool(1)
afterAll(() => pool.stop())

const NO_CLIPBOARD = { in: false, out: false }
const within = { timeout: 5000, interval: 5 }
const REQUEST = 0x80000000

interface Settings extends Partial<RfbViewerOptions> {
  encodings?: number[]
  /** Fences are left unanswered. */
  isSilent?: boolean
}

/** A browser as a program: it greets, keeps what it reads, and answers fences. */
function connect(screen: Screen, encoder: TileEncoder, settings: Settings = {}) {
  const reader = new RfbReader()
  const messages: ReadMessage[] = []
  const inputs: unknown[][] = []
  const state = {
    queued: 0,
    closed: null as [number, string] | null,
    isSilent: settings.isSilent ?? false,
    bytes: 0,
  }
  let raw: Buffer[] = []
  let isGreeted = false
  const fences: Extract<ReadMessage, { type: 'fence' }>[] = []
  const read = (bytes: Buffer) => {
    for (const message of reader.read(bytes)) {
      messages.push(message)
      if (message.type !== 'fence' || message.flags < REQUEST) continue
      if (state.isSilent) fences.push(message)
      else queueMicrotask(() => viewer.bytes(say.fence(1, message.payload)))
    }
  }
  let rest = Buffer.alloc(0)
  const channel = {
    send(bytes: Uint8Array) {
      state.bytes += bytes.length
      if (!isGreeted) {
        raw.push(Buffer.from(bytes))
        return
      }
      // An update comes in pieces.
      rest = Buffer.concat([rest, bytes])
      try {
        read(rest)
        rest = Buffer.alloc(0)
      } catch (error) {
        if (!(error instanceof Error && error.message === 'a message is incomplete')) throw error
      }
    },
    get queued() {
      return state.queued
    },
    close(code: number, reason: string) {
      state.closed = [code, reason]
    },
  }
  const viewer: RfbViewer = new RfbViewer(
    channel,
    screen,
    encoder,
    { name: 'pump 7', viewOnly: false, clipboard: NO_CLIPBOARD, resizable: true, ...settings },
    {
      key: (...key) => inputs.push(['key', ...key]),
      pointer: (...pointer) => inputs.push(['pointer', ...pointer]),
      clipboard: (text) => inputs.push(['clipboard', text]),
      resize: (...size) => inputs.push(['resize', ...size]),
    },
  )
  viewer.bytes(say.version())
  viewer.bytes(say.security())
  viewer.bytes(say.init())
  expect(raw.slice(0, 3).map((bytes) => bytes.toString('hex'))).toEqual([
    Buffer.from('RFB 003.008\n').toString('hex'),
    '0101',
    '00000000',
  ])
  expect(reader.init(raw[3] ?? Buffer.alloc(0))).toMatchObject({ name: 'pump 7' })
  raw = []
  isGreeted = true
  viewer.bytes(say.pixelFormat())
  viewer.bytes(say.encodings(...(settings.encodings ?? NOVNC_ENCODINGS)))
  return {
    viewer,
    reader,
    messages,
    inputs,
    state,
    answer: () => {
      for (const { payload } of fences.splice(0)) viewer.bytes(say.fence(1, payload))
    },
    updates: () => messages.filter((message) => message.type === 'update'),
    rects: (): ReadRect[] => messages.flatMap((message) => (message.type === 'update' ? message.rects : [])),
    sees: () =>
      vi.waitFor(() => {
        expect([reader.width, reader.height]).toEqual([screen.grid.width, screen.grid.height])
        expect(Buffer.from(reader.picture).equals(shown(screen))).toBe(true)
      }, within),
  }
}

function screenOf(width: number, height: number, seed = 1, colours = 300) {
  const screen = new Screen(width, height)
  const whole = { x: 0, y: 0, width, height }
  screen.put(whole, pixels(whole, colours, random(seed)))
  screen.flush()
  return { screen, encoder: new TileEncoder(screen, pool) }
}

test('a browser that asks for each update gets one for each, when something has changed', async () => {
  const { screen, encoder } = screenOf(150, 70)
  const browser = connect(screen, encoder, { encodings: [7] })
  expect(browser.updates()).toEqual([])
  browser.viewer.bytes(say.updateRequest(false))
  await browser.sees()
  browser.viewer.bytes(say.updateRequest(true))
  screen.fill({ x: 70, y: 3, width: 1, height: 1 }, 0xabcdef)
  screen.flush()
  await browser.sees()
  expect(browser.updates()).toHaveLength(2)
  expect(browser.rects().at(-1)).toMatchObject({ x: 70, y: 3, width: 1, height: 1 })
  // Not asked: nothing more.
  screen.fill({ x: 0, y: 0, width: 20, height: 20 }, 0x111111)
  screen.flush()
  await new Promise((resolve) => setImmediate(resolve))
  expect(browser.updates()).toHaveLength(2)
  // Nothing has changed, and all is asked for.
  browser.viewer.bytes(say.updateRequest(true))
  await browser.sees()
  browser.viewer.bytes(say.updateRequest(false))
  await vi.waitFor(() => expect(browser.updates()).toHaveLength(4), within)
})

test('with continuous updates what changes comes by itself, at the pace of its answers', async () => {
  const { screen, encoder } = screenOf(640, 480)
  const browser = connect(screen, encoder)
  expect(browser.messages.some(({ type }) => type === 'end-of-continuous-updates')).toBe(true)
  browser.viewer.bytes(say.continuousUpdates(true))
  await browser.sees()
  browser.state.isSilent = true
  const before = browser.updates().length
  const bytesBefore = browser.state.bytes
  for (let round = 0; round < 20; round++) {
    screen.fill({ x: round * 20, y: round * 10, width: 100, height: 100 }, round * 999)
    screen.flush()
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await vi.waitFor(() => expect(browser.updates().length).toBeGreaterThan(before), within)
  expect(browser.updates().length).toBeLessThanOrEqual(before + 3)
  expect(browser.state.bytes - bytesBefore).toBeLessThan(1024 * 1024)
  browser.state.isSilent = false
  browser.answer()
  await browser.sees()
  browser.viewer.bytes(say.continuousUpdates(false))
  expect(browser.messages.filter(({ type }) => type === 'end-of-continuous-updates')).toHaveLength(2)
})

test('a full socket gets no update until it has room', async () => {
  const { screen, encoder } = screenOf(100, 100)
  const browser = connect(screen, encoder)
  browser.state.queued = 10 * 1024 * 1024
  browser.viewer.bytes(say.continuousUpdates(true))
  await new Promise((resolve) => setTimeout(resolve, 60))
  expect(browser.updates()).toEqual([])
  browser.state.queued = 0
  await browser.sees()
})

test('another size is told before its picture, in the way the browser knows', async () => {
  for (const encodings of [NOVNC_ENCODINGS, [7, -223]]) {
    const { screen, encoder } = screenOf(100, 100)
    const browser = connect(screen, encoder, { encodings })
    browser.viewer.bytes(say.updateRequest(false))
    await browser.sees()
    screen.resize(333, 65)
    screen.fill({ x: 300, y: 0, width: 33, height: 65 }, 0x00ff00)
    screen.flush()
    const ask = setInterval(() => browser.viewer.bytes(say.updateRequest(true)), 5)
    await browser.sees()
    clearInterval(ask)
    expect(browser.rects().some(({ encoding }) => encoding === (encodings.length > 2 ? -308 : -223))).toBe(
      true,
    )
  }
  const { screen, encoder } = screenOf(100, 100)
  const browser = connect(screen, encoder, { encodings: [7] })
  browser.viewer.bytes(say.updateRequest(false))
  await browser.sees()
  screen.resize(50, 50)
  screen.flush()
  browser.viewer.bytes(say.updateRequest(true))
  await vi.waitFor(() => expect(browser.state.closed?.[0]).toBe(4400), within)
})

test('the pointer has its colours in both encodings', async () => {
  const pointer = {
    width: 9,
    height: 2,
    hotX: 8,
    hotY: 1,
    pixels: pixels({ x: 0, y: 0, width: 9, height: 2 }, 9, random(4)),
  }
  pointer.pixels[3] = 0
  for (const encodings of [NOVNC_ENCODINGS, [7, -239]]) {
    const { screen, encoder } = screenOf(64, 64)
    screen.cursor(pointer)
    screen.flush()
    const browser = connect(screen, encoder, { encodings })
    browser.viewer.bytes(say.updateRequest(false))
    await vi.waitFor(
      () => expect(browser.reader.cursor).toEqual({ ...pointer, pixels: Buffer.from(pointer.pixels) }),
      within,
    )
  }
})

const INPUT = [
  say.key(true, 0x61),
  say.qemuKey(true, 0xffe3, 0x9d),
  say.pointer(1, 10, 20),
  say.extendedPointer(0x100, 9999, 20),
  say.cutText('a\r\nb'),
  say.desktopSize(800, 600),
]

test('what a person does arrives; pointers stay on the screen', async () => {
  const { screen, encoder } = screenOf(200, 100)
  const browser = connect(screen, encoder, { clipboard: { in: true, out: false } })
  browser.viewer.bytes(Buffer.concat(INPUT))
  expect(browser.inputs).toEqual([
    ['key', true, 0x61, null],
    ['key', true, 0xffe3, 0x9d],
    ['pointer', 10, 20, 1],
    ['pointer', 199, 20, 0x100],
    ['clipboard', 'a\nb'],
    ['resize', 800, 600],
  ])
  browser.viewer.bytes(say.updateRequest(false))
  await browser.sees()
  // The answer to the size: asked for on behalf of this browser, and forwarded.
  expect(browser.rects()).toContainEqual(expect.objectContaining({ encoding: -308, x: 1, y: 4 }))
})

test('of a viewer that only looks on nothing arrives, and it stays', async () => {
  const { screen, encoder } = screenOf(200, 100)
  const browser = connect(screen, encoder, { viewOnly: true, clipboard: { in: true, out: true } })
  browser.viewer.bytes(Buffer.concat(INPUT))
  browser.viewer.bytes(say.extendedCutText(0x10000001, provided('secret')))
  browser.viewer.bytes(say.updateRequest(false))
  await browser.sees()
  expect(browser.inputs).toEqual([])
  expect(browser.state.closed).toBeNull()
  expect(browser.rects()).toContainEqual(expect.objectContaining({ encoding: -308, x: 1, y: 1 }))
})

function provided(text: string): Buffer {
  const utf8 = Buffer.from(`${text}\0`)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(utf8.length)
  return deflateSync(Buffer.concat([length, utf8]))
}

test('the clipboard goes only where the policy lets it', () => {
  const { screen, encoder } = screenOf(64, 64)
  const texts = (policy: { in: boolean; out: boolean }) => {
    const browser = connect(screen, encoder, { clipboard: policy })
    browser.viewer.bytes(say.extendedCutText(0x08000001))
    browser.viewer.bytes(say.extendedCutText(0x10000001, provided('grüße\r\nvon drüben')))
    browser.viewer.clipboard('von der Anlage: 5 € …')
    browser.viewer.bytes(say.extendedCutText(0x02000001))
    const sent = browser.messages.flatMap((message) =>
      message.type === 'extended-cut-text' ? [message.flags >>> 24] : [],
    )
    const given = browser.messages.flatMap((message) =>
      message.type === 'extended-cut-text' && message.flags === 0x10000001
        ? [inflateSync(message.data).subarray(4).toString()]
        : [],
    )
    browser.viewer.close()
    return { sent, given, got: browser.inputs }
  }
  expect(texts({ in: false, out: false })).toEqual({ sent: [], given: [], got: [] })
  expect(texts({ in: true, out: false })).toEqual({
    sent: [0x19, 0x02],
    given: [],
    got: [['clipboard', 'grüße\nvon drüben']],
  })
  expect(texts({ in: false, out: true })).toEqual({
    sent: [0x07, 0x08, 0x10],
    given: ['von der Anlage: 5 € …\0'],
    got: [],
  })
})

test('a browser without the extended clipboard gets what Latin-1 can say', () => {
  const { screen, encoder } = screenOf(64, 64)
  const browser = connect(screen, encoder, { encodings: [7], clipboard: { in: false, out: true } })
  browser.viewer.clipboard('5 € für 😀')
  expect(browser.messages).toEqual([{ type: 'cut-text', latin1: '5 ? für ?' }])
})

test('a clipboard that swells is refused', () => {
  const { screen, encoder } = screenOf(64, 64)
  const browser = connect(screen, encoder, { clipboard: { in: true, out: false } })
  browser.viewer.bytes(say.extendedCutText(0x10000001, provided('x'.repeat(10_000_000))))
  expect(browser.state.closed?.[0]).toBe(4400)
  expect(browser.inputs).toEqual([])
})

test('small messages that swell to much text are refused, however many come', () => {
  const { screen, encoder } = screenOf(64, 64)
  const browser = connect(screen, encoder, { clipboard: { in: true, out: false } })
  const paste = say.extendedCutText(0x10000001, provided('x'.repeat(200_000)))
  browser.viewer.bytes(Buffer.concat(Array.from({ length: 100 }, () => paste)))
  expect(browser.state.closed?.[0]).toBe(4400)
  expect(browser.inputs.length).toBeGreaterThan(0)
  expect(browser.inputs.length).toBeLessThanOrEqual(6)
})

test("asking for the asset's text again brings the same bytes", () => {
  const { screen, encoder } = screenOf(64, 64)
  const browser = connect(screen, encoder, { clipboard: { in: false, out: true } })
  const given = () =>
    browser.messages.flatMap((message) =>
      message.type === 'extended-cut-text' && message.flags === 0x10000001
        ? [inflateSync(message.data).subarray(4).toString()]
        : [],
    )
  browser.viewer.clipboard('one')
  browser.viewer.bytes(say.extendedCutText(0x02000001))
  browser.viewer.bytes(say.extendedCutText(0x02000001))
  browser.viewer.clipboard('two')
  browser.viewer.bytes(say.extendedCutText(0x02000001))
  expect(given()).toEqual(['one\0', 'one\0', 'two\0'])
})

test('what is no RFB closes this viewer and no other', async () => {
  const { screen, encoder } = screenOf(64, 64)
  const other = connect(screen, encoder)
  other.viewer.bytes(say.continuousUpdates(true))
  const bad: Uint8Array[] = [
    Buffer.from([99]),
    say.fence(1, Buffer.from('none')),
    say.encodings(16),
    say.extendedCutText(0),
    say.pixelFormat({ at: 4, to: 8 }),
  ]
  for (const bytes of bad) {
    const browser = connect(screen, encoder)
    browser.viewer.bytes(bytes)
    expect(browser.state.closed?.[0]).toBe(4400)
    browser.viewer.bytes(say.key(true, 1))
    expect(browser.inputs).toEqual([])
  }
  screen.fill({ x: 0, y: 0, width: 9, height: 9 }, 0xff00ff)
  screen.flush()
  await other.sees()
  expect(other.state.closed).toBeNull()
})

test('a browser that asks for answers and reads none is closed', () => {
  const { screen, encoder } = screenOf(64, 64)
  const browser = connect(screen, encoder)
  browser.state.queued = 5 * 1024 * 1024
  browser.viewer.bytes(say.fence(REQUEST, Buffer.from('ping')))
  expect(browser.state.closed?.[0]).toBe(4400)
})

test('a viewer whose encoding threads are gone says so', async () => {
  const { screen } = screenOf(64, 64)
  const gone = new EncodePool(1)
  await gone.stop()
  const browser = connect(screen, new TileEncoder(screen, gone))
  browser.viewer.bytes(say.updateRequest(false))
  await vi.waitFor(() => expect(browser.state.closed?.[0]).toBe(4503), within)
})

test('a bell rings, and an asset may be called as it likes', () => {
  const { screen, encoder } = screenOf(64, 64)
  const browser = connect(screen, encoder)
  browser.viewer.bell()
  expect(browser.messages.at(-1)).toEqual({ type: 'bell' })
})

test('whatever is painted and however late the browser is, it ends with the screen', async () => {
  for (let seed = 0; seed < 12; seed++) {
    const next = random(seed)
    const { screen, encoder } = screenOf(1 + next(300), 1 + next(300), seed)
    const browser = connect(screen, encoder, { isSilent: next(2) === 0 })
    browser.viewer.bytes(say.continuousUpdates(true))
    for (let step = 0; step < 40; step++) {
      if (next(15) === 0) screen.resize(1 + next(300), 1 + next(300))
      const { width, height } = { width: 1 + next(20), height: 1 + next(20) }
      try {
        const rect = { x: next(300), y: next(300), width, height }
        if (next(3) === 0) screen.put(rect, pixels(rect, 1 + next(400), next))
        else if (next(2) === 0) screen.copy(rect, next(300), next(300))
        else screen.fill(rect, next(0x1000000))
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
      }
      if (next(3) === 0) screen.flush()
      if (next(5) === 0) await new Promise((resolve) => setTimeout(resolve, 1))
      if (next(9) === 0) browser.answer()
    }
    screen.flush()
    browser.state.isSilent = false
    browser.answer()
    await browser.sees()
    browser.viewer.close()
  }
})
