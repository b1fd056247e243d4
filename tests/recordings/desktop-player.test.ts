import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { manualClock } from '../../broker/domain/manual-clock.ts'
import { EncodePool } from '../../gateway/desktop/encode/pool.ts'
import { type LabBrowser, openChromium } from '../lab/chromium.ts'
import { until } from '../lab/until.ts'
import type { PlayerPage } from './desktop-player-page.ts'
import { desktopOptions, paintedDesktop, picture } from './desktop-recorder-fixture.ts'
import { newKeys, openChunks } from './recorder-fixture.ts'

declare global {
  interface Window {
    player: PlayerPage
  }
}

/** A recording as a gateway makes it, played by the player's own code and noVNC in a real Chromium. */
const pool = new EncodePool(1)
let spool = ''
let chromium: LabBrowser
let page: Page
const segments: Uint8Array[] = []
const index: { number: number; t0Ms: number; t1Ms: number }[] = []
/** What the screen was like from each of these times on. */
const source: { timeMs: number; picture: string }[] = []
let durationMs = 0
const server = createServer()

const POINTER = Uint8Array.from([255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255, 9, 8, 7, 255])

beforeAll(async () => {
  spool = await mkdtemp(join(tmpdir(), 'sallyport-desktop-'))
  const keys = newKeys()
  const clock = manualClock()
  const limits = { segmentBytes: 160 * 1024, stallMs: 1e9, stallFailureMs: 1e9 }
  const one = await paintedDesktop(pool, { width: 333, height: 217 }, (keyframe) => ({
    ...desktopOptions(keys, spool, keyframe),
    clock,
    limits,
  }))
  const { screen } = one
  screen.cursor({ width: 2, height: 2, hotX: 1, hotY: 0, pixels: POINTER })
  const note = () => {
    const { width, height } = screen.grid
    const digest = createHash('sha256').update(picture(screen)).digest('hex')
    source.push({ timeMs: durationMs, picture: `${width}x${height} ${digest}` })
  }
  for (let frame = 0; frame < 40; frame++) {
    clock.advance(frame === 20 ? 60_000 : 500)
    durationMs += frame === 20 ? 60_000 : 500
    if (frame === 12) screen.resize(401, 190)
    if (frame === 30) screen.resize(640, 480)
    screen.flush()
    one.paint(frame)
    await one.frames.sample()
    note()
    // What is asked for is answered before time goes on.
    await one.frames.keyframe()
  }
  const { manifest } = await one.close()
  for (const { stream, number } of manifest.segments) {
    if (stream !== 'screen') continue
    const asked = {
      spool,
      recording: one.recorder.recording,
      stream,
      segment: number,
      key: keys.replay.private,
    }
    const { plain, frames } = await openChunks(asked)
    segments[number] = Buffer.concat(plain)
    index.push({ number, t0Ms: frames[0]?.t0Ms ?? 0, t1Ms: frames.at(-1)?.t1Ms ?? 0 })
  }
  const bundle = await build({
    entryPoints: [join(import.meta.dirname, 'desktop-player-page.ts')],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2023',
    logLevel: 'warning',
  })
  const script = bundle.outputFiles[0]?.text ?? ''
  server.on('request', (request, response) => {
    const [, number] = /^\/segments\/(\d+)$/.exec(request.url ?? '') ?? []
    if (number !== undefined) {
      response.setHeader('content-type', 'application/octet-stream')
      response.end(segments[Number(number)])
      return
    }
    const isScript = request.url === '/page.js'
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
    response.end(
      isScript
        ? script
        : '<!doctype html><meta charset="utf-8"><div id="desktop"></div><script type="module" src="/page.js"></script>',
    )
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  chromium = await openChromium({ hosts: [], ca: null, viewport: { width: 1200, height: 800 } })
  page = await chromium.context.newPage()
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  await page.waitForFunction(() => 'player' in window)
  await page.evaluate((one) => window.player.start(one), { durationMs, segments: index })
})

afterAll(async () => {
  await chromium?.close()
  server.close()
  await pool.stop()
  await rm(spool, { recursive: true, force: true })
})

const at = (timeMs: number) => source.findLast((one) => one.timeMs <= timeMs)?.picture

test('after a seek to any time the canvas has the pixels that the source had', async () => {
  expect(index.length).toBeGreaterThan(3)
  // There and back, inside segments and over them, over changes of size.
  for (const place of [0, 39, 5, 6, 4, 11, 12, 13, 30, 29, 25, 24, 38, 1]) {
    const timeMs = (source[place]?.timeMs ?? 0) + 200
    expect(await page.evaluate((time) => window.player.seek(time), timeMs)).toBe(true)
    expect(await page.evaluate(() => window.player.shows()), `frame ${place}`).toBe(at(timeMs))
  }
  expect(await page.evaluate(() => window.player.error())).toBe('')
})

test('the pointer has the colours that it had', async () => {
  await page.evaluate((time) => window.player.seek(time), durationMs)
  expect(await page.evaluate(() => window.player.pointer())).toEqual([...POINTER])
})

test('a step shows the next change and the one before', async () => {
  const from = source[16]?.timeMs ?? 0
  await page.evaluate((time) => window.player.seek(time), from)
  await page.evaluate(() => window.player.step(1))
  expect(await page.evaluate(() => window.player.shows())).toBe(source[17]?.picture)
  await page.evaluate(() => window.player.step(-1))
  expect(await page.evaluate(() => window.player.shows())).toBe(source[16]?.picture)
})

test('played at sixteen times without the idle minute it ends on the last picture', async () => {
  await page.evaluate(() => window.player.seek(0))
  const started = performance.now()
  await page.evaluate(() => window.player.play(16))
  await until(() => page.evaluate(() => window.player.hasEnded()), 'the end')
  // 80 s of recording, of which one minute is still: 5 s at this speed, and about 1.3 without that minute.
  expect(performance.now() - started).toBeLessThan(4_500)
  expect(await page.evaluate(() => window.player.shows())).toBe(source.at(-1)?.picture)
})
