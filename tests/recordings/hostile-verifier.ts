import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { VerifyReport } from '../../recordings/verify/report.ts'
import { PYTHON, PYTHON_VERIFIER } from '../lab/verifiers.ts'

/** What a verifier answered, and what the answer cost. */
export interface Outcome {
  exit: number
  verdict: string
  /** Codes by failing check. */
  fails: Record<string, string[]>
  /** What it printed when it gave no verdict. */
  told: string
  memoryMib: number
}

interface Answer {
  exit: number
  printed: string
  errors?: string
  memoryMib: number
}

const OURS = fileURLToPath(new URL('./hostile-child.ts', import.meta.url))
const PYTHONS = fileURLToPath(new URL('./hostile-child.py', import.meta.url))

/**
 * A verifier in a process of its own that answers many questions: starting one for each takes longer than most
 * packages. One that doesn't answer in time is killed, and the next question starts another.
 */
export class ResidentVerifier {
  readonly #program: readonly string[]
  readonly #codesOf: (printed: string) => Pick<Outcome, 'verdict' | 'fails'>
  readonly #deadlineMs: number
  #child: ChildProcessWithoutNullStreams | null = null
  #answers: AsyncIterator<string> | null = null

  constructor(
    program: readonly string[],
    codesOf: (printed: string) => Pick<Outcome, 'verdict' | 'fails'>,
    deadlineMs: number,
  ) {
    this.#program = program
    this.#codesOf = codesOf
    this.#deadlineMs = deadlineMs
  }

  /** Verifies with a command line's arguments. Throws when there is no answer in time. */
  async ask(args: readonly string[]): Promise<Outcome> {
    const { child, answers } = this.#started()
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      child.kill('SIGKILL')
    }, this.#deadlineMs)
    child.stdin.write(`${JSON.stringify([...args, '--json'])}\n`)
    const next = await answers.next()
    clearTimeout(timer)
    if (next.done) {
      this.stop()
      throw new Error(isLate ? `no answer within ${this.#deadlineMs} ms` : 'the verifier died')
    }
    const { exit, printed, errors = '', memoryMib } = JSON.parse(next.value) as Answer
    if (exit === 3) return { exit, verdict: 'none', fails: {}, told: `${printed}${errors}`, memoryMib }
    return { exit, ...this.#codesOf(printed), told: errors, memoryMib }
  }

  stop(): void {
    this.#child?.kill('SIGKILL')
    this.#child = null
    this.#answers = null
  }

  #started() {
    if (!this.#child || !this.#answers) {
      const [file = '', ...args] = this.#program
      this.#child = spawn(file, args)
      // For whoever reads the test's output; what counts is the answer on standard output.
      this.#child.stderr.pipe(process.stderr)
      this.#child.stdin.on('error', () => {})
      this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
    }
    return { child: this.#child, answers: this.#answers }
  }
}

export function ourVerifier(deadlineMs: number): ResidentVerifier {
  const program = [process.execPath, '--no-warnings', OURS]
  return new ResidentVerifier(program, ourCodes, deadlineMs)
}

export function pythonVerifier(deadlineMs: number): ResidentVerifier {
  const folder = PYTHON_VERIFIER.slice(0, PYTHON_VERIFIER.lastIndexOf('/'))
  return new ResidentVerifier([PYTHON, '-B', PYTHONS, folder], pythonCodes, deadlineMs)
}

function ourCodes(printed: string) {
  const { verdict, checks } = JSON.parse(printed) as VerifyReport
  const failed = checks.filter(({ result }) => result === 'failed')
  const fails = failed.map(({ name, faults }) => [name, faults.map(({ code }) => code)] as const)
  return { verdict, fails: Object.fromEntries(fails) }
}

function pythonCodes(printed: string) {
  const { verdict, checks } = JSON.parse(printed) as {
    verdict: string
    checks: { check: string; status: string; reasons: { code: string }[] }[]
  }
  const failed = checks.filter(({ status }) => status === 'failed')
  const fails = failed.map(({ check, reasons }) => [check, reasons.map(({ code }) => code)] as const)
  return { verdict, fails: Object.fromEntries(fails) }
}
