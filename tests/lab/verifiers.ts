import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { verifyCommand } from '../../recordings/cli/verify.ts'
import type { VerifyReport } from '../../recordings/verify/report.ts'
import { missingTools } from './lab.ts'

/** The verifier that was written from docs/evidence-format.md alone, by another hand and in another language. */
export const PYTHON = '/usr/bin/python3'
export const PYTHON_VERIFIER = fileURLToPath(new URL('../recordings/verifier/verify.py', import.meta.url))

export interface VerifierAnswer {
  verdict: string
  /** 0 VALID, 1 VALID-TRUNCATED, 2 INVALID, 3 no verdict. */
  exit: number
  /** Codes found, by failing check. */
  fails: Record<string, string[]>
}

/**
 * Verifies a package with the product's verifier and with the Python one, without a network. Throws unless both give
 * the same verdict, the same exit status and the same failing checks. `python` is null where Debian's
 * python3-cryptography is not installed (throws then when SALLYPORT_LAB=required).
 */
export async function verifyWithBoth(
  zipPath: string,
  trustJson: string,
  recipientJwk?: object,
): Promise<{ ours: VerifierAnswer; python: VerifierAnswer | null }> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-both-'))
  try {
    const trust = join(folder, 'keys.json')
    await writeFile(trust, trustJson)
    const args = [zipPath, '--trust', trust, '--json']
    if (recipientJwk) {
      const key = join(folder, 'recipient.jwk')
      await writeFile(key, JSON.stringify(recipientJwk), { mode: 0o600 })
      args.push('--key', key)
    }
    const ours = await runOurs(args)
    if (missingTools('python-cryptography').length > 0) return { ours, python: null }
    const python = await runPython(args)
    const gist = ({ verdict, exit, fails }: VerifierAnswer) =>
      JSON.stringify([verdict, exit, Object.keys(fails).sort()])
    if (gist(ours) !== gist(python)) {
      throw new Error(
        `the verifiers differ about ${zipPath}\nours   ${JSON.stringify(ours)}\npython ${JSON.stringify(python)}`,
      )
    }
    return { ours, python }
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function runOurs(args: string[]): Promise<VerifierAnswer> {
  let printed = ''
  const exit = await verifyCommand(args, (text) => {
    printed += text
  })
  if (exit === 3) return { verdict: 'none', exit, fails: {} }
  const { verdict, checks } = JSON.parse(printed) as VerifyReport
  const failed = checks.filter(({ result }) => result === 'failed')
  const fails = failed.map(({ name, faults }) => [name, faults.map(({ code }) => code)])
  return { verdict, exit, fails: Object.fromEntries(fails) }
}

interface PythonReport {
  verdict: string
  checks: { check: string; status: string; reasons: { code: string }[] }[]
}

async function runPython(args: string[]): Promise<VerifierAnswer> {
  const { exit, stdout } = await new Promise<{ exit: number; stdout: string }>((resolve, reject) => {
    const options = { timeout: 120_000, maxBuffer: 64 * 1024 * 1024 }
    execFile(PYTHON, ['-B', PYTHON_VERIFIER, ...args], options, (error, stdout, stderr) => {
      if (error && typeof error.code !== 'number') reject(error)
      // Python itself exits with 1 over an uncaught exception; that must not pass for VALID-TRUNCATED.
      else if (stderr.includes('Traceback')) reject(new Error(stderr))
      else resolve({ exit: error ? Number(error.code) : 0, stdout })
    })
  })
  if (exit === 3) return { verdict: 'none', exit, fails: {} }
  const { verdict, checks } = JSON.parse(stdout) as PythonReport
  const failed = checks.filter(({ status }) => status === 'failed')
  const fails = failed.map(({ check, reasons }) => [check, reasons.map(({ code }) => code)])
  return { verdict, exit, fails: Object.fromEntries(fails) }
}
