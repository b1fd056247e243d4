import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JWK } from 'jose'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Secret } from '../../broker/domain/secret.ts'
import { EncodePool } from '../../gateway/desktop/encode/pool.ts'
import { type Replay, startReplay } from '../../recordings/archive/replay.ts'
import { readRecords } from '../../recordings/format/rfb-record.ts'
import { desktopOptions, paintedDesktop } from './desktop-recorder-fixture.ts'
import { newKeys } from './recorder-fixture.ts'

let folder = ''
let replay: Replay
let recording = ''
let hash = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sallyport-desktop-'))
  const [spool, archive] = [join(folder, 'spool'), join(folder, 'archive')]
  for (const path of [spool, archive]) await mkdir(path)
  const keys = newKeys()
  const pool = new EncodePool(1)
  const one = await paintedDesktop(pool, { width: 200, height: 120 }, (keyframe) =>
    desktopOptions(keys, spool, keyframe),
  )
  one.paint(1)
  await one.frames.sample()
  one.recorder.marker('hold: Held by Jonas Vogel')
  const closed = await one.close()
  await pool.stop()
  recording = one.recorder.recording
  hash = closed.hash
  const place = (into: string, part: string) => join(archive, into, recording, part)
  // As evidence arrives: the streams and wraps, then the manifest.
  for (const [part, into] of [
    ['screen', 'objects'],
    ['input', 'objects'],
    ['keys', 'keys'],
  ] as const)
    await cp(join(spool, recording, part), place(into, part), { recursive: true })
  await writeFile(place('objects', 'manifest.jws'), closed.jws)
  replay = startReplay(archive, new Secret(keys.replay.private as JWK))
})
afterAll(async () => {
  await replay?.close()
  await rm(folder, { recursive: true, force: true })
})

test('a segment of a desktop is opened like any other, and said to be one', async () => {
  const opened = await replay.open(recording, 0, hash)
  if (!opened.ok) throw new Error(opened.code)
  expect(opened.media).toBe('rfb-v1')
  const records = readRecords(Buffer.from(opened.content))
  expect(records.ok && records.value.length).toBeGreaterThan(4)
  expect(await replay.open(recording, 1, hash)).toEqual({ ok: false, code: 'segment-not-in-manifest' })
})

test('its markers stand on the timeline, and it has no text to search', async () => {
  const marked = await replay.markers(recording, [0], hash)
  expect(marked).toEqual({
    ok: true,
    markers: [{ tMs: expect.any(Number), text: 'hold: Held by Jonas Vogel' }],
  })
  const ask = { afterMs: 0, limit: 10, search: null, manifest: hash }
  expect(await replay.text(recording, [0], ask)).toEqual({ ok: true, lines: [], next: null })
})

test('what was typed at it is not opened by the replay key', async () => {
  const scanned = await replay.scan(recording, 'input', 0)
  expect(scanned.ok && scanned.scan.header.media).toBe('rfb-v1')
  expect(
    await replay.rewrap(recording, 7, { kty: 'EC', crv: 'P-256', x: '', y: '', kid: 'x' }),
  ).toMatchObject({
    ok: false,
  })
})
