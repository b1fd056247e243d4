/**
 * `npm run bench`: measures beside the peers, interleaved, in one run, and prints ratios; `npm run bench -- ssh` one
 * part. `--minute`: a whole minute of desktop for bytes, processor time and recordings, instead of a quarter. `--hours`:
 * length of the recording that is sought in, 8 without. The figures also go to test-output/bench.json. Exit status 1 when a
 * gate is missed or could not be measured.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { installLab } from '../lab/lab.ts'
import { benchDesktop } from './desktop/bench-desktop.ts'
import { benchRecorder } from './recorder/bench-recorder.ts'
import { benchSeek } from './seek/bench-seek.ts'
import { benchSsh } from './ssh/bench-ssh.ts'
import { printTable, type Row, reached } from './table.ts'

const { values, positionals: asked } = parseArgs({
  allowPositionals: true,
  options: { minute: { type: 'boolean', default: false }, hours: { type: 'string', default: '8' } },
})
const PARTS: Record<string, () => Promise<Row[]>> = {
  ssh: benchSsh,
  recorder: benchRecorder,
  desktop: () => benchDesktop({ seconds: values.minute ? 60 : 15 }),
  seek: () => benchSeek({ hours: Number(values.hours) }),
}

const unknown = asked.filter((name) => !(name in PARTS))
if (unknown.length > 0) {
  console.error(`no such part: ${unknown.join(', ')}; there are: ${Object.keys(PARTS).join(', ')}`)
  process.exit(2)
}
for (const name of installLab({ forBench: true })) console.error(`missing: ${name}`)
const rows: Row[] = []
for (const [name, part] of Object.entries(PARTS)) {
  if (asked.length > 0 && !asked.includes(name)) continue
  rows.push(...(await part()))
}
printTable(rows)
const output = join(import.meta.dirname, '..', '..', 'test-output')
mkdirSync(output, { recursive: true })
writeFileSync(join(output, 'bench.json'), `${JSON.stringify(rows, null, 2)}\n`)
process.exit(rows.some((row) => row.gate && !reached(row)) ? 1 : 0)
