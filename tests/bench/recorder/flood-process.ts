import { median } from '../table.ts'
import { RESTING_MODEL, recordingGround, SCREEN_MODEL, sampleOutput, seconds } from './ground.ts'

/** Measures what recording a flood costs, with `resting` beside a model that parses nothing; prints JSON. */
export interface FloodFigures {
  /** CPU seconds for each GB: all threads but the screen model's own, and the session's thread alone. */
  recording: number
  session: number
  /** All threads. */
  all: number
}

const ROUNDS = 5
const ROUND_BYTES = 96 * 1024 * 1024
const PIECE = 32 * 1024

const ground = await recordingGround(process.argv[2] === 'resting' ? RESTING_MODEL : SCREEN_MODEL)
const recorder = await ground.open()
const sample = sampleOutput(1024 * 1024)
let resume = () => {}
recorder.onDrain(() => resume())

async function pour(total: number): Promise<void> {
  for (let sent = 0; sent < total; sent += PIECE) {
    const at = sent % sample.length
    const drained = new Promise<void>((resolve) => {
      resume = resolve
    })
    if (!recorder.output(sample.subarray(at, at + PIECE))) await drained
    // A socket gives one piece in a turn of the loop.
    await new Promise((resolve) => setImmediate(resolve))
  }
}

await pour(32 * 1024 * 1024)
const rounds: FloodFigures[] = []
for (let round = 0; round < ROUNDS; round++) {
  const before = { ...(await ground.cpu()), session: seconds(process.threadCpuUsage()) }
  await pour(ROUND_BYTES)
  const after = { ...(await ground.cpu()), session: seconds(process.threadCpuUsage()) }
  const perGb = (value: number) => value / (ROUND_BYTES / 1e9)
  rounds.push({
    recording: perGb(after.process - before.process - (after.model - before.model)),
    session: perGb(after.session - before.session),
    all: perGb(after.process - before.process),
  })
}
await recorder.close({ reason: 'vendor-left' })
await ground.dispose()
const figures: FloodFigures = {
  recording: median(rounds.map(({ recording }) => recording)),
  session: median(rounds.map(({ session }) => session)),
  all: median(rounds.map(({ all }) => all)),
}
console.log(JSON.stringify(figures))
