import {
  AUDIT_ENTRY_LIMIT,
  type AuditEntry,
  auditEntry,
  EVIDENCE_ACTIONS,
} from '../../broker/contract/audit-entry.ts'
import { parseCheckpoint, type SignedCheckpoint, verifyCheckpoint } from '../../broker/contract/checkpoint.ts'
import { jcs } from '../../broker/domain/canonical.ts'
import { leafHash, rootFromInclusion, verifyConsistency } from '../../broker/domain/merkle.ts'
import { complaint, hasUnknownField } from '../format/fields.ts'
import { parseJson } from '../format/json.ts'
import { earlierLine, entryLine, PACKAGE_FILES } from '../format/package-layout.ts'
import { fault, good, type Result } from '../format/result.ts'
import { type TrustFile, validAt } from '../format/trust.ts'
import { type IndexedPackage, readLines, readText } from './package-reader.ts'
import type { Findings } from './report.ts'

const CHECK = 'log'
const EVIDENCE = new Set<string>(Object.values(EVIDENCE_ACTIONS))

/** The log's entries that other checks ask for, each proven to stand at its index. */
export interface LogFacts {
  checkpoint: SignedCheckpoint | null
  /** Entries of EVIDENCE_ACTIONS with result `ok`, by index. */
  entries: Map<number, AuditEntry>
  /** The same `approval.granted` entries by the approval's hash; the first one counts. */
  approvals: Map<string, AuditEntry>
}

/** Reads and verifies audit/checkpoint alone: its size says which keys count for the package itself. */
export async function readCheckpoint(
  reader: IndexedPackage,
  trust: TrustFile,
  findings: Findings,
): Promise<SignedCheckpoint | null> {
  const text = await readText(reader, PACKAGE_FILES.checkpoint)
  if (!text.ok) {
    findings.fail(CHECK, text.code, PACKAGE_FILES.checkpoint, text.message)
    return null
  }
  const parsed = trustedCheckpoint(text.value, trust)
  if (!parsed.ok) {
    findings.fail(CHECK, parsed.code, PACKAGE_FILES.checkpoint, parsed.message)
    // A checkpoint with a wrong signature still says which places of the log are meant.
    return parsed.code === 'checkpoint-malformed' ? null : parseCheckpoint(text.value)
  }
  return parsed.value
}

/** Codes: checkpoint-malformed, checkpoint-origin, checkpoint-signature. */
export function trustedCheckpoint(note: string, trust: TrustFile): Result<SignedCheckpoint> {
  const parsed = parseCheckpoint(note)
  if (!parsed || parsed.size === 0)
    return fault('checkpoint-malformed', 'not a signed checkpoint of a log with entries')
  if (parsed.origin !== trust.log.origin) {
    return fault('checkpoint-origin', `the checkpoint is of ${parsed.origin}, trusted is ${trust.log.origin}`)
  }
  const signed = trust.log.keys.some(
    (key) =>
      validAt(key, parsed.size - 1) &&
      verifyCheckpoint(parsed, { name: trust.log.origin, publicKey: Buffer.from(key.x, 'base64url') }),
  )
  return signed ? good(parsed) : fault('checkpoint-signature', 'no trusted log key signed this checkpoint')
}

/** Check 5: every entry stands in the log at its index, and the log only ever grew. */
export async function checkLog(
  reader: IndexedPackage,
  trust: TrustFile,
  checkpoint: SignedCheckpoint | null,
  findings: Findings,
): Promise<LogFacts> {
  const facts: LogFacts = { checkpoint, entries: new Map(), approvals: new Map() }
  if (reader.size(PACKAGE_FILES.entries) === null) {
    findings.fail(CHECK, 'package-file-missing', PACKAGE_FILES.entries, 'the file is missing')
    return facts
  }
  if (!checkpoint) return facts
  let last = -1
  let count = 0
  for await (const { line, value } of readLines(reader, PACKAGE_FILES.entries)) {
    const place = `${PACKAGE_FILES.entries} line ${line}`
    const parsed = entryLine.safeParse(value)
    if (!parsed.success) {
      findings.fail(CHECK, 'entry-malformed', place, complaint(parsed.error))
      continue
    }
    const { index, entry, path } = parsed.data
    if (index <= last) findings.fail(CHECK, 'entry-order', place, `index ${index} does not ascend`)
    last = Math.max(last, index)
    count += 1
    const bytes = Buffer.from(entry, 'utf8')
    const nodes = path.map((node) => Buffer.from(node, 'hex'))
    if (!rootFromInclusion(leafHash(bytes), index, checkpoint.size, nodes)?.equals(checkpoint.root)) {
      findings.fail(CHECK, 'entry-inclusion', place, `entry ${index} is not in the log of this checkpoint`)
      continue
    }
    const read = parseEntry(entry, bytes)
    if (!read.ok) findings.fail(CHECK, read.code, place, read.message)
    else if (EVIDENCE.has(read.value.action) && read.value.result === 'ok') {
      facts.entries.set(index, read.value)
      const { approval } = read.value.details
      const granted = read.value.action === EVIDENCE_ACTIONS.approvalGranted && typeof approval === 'string'
      if (granted && !facts.approvals.has(approval)) facts.approvals.set(approval, read.value)
    }
  }
  const earlier = await checkEarlier(reader, trust, checkpoint, findings)
  compareKnown(trust, checkpoint, earlier, findings)
  findings.passed(
    CHECK,
    `${count} entries proven in a log of ${checkpoint.size}, ${earlier.size} earlier checkpoints`,
  )
  return facts
}

/** Codes: entry-malformed, entry-unknown-field, entry-not-canonical. */
function parseEntry(text: string, bytes: Buffer): Result<AuditEntry> {
  let value: unknown
  try {
    value = parseJson(text)
  } catch {
    return fault('entry-malformed', 'the entry is not JSON')
  }
  const parsed = auditEntry.safeParse(value)
  if (!parsed.success || bytes.length > AUDIT_ENTRY_LIMIT) {
    if (parsed.success) return fault('entry-malformed', 'the entry is too long')
    const code = hasUnknownField(parsed.error) ? 'entry-unknown-field' : 'entry-malformed'
    return fault(code, complaint(parsed.error))
  }
  if (Buffer.compare(jcs(parsed.data), bytes) !== 0)
    return fault('entry-not-canonical', 'not RFC 8785 canonical JSON')
  return good(parsed.data)
}

async function checkEarlier(
  reader: IndexedPackage,
  trust: TrustFile,
  checkpoint: SignedCheckpoint,
  findings: Findings,
): Promise<Map<number, Buffer>> {
  const roots = new Map<number, Buffer>()
  if (reader.size(PACKAGE_FILES.earlier) === null) return roots
  for await (const { line, value } of readLines(reader, PACKAGE_FILES.earlier)) {
    const place = `${PACKAGE_FILES.earlier} line ${line}`
    const parsed = earlierLine.safeParse(value)
    if (!parsed.success) {
      findings.fail(CHECK, 'checkpoint-malformed', place, 'not an earlier checkpoint with its proof')
      continue
    }
    const old = trustedCheckpoint(parsed.data.note, trust)
    if (!old.ok) {
      findings.fail(CHECK, old.code, place, old.message)
      continue
    }
    const path = parsed.data.path.map((node) => Buffer.from(node, 'hex'))
    if (verifyConsistency(old.value.size, checkpoint.size, old.value.root, checkpoint.root, path)) {
      roots.set(old.value.size, old.value.root)
    } else {
      findings.fail(
        CHECK,
        'consistency-failed',
        place,
        `the log of ${old.value.size} entries is no beginning of this one`,
      )
    }
  }
  return roots
}

/** The auditor's own earlier checkpoints: a log that was cut or rewritten since cannot be consistent with them. */
function compareKnown(
  trust: TrustFile,
  checkpoint: SignedCheckpoint,
  earlier: Map<number, Buffer>,
  findings: Findings,
): void {
  for (const note of trust.checkpoints) {
    const known = parseCheckpoint(note)
    if (!known) continue
    const root = known.size === checkpoint.size ? checkpoint.root : earlier.get(known.size)
    if (!root) {
      const text = `your checkpoint of ${known.size} entries was not compared: the package has no proof for it`
      findings.absent(CHECK, 'checkpoint-not-compared', text)
      findings.note(text)
    } else if (!root.equals(known.root)) {
      findings.fail(
        CHECK,
        'consistency-failed',
        'keys.json',
        `the log differs from your checkpoint of ${known.size} entries`,
      )
    }
  }
}
