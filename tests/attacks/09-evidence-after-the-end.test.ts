import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { manifestKey } from '../../recordings/archive/evidence-store.ts'
import { openFolderStore } from '../../recordings/archive/folder-store.ts'
import type { ArchivePorts } from '../../recordings/archive/ports.ts'
import type { Replay } from '../../recordings/archive/replay.ts'
import { evidenceSink } from '../../recordings/archive/sink.ts'

/*
 * Threat 9: a gateway that was taken over holds the public keys that recordings are sealed to, so it can make segments
 * that open. It must not add one to a recording that is finished. Red without `finished()` in recordings/archive/sink.ts.
 */

const RECORDING = '0192f7a0-0000-7000-8000-000000000001'
const GATEWAY = '0192f7a0-0000-7000-8000-000000000002'
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'sallyport-sink-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

it('a finished recording takes no further segment or key; the same bytes again are still the same', async () => {
  const store = await openFolderStore(folder, 0)
  const session = { session: 's', recording: RECORDING, gateway: GATEWAY }
  const ports = {
    db: { sql: Object.assign(async () => [], { json: (value: unknown) => value }) },
    sessionOfRecording: async () => session,
    now: () => Date.now(),
  } as unknown as ArchivePorts
  const replay = { scan: async () => ({ ok: false, code: 'not-looked-at' }) } as unknown as Replay
  const sink = evidenceSink(store, replay, ports)
  const put = (name: string, text: string) => {
    const bytes = Buffer.from(text)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    const body = Readable.from([bytes])
    return sink.put({ gatewayId: GATEWAY, path: `${RECORDING}/${name}`, sha256, length: bytes.length, body })
  }
  expect(await put('screen/0.spr', 'first')).toBe('stored')
  expect(await put('keys/screen-0.jwe', 'key')).toBe('stored')
  const manifest = Buffer.from('manifest')
  const hash = createHash('sha256').update(manifest).digest('hex')
  await store.put(manifestKey(RECORDING), hash, manifest.length, Readable.from([manifest]))
  expect(await put('screen/1.spr', 'made up afterwards')).toBe('conflict')
  expect(await put('keys/screen-1.jwe', 'its key')).toBe('conflict')
  expect(await put('screen/0.spr', 'first')).toBe('same')
  expect(await put('screen/0.spr', 'other')).toBe('conflict')
})
