import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { manualClock } from '../../broker/domain/manual-clock.ts'
import { EvidenceUpload } from '../../broker/link/evidence-upload.ts'
import { openFolderStore } from '../../recordings/archive/folder-store.ts'
import type { ArchivePorts } from '../../recordings/archive/ports.ts'
import type { Replay } from '../../recordings/archive/replay.ts'
import { evidenceSink } from '../../recordings/archive/sink.ts'

/*
 * A segment is replayed and searched by its row. One that could not be looked at for load, or whose upload ended between
 * the bytes and the row, gets it when it is sent again. Red when `put` returns `same` before the scan.
 */

const RECORDING = '0192f7a0-0000-7000-8000-000000000011'
const GATEWAY = '0192f7a0-0000-7000-8000-000000000012'
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'sallyport-listed-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

it.each(['replay-busy', 'replay-lost'])('a scan that ended as %s is made again', async (code) => {
  const store = await openFolderStore(path.join(folder, code), 0)
  const listed = new Set<unknown>()
  const sql = Object.assign(
    async (text: TemplateStringsArray, ...values: unknown[]) => {
      if (text.join('').includes('INSERT INTO recording_segment')) listed.add(values[2])
      return text.join('').includes('SELECT 1') && listed.has(values[2]) ? [{}] : []
    },
    { json: (value: unknown) => value },
  )
  const ports = {
    db: { sql },
    sessionOfRecording: async () => ({ session: 's', recording: RECORDING, gateway: GATEWAY }),
    now: () => Date.now(),
  } as unknown as ArchivePorts
  let scans = 0
  const replay = {
    scan: async () => {
      scans += 1
      return scans === 1
        ? { ok: false, code }
        : { ok: true, scan: { sha256: '', t0Ms: 0, t1Ms: 1, chunks: 1, activity: [] } }
    },
  } as unknown as Replay
  const sink = evidenceSink(store, replay, ports)
  const bytes = Buffer.from('a segment')
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const put = () =>
    sink.put({
      gatewayId: GATEWAY,
      path: `${RECORDING}/screen/0.spr`,
      sha256,
      length: bytes.length,
      body: Readable.from([bytes]),
    })
  expect(await put()).toBe('busy')
  expect(listed.size).toBe(0)
  expect(await put()).toBe('same')
  expect([...listed]).toEqual([0])
  expect(await put()).toBe('same')
  expect(scans).toBe(2)
})

it('nothing is taken in below the reserve: the gateway keeps it and sends it again', async () => {
  // Red without the look at `store.space()` in sink.ts.
  const store = await openFolderStore(path.join(folder, 'full'), Number.MAX_SAFE_INTEGER)
  const ports = {
    sessionOfRecording: async () => ({ session: 's', recording: RECORDING, gateway: GATEWAY }),
  } as unknown as ArchivePorts
  const put = evidenceSink(store, {} as Replay, ports).put({
    gatewayId: GATEWAY,
    path: `${RECORDING}/screen/0.spr`,
    sha256: '00'.repeat(32),
    length: 1,
    body: Readable.from(['x']),
  })
  expect(await put).toBe('full')
})

it('one recording fills no archive at any speed; the reserve is told as 507', async () => {
  // Red without `#bytes` in link/evidence-upload.ts.
  const clock = manualClock()
  let result: 'stored' | 'full' = 'stored'
  const upload = new EvidenceUpload({
    clock,
    rate: { burst: 3, perSecond: 1 },
    sink: { put: async () => result, finish: async () => null },
    owns: async () => true,
    finished: async () => undefined,
  })
  const send = async (recording: string) => {
    let status = 0
    const response = {
      setHeader: () => undefined,
      writeHead: (code: number) => {
        status = code
        return response
      },
      end: () => undefined,
    }
    const request = Object.assign(Readable.from([]), {
      url: `/link/v1/evidence/${recording}/screen/0.spr`,
      headers: { 'content-length': String(1024 * 1024), 'x-sallyport-sha256': '00'.repeat(32) },
      setTimeout: () => undefined,
    })
    await upload.handle(GATEWAY, request as never, response as never)
    return status
  }
  const other = '0192f7a0-0000-7000-8000-000000000021'
  expect([await send(RECORDING), await send(RECORDING), await send(RECORDING)]).toEqual([201, 201, 201])
  expect(await send(RECORDING)).toBe(503)
  expect(await send(other)).toBe(201)
  clock.advance(1_000)
  expect(await send(RECORDING)).toBe(201)
  result = 'full'
  expect(await send(other)).toBe(507)
})
