/** The ten checks of docs/evidence-format.md section 16, by name, in order. */
export const CHECKS = [
  'package',
  'manifest',
  'chain',
  'anchors',
  'log',
  'witness',
  'content',
  'authority',
  'input-window',
  'gaps',
] as const
export type CheckName = (typeof CHECKS)[number]

export type Verdict = 'VALID' | 'VALID-TRUNCATED' | 'INVALID'

export interface FoundFault {
  code: string
  /** The file, and where in it: "segments/screen-2.spr chunk 17 at byte 90211". */
  place: string
  message: string
}

export interface CheckResult {
  name: CheckName
  result: 'passed' | 'failed' | 'absent'
  /** The first fault's code, or why it is absent; null when passed. */
  code: string | null
  /** One sentence for a person. */
  text: string
  faults: FoundFault[]
}

export interface VerifyReport {
  verdict: Verdict
  checks: CheckResult[]
  recording: string | null
  session: string | null
  /** Milliseconds after the last anchored chunk; null when the chain could not be read. */
  unanchoredTailMs: number | null
  /** When the person last sent something, by the gateway's clock; null when nothing was sent. */
  lastInputAtMs: number | null
  /** What a reader should know though it fails nothing. */
  notes: string[]
}

/** Faults kept of each check: a wholly corrupt file must not become a report of gigabytes. */
const FAULTS_KEPT = 20
const NOTES_KEPT = 200

/** Collects what the checks find. A check that nobody reports on has passed. */
export class Findings {
  readonly notes: string[] = []
  readonly #faults = new Map<CheckName, FoundFault[]>()
  readonly #absent = new Map<CheckName, { code: string; text: string }>()
  readonly #texts = new Map<CheckName, string>()

  fail(check: CheckName, code: string, place: string, message: string): void {
    const list = this.#faults.get(check) ?? []
    this.#faults.set(check, list)
    if (list.length < FAULTS_KEPT) list.push({ code, place, message })
  }

  absent(check: CheckName, code: string, text: string): void {
    this.#absent.set(check, { code, text })
  }

  /** The sentence shown when the check passes. */
  passed(check: CheckName, text: string): void {
    this.#texts.set(check, text)
  }

  note(text: string): void {
    if (this.notes.length < NOTES_KEPT) this.notes.push(text)
    else if (this.notes.length === NOTES_KEPT) this.notes.push('… and more')
  }

  failed(check: CheckName): boolean {
    return this.#faults.has(check)
  }

  results(): CheckResult[] {
    return CHECKS.map((name) => {
      const faults = this.#faults.get(name) ?? []
      const [first] = faults
      const absent = this.#absent.get(name)
      if (first)
        return { name, result: 'failed', code: first.code, text: `${first.place}: ${first.message}`, faults }
      if (absent) return { name, result: 'absent', code: absent.code, text: absent.text, faults }
      return { name, result: 'passed', code: null, text: this.#texts.get(name) ?? 'holds', faults }
    })
  }
}
