import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { JWK } from 'jose'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Secret } from '../../broker/domain/secret.ts'
import { type Replay, startReplay } from '../../recordings/archive/replay.ts'
import { jwsHash } from '../../recordings/format/jws.ts'
import { openRecorder } from '../../recordings/recorder/recorder.ts'
import { type Fixture, newGrant, recorderFixture } from '../recordings/recorder-fixture.ts'

/*
 * Threats 9 and 10: who can write the archive's disk holds the public keys that recordings are sealed to, and makes a
 * segment that is sound in itself, opens, and shows something else. Red without `named` in open-segment.ts, and
 * without the comparison with `taken` in reader-thread.ts.
 */

let fixture: Fixture
let folder: string
let replay: Replay
let recording: string
let hash: string
let otherManifest: Buffer
const at = (...parts: string[]) =>
  path.join(folder, parts[0] === 'keys' ? 'keys' : 'objects', recording, ...parts)

beforeAll(async () => {
  fixture = await recorderFixture()
  folder = await mkdtemp(path.join(tmpdir(), 'sallyport-archive-'))
  const forged = await mkdtemp(path.join(tmpdir(), 'sallyport-forged-'))
  const grant = newGrant(fixture.keys)
  recording = grant.recording
  const made = async (spool: string, text: string) => {
    const recorder = await openRecorder(fixture.options({ grant, spool }))
    recorder.output(new TextEncoder().encode(text))
    return (await recorder.close({ reason: 'vendor-left' })).jws
  }
  const manifest = await made(fixture.spool, 'rm -rf /plant\r\n')
  otherManifest = Buffer.from(await made(forged, 'nothing happened here\r\n'), 'ascii')
  hash = jwsHash(manifest)
  for (const part of ['screen', 'keys']) {
    await mkdir(at(part), { recursive: true })
    await cp(path.join(fixture.spool, recording, part), at(part), { recursive: true })
  }
  await writeFile(at('manifest.jws'), manifest)
  await mkdir(path.join(folder, 'forged'))
  await cp(path.join(forged, recording), path.join(folder, 'forged'), { recursive: true })
  await rm(forged, { recursive: true })
  replay = startReplay(folder, new Secret(fixture.keys.replay.private as JWK))
})
afterAll(async () => {
  await replay?.close()
  await rm(folder, { recursive: true, force: true })
  await fixture?.dispose()
})

const open = (manifest: string | null) => replay.open(recording, 0, manifest)

it('shows the segment that the manifest names, and none put in its place', async () => {
  const before = await open(hash)
  expect(before.ok && new TextDecoder().decode(before.content)).toContain('rm -rf /plant')
  expect(await replay.open(recording, 1, hash)).toEqual({ ok: false, code: 'segment-not-in-manifest' })

  await cp(path.join(folder, 'forged', 'screen', '0.spr'), at('screen', '0.spr'))
  await cp(path.join(folder, 'forged', 'keys', 'screen-0.jwe'), at('keys', 'screen-0.jwe'))
  const refused = { ok: false, code: 'segment-not-the-manifests' }
  expect(await open(hash)).toEqual(refused)
  // Also when the row was made to say that the recording is still arriving.
  expect(await open(null)).toEqual(refused)
  expect(await replay.markers(recording, [0], hash)).toEqual(refused)
  expect(await replay.text(recording, [0], { afterMs: 0, limit: 10, search: null, manifest: hash })).toEqual(
    refused,
  )
})

it('nor with a manifest put in its place, or taken away', async () => {
  const original = await readFile(at('manifest.jws'))
  await writeFile(at('manifest.jws'), otherManifest)
  expect(await open(hash)).toEqual({ ok: false, code: 'manifest-other' })
  await rm(at('manifest.jws'))
  expect(await open(hash)).toEqual({ ok: false, code: 'manifest-missing' })
  await writeFile(at('manifest.jws'), original)
})
