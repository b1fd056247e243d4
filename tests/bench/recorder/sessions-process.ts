import { recordingGround, SCREEN_MODEL, sampleOutput } from './ground.ts'

/** Measures many quiet sessions at once; prints one line of JSON. */
export interface SessionsFigures {
  /** Resident memory of each session with its screen, KB; what the process has without any is left out. */
  residentKb: number
  /** Of one core: all threads. */
  cpuPercent: number
}

const SESSIONS = Number(process.env.SESSIONS ?? 1000)
/** 1 KB a second for each session, in four pieces; all sessions' pieces spread evenly over the time. */
const PIECE = 256
const PIECES_PER_SECOND = 4
const TICK_MS = 10
/** Until every screen is full, every buffer has grown and every kind of work has been done. */
const WARM_SECONDS = 20
const MEASURED_SECONDS = 30
/** Sessions open some at a time, as they do when a shift begins. */
const OPENING = 8

const ground = await recordingGround(SCREEN_MODEL)
const sample = sampleOutput(1024 * 1024)
const first = await ground.open()
first.output(sample.subarray(0, 8 * 1024))
await first.close({ reason: 'vendor-left' })
const bare = process.memoryUsage.rss()

const recorders = [] as Awaited<ReturnType<typeof ground.open>>[]
while (recorders.length < SESSIONS)
  recorders.push(...(await Promise.all(Array.from({ length: OPENING }, () => ground.open()))))

const started = performance.now()
let given = 0
let refused = 0
const timer = setInterval(() => {
  const due = ((performance.now() - started) / 1000) * PIECES_PER_SECOND * recorders.length
  for (; given < due; given++) {
    const recorder = recorders[given % recorders.length]
    const at = (given * PIECE) % (sample.length - PIECE)
    if (recorder && !recorder.output(sample.subarray(at, at + PIECE))) refused += 1
  }
}, TICK_MS)
const wait = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000))

await wait(WARM_SECONDS)
const before = { at: performance.now(), ...(await ground.cpu()), given }
await wait(MEASURED_SECONDS)
const after = { at: performance.now(), ...(await ground.cpu()), given }
const elapsed = (after.at - before.at) / 1000
const rate = ((after.given - before.given) * PIECE) / recorders.length / elapsed
if (rate < 1000) throw new Error(`only ${rate.toFixed(0)} bytes a second were given to each session`)
if (refused > 0) throw new Error(`back-pressure ${refused} times: the disk or the model did not keep up`)
const figures: SessionsFigures = {
  residentKb: (process.memoryUsage.rss() - bare) / 1000 / recorders.length,
  cpuPercent: ((after.process - before.process) / elapsed) * 100,
}
console.log(JSON.stringify(figures))
clearInterval(timer)
await Promise.all(recorders.map((recorder) => recorder.close({ reason: 'vendor-left' })))
await ground.dispose()
