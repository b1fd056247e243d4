/**
 * The test command: suites one after another, each with a time budget, then one line with the sum.
 *   npm test                    all suites but the long ones
 *   npm test -- unit gateway    only these
 *   npm run test:long           the long rounds
 */
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { installLab, labMode } from './lab/lab.ts'

/** Minutes that a suite may take on two cores; all together have TOTAL_MINUTES. */
const BUDGET: Record<string, number> = {
  architecture: 0.5,
  unit: 1.5,
  recordings: 5,
  broker: 7,
  gateway: 4,
  attacks: 7,
  failures: 6,
  journeys: 9,
}
const TOTAL_MINUTES = 25
const LONG: Record<string, number> = { long: 60 }

interface Counts {
  passed: number
  failed: number
  skipped: number
}

const output = join(import.meta.dirname, '..', 'test-output')
const asked = process.argv.slice(2).filter((word) => !word.startsWith('-'))
const budgets = process.argv.includes('--long') ? LONG : BUDGET
const suites = Object.keys(budgets).filter((suite) => asked.length === 0 || asked.includes(suite))
if (suites.length === 0) {
  console.error(`no such suite; there are: ${Object.keys(budgets).join(', ')}`)
  process.exit(2)
}

mkdirSync(output, { recursive: true })
const missing = installLab()
const total: Counts = { passed: 0, failed: 0, skipped: 0 }
const skippedNames: string[] = []
const failures: string[] = []
const mustEnd = Date.now() + (process.argv.includes('--long') ? (LONG.long ?? 0) : TOTAL_MINUTES) * 60_000
for (const suite of suites) {
  const started = Date.now()
  const counts = await runSuite(
    suite,
    Math.min((budgets[suite] ?? 1) * 60_000, Math.max(1000, mustEnd - started)),
  )
  total.passed += counts.passed
  total.failed += counts.failed
  total.skipped += counts.skipped
  const seconds = Math.round((Date.now() - started) / 1000)
  console.log(
    `\n— ${suite}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped, ${seconds} s\n`,
  )
}
if (missing.length > 0) console.log(`SALLYPORT_LAB=${labMode()}: without ${missing.join('; ')}`)
for (const name of skippedNames) console.log(`skipped: ${name}`)
// Once more at the end: whoever sees only the tail of a long log must still learn what broke.
for (const failure of failures) console.log(`failed: ${failure}`)
console.log(`${total.passed} passed, ${total.failed} failed`)
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1)

/** A suite that runs over its budget, or ends without a report, is one failure more. */
async function runSuite(suite: string, budgetMs: number): Promise<Counts> {
  const report = join(output, `${suite}.json`)
  rmSync(report, { force: true })
  const vitest = join(import.meta.dirname, '..', 'node_modules', 'vitest', 'vitest.mjs')
  const child = spawn(
    process.execPath,
    [
      vitest,
      'run',
      '--project',
      suite,
      '--passWithNoTests',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
    ],
    { cwd: join(import.meta.dirname, '..'), stdio: ['ignore', 'inherit', 'inherit'], detached: true },
  )
  let late = false
  const timer = setTimeout(() => {
    late = true
    console.error(`${suite}: over its budget of ${budgetMs / 60_000} minutes`)
    if (child.pid) process.kill(-child.pid, 'SIGKILL')
  }, budgetMs)
  const code = await new Promise<number>((done) => child.once('close', (status) => done(status ?? 1)))
  clearTimeout(timer)
  const counts = readReport(report)
  if (late) failures.push(`${suite}: over its budget`)
  if (counts === null) {
    if (!late) failures.push(`${suite}: ended without a report (exit ${code})`)
    return { passed: 0, failed: 1, skipped: 0 }
  }
  if (late || (code !== 0 && counts.failed === 0)) {
    if (!late)
      failures.push(`${suite}: exit ${code} though every test passed: an error outside a test, or a hook`)
    counts.failed += 1
  }
  return counts
}

function readReport(path: string): Counts | null {
  interface Report {
    numPassedTests: number
    numFailedTests: number
    numPendingTests: number
    testResults: {
      name: string
      status: string
      message: string
      assertionResults: { status: string; fullName: string; failureMessages: string[] }[]
    }[]
  }
  let report: Report
  try {
    report = JSON.parse(readFileSync(path, 'utf8')) as Report
  } catch {
    return null
  }
  for (const file of report.testResults) {
    for (const test of file.assertionResults) {
      if (test.status === 'pending' || test.status === 'skipped') skippedNames.push(test.fullName)
      if (test.status === 'failed') {
        failures.push(`${test.fullName}: ${(test.failureMessages[0] ?? '').slice(0, 600)}`)
      }
    }
    if (file.status === 'failed' && file.message !== '') {
      failures.push(`${basename(file.name)}: ${file.message.slice(0, 600)}`)
    }
  }
  return { passed: report.numPassedTests, failed: report.numFailedTests, skipped: report.numPendingTests }
}
