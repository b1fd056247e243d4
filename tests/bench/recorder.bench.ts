import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MessageChannel, Worker } from 'node:worker_threads'
import type { RecorderLimits, SessionRecorder } from '../../recordings/recorder/api.ts'
import { openRecorder } from '../../recordings/recorder/recorder.ts'
import { recorderFixture } from '../recordings/recorder-fixture.ts'

/**
 * The recorder under flood: `node tests/bench/recorder.bench.ts [folder]` prints a table. Hash chain and encryption
 * are on, the disk is the folder's. Rounds are interleaved; medians of ROUNDS.
 */
const ROUNDS = Number(process.env.ROUNDS ?? 5)
const BURST = 48 * 1024 * 1024
const PIECE = 32 * 1024

/** What a build or a log shows: colours, some wide characters, lines. */
function sample(): Uint8Array {
  let text = ''
  for (let n = 0; text.length < 1024 * 1024; n++) {
    text += `\x1b[32m${n}\x1b[m [info] compiling module_${n % 97}.c -O2 -Wall "path/to/file ${n % 13}" ... ${n % 7 ? 'ok' : 'prüfen'}\r\n`
  }
  return new TextEncoder().encode(text)
}
const SAMPLE = sample()
const PIECES = Array.from({ length: 30 }, (_, n) => SAMPLE.subarray(n * PIECE, (n + 1) * PIECE))

async function pour(recorder: SessionRecorder, total: number, onTurn: () => void = () => {}): Promise<void> {
  let resume: () => void = () => {}
  recorder.onDrain(() => resume())
  for (let sent = 0, index = 0; sent < total; index++) {
    const piece = PIECES[index % PIECES.length] ?? SAMPLE
    const drained = new Promise<void>((resolve) => {
      resume = resolve
    })
    if (!recorder.output(piece)) await drained
    sent += piece.length
    onTurn()
    // A socket gives one piece in a turn of the loop.
    await new Promise((resolve) => setImmediate(resolve))
  }
}

function quantile(values: number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN
}
const median = (values: number[]) => quantile(values, 0.5)

/** Pings this thread every 2 ms from another one; the answer goes through a second session's recorder. */
async function echo(
  during: () => Promise<void>,
  recorder: SessionRecorder,
): Promise<{ p50: number; p99: number }> {
  const script = `
    const { parentPort, workerData } = require('node:worker_threads')
    const port = workerData.port
    const times = []
    let sentAt = 0
    const send = () => { sentAt = performance.now(); port.postMessage(0) }
    port.on('message', () => { times.push(performance.now() - sentAt); setTimeout(send, 2) })
    parentPort.on('message', () => { parentPort.postMessage(times); port.close(); parentPort.close() })
    send()`
  const { port1, port2 } = new MessageChannel()
  const key = new TextEncoder().encode('k')
  port1.on('message', () => {
    recorder.input(key)
    recorder.output(key)
    port1.postMessage(0)
  })
  const worker = new Worker(script, { eval: true, workerData: { port: port2 }, transferList: [port2] })
  await new Promise((resolve) => worker.once('online', resolve))
  await during()
  const times = await new Promise<number[]>((resolve) => {
    worker.once('message', resolve)
    worker.postMessage('stop')
  })
  port1.close()
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) }
}

const folder = await mkdtemp(join(process.argv[2] ?? tmpdir(), 'sallyport-bench-'))
const fixture = await recorderFixture()
const open = (limits: Partial<RecorderLimits> = {}) =>
  openRecorder(fixture.options({ spool: folder, limits }))
const NO_KEYFRAMES: Partial<RecorderLimits> = {
  segmentBytes: 2 ** 40,
  segmentCapBytes: 2 ** 40,
  segmentMs: 2 ** 40,
  modelBudgetBytes: 2 ** 40,
}

async function burst(): Promise<{ taken: number; durable: number; cpu: number; lag: number }> {
  const recorder = await open()
  const cpuBefore = process.threadCpuUsage()
  const started = performance.now()
  let lag = 0
  await pour(recorder, BURST, () => {
    lag = Math.max(lag, fixture.model.outstanding)
  })
  const taken = performance.now() - started
  const cpu = process.threadCpuUsage(cpuBefore)
  await recorder.close({ reason: 'vendor-left' })
  const durable = performance.now() - started
  await rm(join(folder, recorder.recording), { recursive: true })
  return { taken, durable, cpu: (cpu.user + cpu.system) / 1e6, lag }
}

async function sustained(
  seconds: number,
): Promise<{ rate: number; segments: number; largest: number; rss: number }> {
  const recorder = await open()
  const started = performance.now()
  let sent = 0
  let rss = 0
  while (performance.now() - started < seconds * 1000) {
    await pour(recorder, 4 * 1024 * 1024)
    sent += 4 * 1024 * 1024
    rss = Math.max(rss, process.memoryUsage.rss())
  }
  const rate = sent / (performance.now() - started) / 1000
  const { manifest } = await recorder.close({ reason: 'vendor-left' })
  const screens = manifest.segments.filter(({ stream }) => stream === 'screen')
  await rm(join(folder, recorder.recording), { recursive: true })
  return {
    rate,
    segments: screens.length,
    largest: Math.max(...screens.map(({ bytes }) => bytes)) / 1e6,
    rss: rss / 1e6,
  }
}

/** Another session's echo while one shows 8 MB/s, which rotates every half second. */
async function echoBeside(limits: Partial<RecorderLimits> | null): Promise<{ p50: number; p99: number }> {
  const own = await open()
  const flood = limits ? await open(limits) : null
  const result = await echo(async () => {
    const until = performance.now() + 3000
    while (performance.now() < until) {
      flood?.output(PIECES[0] ?? SAMPLE)
      await new Promise((resolve) => setTimeout(resolve, 4))
    }
  }, own)
  for (const recorder of [own, flood]) {
    if (!recorder) continue
    await recorder.close({ reason: 'vendor-left' })
    await rm(join(folder, recorder.recording), { recursive: true })
  }
  return result
}

const bursts: Awaited<ReturnType<typeof burst>>[] = []
const idle: Awaited<ReturnType<typeof echoBeside>>[] = []
const plain: typeof idle = []
const cutting: typeof idle = []
await burst()
for (let round = 0; round < ROUNDS; round++) {
  bursts.push(await burst())
  idle.push(await echoBeside(null))
  plain.push(await echoBeside(NO_KEYFRAMES))
  cutting.push(await echoBeside({}))
}
const flood = await sustained(20)
const gigabytes = BURST / 1e9
const rows: [string, string][] = [
  ['burst of 48 MiB: taken', `${(BURST / 1e3 / median(bursts.map(({ taken }) => taken))).toFixed(0)} MB/s`],
  [
    'burst of 48 MiB: on disk, manifest signed',
    `${(BURST / 1e3 / median(bursts.map(({ durable }) => durable))).toFixed(0)} MB/s`,
  ],
  ['CPU of the session thread', `${(median(bursts.map(({ cpu }) => cpu)) / gigabytes).toFixed(2)} s/GB`],
  [
    'most that waited for the screen model',
    `${(Math.max(...bursts.map(({ lag }) => lag)) / 1e6).toFixed(0)} MB`,
  ],
  [
    'sustained for 20 s',
    `${flood.rate.toFixed(0)} MB/s, ${flood.segments} segments, largest ${flood.largest.toFixed(0)} MB`,
  ],
  ['resident memory, most', `${flood.rss.toFixed(0)} MB`],
  ...(
    [
      ['echo of another session, idle', idle],
      ['the same beside 8 MB/s, no keyframes', plain],
      ['the same beside 8 MB/s, keyframes', cutting],
    ] as const
  ).map(([name, values]): [string, string] => [
    name,
    `p50 ${median(values.map(({ p50 }) => p50)).toFixed(3)} ms, p99 ${median(values.map(({ p99 }) => p99)).toFixed(3)} ms`,
  ]),
]
for (const [name, value] of rows) console.log(`${name.padEnd(44)} ${value}`)
await fixture.dispose()
await rm(folder, { recursive: true, force: true })
