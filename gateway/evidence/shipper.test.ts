import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { until } from '../../tests/lab/until.ts'
import { Shipper } from './shipper.ts'
import type { UploadAnswer } from './upload.ts'

const RECORDING = '0192f000-0000-7000-8000-000000000001'
let dir: string
let folder: string
let shipper: Shipper
let problems: string[]
/** Paths that reached the broker. */
let sent: string[]
let manifestAnswer: UploadAnswer
/** A paced upload takes seconds: what `file` waits for. */
let gate: Promise<void>

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sallyport-shipper-'))
  folder = join(dir, 'spool', RECORDING)
  for (const name of ['screen', 'input', 'keys']) await mkdir(join(folder, name), { recursive: true })
  for (const number of [0, 1]) await writeFile(join(folder, 'screen', `${number}.spr`), 'x')
  problems = []
  sent = []
  gate = Promise.resolve()
  manifestAnswer = { status: 500, body: '' }
  shipper = new Shipper({
    spool: join(dir, 'spool'),
    receipts: join(dir, 'receipts'),
    broker: () => 'https://broker',
    brokerKeys: () => new Map(),
    uploader: {
      async file(_broker, path) {
        await gate
        sent.push(path)
        return { status: 201, body: '' }
      },
      async text(_broker, path) {
        sent.push(path)
        return manifestAnswer
      },
    },
    problem: (_recording, what) => problems.push(what),
  })
  await shipper.tidy()
})
afterEach(async () => {
  await shipper.stop()
  await rm(dir, { recursive: true })
})

test('a recording that closes while its finished segments are being sent is delivered after them', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  gate = promise
  const round = shipper.shipFinished(RECORDING)
  await writeFile(join(folder, 'manifest.jws'), 'm')
  shipper.ship(RECORDING)
  expect(shipper.waiting).toBe(1)
  resolve()
  await round
  await until(() => sent.includes(`${RECORDING}/manifest.jws`))
  expect(sent.filter((path) => path.endsWith('screen/0.spr'))).toHaveLength(1)
  await until(() => shipper.waiting === 1)
})

test('a spool that cannot be read is told, once', async () => {
  shipper.ship(RECORDING)
  await until(() => problems.length > 0)
  for (let attempt = 0; attempt < 3; attempt++) {
    await until(() => shipper.waiting === 1)
    shipper.wake()
  }
  await shipper.stop()
  expect(problems).toEqual([expect.stringContaining('ENOENT')])
})

test('a manifest that is refused for ever is told, once', async () => {
  await writeFile(join(folder, 'manifest.jws'), 'm')
  manifestAnswer = { status: 409, body: '{"missing":["screen/1.spr"]}' }
  shipper.ship(RECORDING)
  const tries = () => sent.filter((path) => path.endsWith('manifest.jws')).length
  for (let attempt = 1; attempt <= 8; attempt++) {
    await until(() => {
      shipper.wake()
      return tries() >= attempt
    })
    if (tries() < 5) expect(problems).toEqual([])
  }
  await until(() => problems.length > 0)
  expect(problems).toEqual(['manifest: 409 {"missing":["screen/1.spr"]}'])
})
