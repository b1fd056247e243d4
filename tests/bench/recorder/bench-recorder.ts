import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Row } from '../table.ts'
import type { FloodFigures } from './flood-process.ts'
import type { SessionsFigures } from './sessions-process.ts'

/** The recorder's rows, each measured in a process of its own: goals are absolute, nothing stands beside them. */
export async function benchRecorder(): Promise<Row[]> {
  const alone = await run<FloodFigures>('flood-process.ts', 'resting')
  const parsing = await run<FloodFigures>('flood-process.ts')
  const quiet = await run<SessionsFigures>('sessions-process.ts')
  return [
    {
      what: 'CPU of recording, s per GB',
      gate: false,
      ours: `session thread ${alone.session.toFixed(2)}`,
      beside: `${parsing.recording.toFixed(2)} while the screen model parses`,
      ratio: alone.recording,
      goal: '<=',
      limit: 2.5,
      unit: ' s/GB',
    },
    {
      what: '1,000 recorded sessions at 1 KB/s: KB RSS each',
      gate: true,
      ours: '',
      beside: '',
      ratio: quiet.residentKb,
      goal: '<=',
      limit: 450,
      unit: ' KB',
    },
    {
      what: '1,000 recorded sessions at 1 KB/s: % of one core',
      gate: true,
      ours: '',
      beside: '',
      ratio: quiet.cpuPercent,
      goal: '<=',
      limit: 25,
      unit: ' %',
    },
  ]
}

const RUN_MS = 5 * 60_000

/** A measuring process of this folder; what it prints last is its figures. */
async function run<Figures>(file: string, ...args: string[]): Promise<Figures> {
  const { stdout } = await promisify(execFile)(process.execPath, [join(import.meta.dirname, file), ...args], {
    timeout: RUN_MS,
  })
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Figures
}
