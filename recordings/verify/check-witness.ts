import {
  parseSignatureLines,
  type SignedCheckpoint,
  verifyCosignature,
} from '../../broker/contract/checkpoint.ts'
import { PACKAGE_FILES } from '../format/package-layout.ts'
import type { TrustFile } from '../format/trust.ts'
import { type IndexedPackage, readText } from './package-reader.ts'
import type { Findings } from './report.ts'

const CHECK = 'witness'
const WITHOUT =
  'without a witness, whoever holds both the database and the log key could have rewritten history'

/** Check 6: somebody else saw this log. */
export async function checkWitness(
  reader: IndexedPackage,
  trust: TrustFile,
  checkpoint: SignedCheckpoint | null,
  findings: Findings,
): Promise<void> {
  const path = PACKAGE_FILES.cosignatures
  if (reader.size(path) === null || trust.witnesses.length === 0 || !checkpoint) {
    findings.absent(CHECK, 'witness-absent', `no witness cosigned this log; ${WITHOUT}`)
    return
  }
  const text = await readText(reader, path)
  const lines = text.ok ? parseSignatureLines(text.value) : null
  if (!lines) {
    findings.fail(CHECK, 'cosignature-malformed', path, 'not signature lines of a signed note')
    return
  }
  const times: number[] = []
  for (const line of lines) {
    const named = trust.witnesses.filter((witness) => witness.name === line.name)
    if (named.length === 0) continue
    const seen = named
      .map(({ name, x }) =>
        verifyCosignature(checkpoint, line, { name, publicKey: Buffer.from(x, 'base64url') }),
      )
      .find((time) => time !== null)
    if (seen === undefined || seen === null) {
      findings.fail(CHECK, 'cosignature-invalid', path, `the cosignature of ${line.name} does not verify`)
    } else {
      times.push(seen)
    }
  }
  if (times.length === 0)
    findings.absent(CHECK, 'witness-absent', `no trusted witness cosigned this log; ${WITHOUT}`)
  else
    findings.passed(
      CHECK,
      `cosigned at ${new Date(Math.min(...times) * 1000).toISOString()} by a trusted witness`,
    )
}
