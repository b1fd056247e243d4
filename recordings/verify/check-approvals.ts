import {
  type ApprovalRecord,
  approvalHash,
  approvalRecord,
  type RequestSnapshot,
} from '../../broker/contract/approval-record.ts'
import { hashOf, sha256 } from '../../broker/domain/canonical.ts'
import type { Grant } from '../../broker/domain/grant.ts'
import { complaint, hasUnknownField } from '../format/fields.ts'
import { parseJson } from '../format/json.ts'
import { approvalPath, PACKAGE_FILES } from '../format/package-layout.ts'
import { fault, good, type Result } from '../format/result.ts'
import type { TrustFile } from '../format/trust.ts'
import { type ApprovalRule, countApprovers, mayNotApprove, sameHand } from './approval-rule.ts'
import { assertionFault } from './assertion.ts'
import type { LogFacts } from './check-log.ts'
import { type IndexedPackage, readText } from './package-reader.ts'
import type { Findings } from './report.ts'

const CHECK = 'authority'

export interface ApprovalContext {
  reader: IndexedPackage
  trust: TrustFile
  log: LogFacts
  /** SHA-256 of ticket.json. */
  ticketHash: string | null
  /** Of asset.json; null when it names none, which is a failure of its own. */
  rule: ApprovalRule | null
  opening: Grant
}

/** When the approvers let the session begin and end. Milliseconds since the epoch. */
export interface BaseLimits {
  opensAtMs: number
  endMs: number
}

/** Every approval that one grant names. Null when no base approval could be read. */
export async function checkApprovals(
  context: ApprovalContext,
  one: { path: string; grant: Grant },
  later: boolean,
  findings: Findings,
): Promise<BaseLimits | null> {
  const { grant } = one
  const base: ApprovalRecord[] = []
  const extensions: ApprovalRecord[] = []
  for (const hash of new Set(grant.approvals)) {
    const path = approvalPath(hash)
    const read = await readRecord(context.reader, path, hash)
    if (!read.ok) {
      findings.fail(CHECK, read.code, path, read.message)
      continue
    }
    const record = read.value
    checkRecord(context, record, hash, path, findings)
    checkSnapshot(context, record.document.snapshot, grant, later, path, findings)
    if (record.document.snapshot.extension) extensions.push(record)
    else base.push(record)
  }
  checkTwice(base, one.path, findings)
  const prolonging = Map.groupBy(extensions, (record) => record.document.snapshot.extension?.id ?? '')
  for (const records of prolonging.values()) checkTwice(records, one.path, findings)
  if (base.length === 0) {
    findings.fail(CHECK, 'approval-missing', one.path, 'the grant rests on no approval of the request itself')
    return null
  }
  for (const records of [base, ...prolonging.values()]) checkEnough(context.rule, records, one, findings)
  const limits = limitsOf(base, [...prolonging.values()])
  checkInside(grant, base, limits, one.path, findings)
  return limits
}

async function readRecord(
  reader: IndexedPackage,
  path: string,
  hash: string,
): Promise<Result<ApprovalRecord>> {
  const text = await readText(reader, path)
  if (!text.ok) {
    return text.code === 'package-file-missing' ? fault('approval-missing', 'the approval is missing') : text
  }
  let value: unknown
  try {
    value = parseJson(text.value)
  } catch {
    return fault('approval-malformed', 'not JSON')
  }
  const parsed = approvalRecord.safeParse(value)
  if (!parsed.success) {
    const code = hasUnknownField(parsed.error) ? 'approval-unknown-field' : 'approval-malformed'
    return fault(code, complaint(parsed.error))
  }
  return approvalHash(parsed.data.document) === hash
    ? good(parsed.data)
    : fault('approval-hash', 'the signed document is not the one that the grant names')
}

/** Who approved, and that they did: the rules about one record. */
function checkRecord(
  { trust, log }: ApprovalContext,
  record: ApprovalRecord,
  hash: string,
  path: string,
  findings: Findings,
): void {
  const fail = (code: string, message: string) => findings.fail(CHECK, code, path, message)
  const { approver, document, assertion } = record
  if (document.decision !== 'granted') fail('approval-not-granted', `the decision is "${document.decision}"`)
  const barred = mayNotApprove(record)
  if (barred) fail(barred, `${approver.name} made this request, or belongs to the vendor who did`)
  if (assertion) {
    const problem = assertionFault(record, trust.rp)
    if (problem) fail(problem.code, problem.message)
  } else {
    findings.note(
      `${path}: ${approver.name} approved with password and code: an approval, but not a signature`,
    )
  }
  const entry = log.approvals.get(hash)
  if (!entry) {
    fail('approval-entry-missing', 'the log has no entry of this approval')
    return
  }
  const sameKey =
    !assertion ||
    (entry.authentication?.credential === assertion.credentialId &&
      entry.details.key === sha256(Buffer.from(assertion.publicKey, 'base64url')).toString('hex'))
  if (entry.actor.kind !== 'person' || entry.actor.id !== approver.id || !sameKey) {
    fail('approval-entry-mismatch', 'the log names another approver or another passkey')
  }
}

/** What was approved is what was granted. */
function checkSnapshot(
  { ticketHash, opening }: ApprovalContext,
  snapshot: RequestSnapshot,
  grant: Grant,
  later: boolean,
  path: string,
  findings: Findings,
): void {
  const { extension } = snapshot
  const rightHash = extension
    ? later &&
      extension.of === opening.snapshotHash &&
      extension.session === grant.session &&
      hashOf({ ...snapshot, extension: null }) === extension.of
    : hashOf(snapshot) === grant.snapshotHash
  const same =
    snapshot.deployment === grant.deployment &&
    snapshot.request.id === grant.request.id &&
    snapshot.request.version === grant.request.version &&
    snapshot.requester.id === grant.person.id &&
    snapshot.site.id === grant.site.id &&
    snapshot.asset.id === grant.asset.id &&
    snapshot.asset.hash === grant.asset.hash &&
    snapshot.asset.criticality === grant.asset.criticality &&
    snapshot.endpoint === grant.endpoint &&
    snapshot.protocol === grant.protocol &&
    snapshot.account === grant.account &&
    snapshot.ticket.key === grant.request.ticketKey &&
    snapshot.purpose === grant.request.purpose
  if (!rightHash || !same) {
    findings.fail(CHECK, 'approval-snapshot', path, 'what was approved is not what was granted')
  }
  if (ticketHash !== null && snapshot.ticket.hash !== ticketHash) {
    findings.fail(CHECK, 'document-mismatch', PACKAGE_FILES.ticket, 'it is not the ticket that was approved')
  }
}

function checkTwice(records: ApprovalRecord[], path: string, findings: Findings): void {
  records.forEach((record, at) => {
    const again = records.slice(0, at).some((other) => sameHand(other, record))
    if (again) findings.fail(CHECK, 'approval-twice', path, `${record.approver.name} counts twice`)
  })
}

const ms = (instant: string) => Date.parse(instant)
const least = (first: number, others: (string | undefined)[]) =>
  Math.min(first, ...others.filter((one) => one !== undefined).map(ms))

/** As many people as the rule of the asset asks for; the grant may itself say that the asset is C1. */
function checkEnough(
  rule: ApprovalRule | null,
  records: ApprovalRecord[],
  { path, grant }: { path: string; grant: Grant },
  findings: Findings,
): void {
  if (!rule) return
  const need = Math.max(rule.need, grant.asset.criticality === 'C1' ? 2 : 1)
  const have = countApprovers(records, rule)
  if (have >= need) return
  const about = records[0]?.document.snapshot.extension ? 'the extension' : 'the request'
  findings.fail(
    CHECK,
    'approvals-too-few',
    path,
    `${about} needs ${need} approvers who count, ${have} approved`,
  )
}

function limitsOf(base: ApprovalRecord[], prolonging: ApprovalRecord[][]): BaseLimits {
  const constraints = base.map((record) => record.document.constraints)
  const window = (base[0] as ApprovalRecord).document.snapshot.window
  const opensAtMs = Math.max(
    ms(window.opensAt),
    ...constraints.map((one) => (one.opensAt === undefined ? Number.NEGATIVE_INFINITY : ms(one.opensAt))),
  )
  const baseEnd = least(
    ms(window.closesAt),
    constraints.map((one) => one.closesAt),
  )
  // Of one extension the strictest approver counts; of several extensions the latest.
  const extended = prolonging.map((records) =>
    Math.min(
      ...records.map(({ document: { snapshot, constraints: own } }) =>
        snapshot.extension ? least(ms(snapshot.extension.closesAt), [own.closesAt]) : baseEnd,
      ),
    ),
  )
  return { opensAtMs, endMs: Math.max(baseEnd, ...extended) }
}

/** An approver narrows; the grant may be smaller than what is left, never larger. */
function checkInside(
  grant: Grant,
  base: ApprovalRecord[],
  limits: BaseLimits,
  path: string,
  findings: Findings,
): void {
  const { snapshot } = (base[0] as ApprovalRecord).document
  const constraints = base.map((record) => record.document.constraints)
  const viewOnly = snapshot.viewOnly || constraints.some((one) => one.viewOnly)
  const allowed = (feature: Grant['features'][number]) =>
    snapshot.features.includes(feature) && constraints.every((one) => one.features?.includes(feature) ?? true)
  const grace = snapshot.ending.inputDuringGrace || constraints.every((one) => one.inputDuringGrace === true)
  const inside =
    (grant.viewOnly || !viewOnly) &&
    grant.features.every(allowed) &&
    grant.ending.mode === snapshot.ending.mode &&
    grant.ending.holdSeconds <= snapshot.ending.holdSeconds &&
    (!grant.ending.inputDuringGrace || grace) &&
    grant.exp * 1000 <= limits.endMs
  if (!inside) {
    findings.fail(CHECK, 'grant-outside-approval', path, 'the grant gives more than the approvers signed')
  }
}
