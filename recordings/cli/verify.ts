import { access, open } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import type { JWK } from 'jose'
import { parseTrust, type TrustFile } from '../format/trust.ts'
import { openPackage } from '../package/open-zip.ts'
import { trustedCheckpoint } from '../verify/check-log.ts'
import { messageOf } from '../verify/package-reader.ts'
import { CHECKS, type VerifyReport } from '../verify/report.ts'
import { verifyPackage } from '../verify/verify-package.ts'

const USAGE = `usage: sallyport verify FILE --trust keys.json [--key recipient.jwk] [--json]

Checks an evidence package against keys that you got by another way. No network is used.
Exit status: 0 VALID, 1 VALID-TRUNCATED, 2 INVALID, 3 nothing could be checked.
`

const TRUST_LIMIT = 32 * 1024 * 1024
const KEY_LIMIT = 64 * 1024

/** Exit statuses of `verify`; docs/evidence-format.md section 17. */
export const EXIT = { VALID: 0, 'VALID-TRUNCATED': 1, INVALID: 2, none: 3 } as const

/** The `verify` command. Prints to `print` and returns the exit status; never throws over a file's content. */
export async function verifyCommand(
  args: string[],
  print: (text: string) => void = (text) => process.stdout.write(text),
): Promise<number> {
  const options = readArguments(args)
  if (typeof options === 'string') {
    print(`${options}\n\n${USAGE}`)
    return EXIT.none
  }
  const trust = await readTrust(options.trust)
  const key = options.key === undefined ? undefined : await readKey(options.key)
  for (const input of [trust, key]) {
    if (typeof input === 'string') {
      print(`${input}\n`)
      return EXIT.none
    }
  }
  const report = await verifyFile(options.file, trust as TrustFile, key as JWK | undefined)
  if (typeof report === 'string') {
    print(`${report}\n`)
    return EXIT.none
  }
  print(options.json ? `${JSON.stringify(report, null, 2)}\n` : readable(options.file, report))
  return EXIT[report.verdict]
}

interface VerifyArguments {
  file: string
  trust: string
  key: string | undefined
  json: boolean
}

function readArguments(args: string[]): VerifyArguments | string {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: { trust: { type: 'string' }, key: { type: 'string' }, json: { type: 'boolean' } },
    })
    const [file] = positionals
    if (file === undefined || positionals.length !== 1) return 'Name one package file.'
    if (values.trust === undefined) return 'Name the trust file: a package cannot vouch for itself.'
    return { file, trust: values.trust, key: values.key, json: values.json ?? false }
  } catch (error) {
    return messageOf(error)
  }
}

/** A whole file that is not read into memory when it is larger than it may be. */
async function textOf(path: string, limit: number): Promise<string> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    if (size > limit) throw new RangeError(`${path} is larger than ${limit} bytes`)
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}

async function readTrust(path: string): Promise<TrustFile | string> {
  try {
    const parsed = parseTrust(await textOf(path, TRUST_LIMIT))
    if (!parsed.ok) return `${path}: ${parsed.message}`
    for (const note of parsed.value.checkpoints) {
      const known = trustedCheckpoint(note, parsed.value)
      if (!known.ok) return `${path}: a kept checkpoint cannot be used, ${known.message}`
    }
    return parsed.value
  } catch (error) {
    return `The trust file cannot be read: ${messageOf(error)}`
  }
}

async function readKey(path: string): Promise<JWK | string> {
  try {
    const jwk = JSON.parse(await textOf(path, KEY_LIMIT)) as JWK
    const usable = typeof jwk === 'object' && jwk !== null && typeof jwk.d === 'string'
    return usable && (jwk.crv === 'P-256' || jwk.crv === 'X25519')
      ? jwk
      : `${path}: not a private JWK on P-256 or X25519`
  } catch (error) {
    return `The key cannot be read: ${messageOf(error)}`
  }
}

async function verifyFile(
  path: string,
  trust: TrustFile,
  key: JWK | undefined,
): Promise<VerifyReport | string> {
  try {
    await access(path)
  } catch {
    return `${path} cannot be read.`
  }
  const opened = await openPackage(path)
  if (!opened.ok) return unreadable(opened.code, path, opened.message)
  try {
    return await verifyPackage(opened.value, trust, key ? { key } : {})
  } finally {
    opened.value.close()
  }
}

/** A zip that cannot be opened is evidence that fails, not a wrong argument. */
function unreadable(code: string, place: string, message: string): VerifyReport {
  return {
    verdict: 'INVALID',
    checks: CHECKS.map((name) =>
      name === 'package'
        ? { name, result: 'failed', code, text: message, faults: [{ code, place, message }] }
        : {
            name,
            result: 'absent',
            code: 'package-unreadable',
            text: 'the package cannot be read',
            faults: [],
          },
    ),
    recording: null,
    session: null,
    unanchoredTailMs: null,
    lastInputAtMs: null,
    notes: [],
  }
}

const MEANING: Record<VerifyReport['verdict'], string> = {
  VALID: 'complete and unchanged',
  'VALID-TRUNCATED': 'what is there is unchanged; the end or a stretch is missing, as declared',
  INVALID: 'do not rely on it',
}

function readable(file: string, report: VerifyReport): string {
  const lines = [`${printable(file)}: recording ${report.recording ?? 'unknown'}`, '']
  report.checks.forEach((check, at) => {
    const code = check.code === null ? '' : ` [${check.code}]`
    lines.push(
      `${String(at + 1).padStart(2)} ${check.name.padEnd(13)}${check.result.padEnd(7)} ${check.text}${code}`,
    )
    for (const found of check.faults.slice(1)) {
      lines.push(`${' '.repeat(16)}also    ${found.place}: ${found.message} [${found.code}]`)
    }
  })
  lines.push('', ...report.notes.map((note) => `   note  ${note}`), '')
  lines.push(`${report.verdict}: ${MEANING[report.verdict]}`)
  return `${lines.map(printable).join('\n')}\n`
}

/** Text from a package may hold terminal escapes (threat 21): they are shown, not sent. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '\ufffd')
}
