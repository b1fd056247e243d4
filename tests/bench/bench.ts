/**
 * `npm run bench`: measures beside the peers, interleaved, in one run, and prints ratios; `npm run bench -- ssh` one
 * part. The figures also go to test-output/bench.json. Exit status 1 when a gate is missed.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { installLab } from '../lab/lab.ts'
import { benchRecorder } from './recorder/bench-recorder.ts'
import { benchSsh } from './ssh/bench-ssh.ts'
import { printTable, type Row, reached } from './table.ts'

const PARTS: Record<string, () => Promise<Row[]>> = { ssh: benchSsh, recorder: benchRecorder }

const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !(name in PARTS))
if (unknown.length > 0) {
  console.error(`no such part: ${unknown.join(', ')}; there are: ${Object.keys(PARTS).join(', ')}`)
  process.exit(2)
}
installLab()
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
