import type {
  AccessFacts,
  AccessPolicy,
  AccountName,
  ApprovalFacts,
  DenialReason,
  NotCounted,
} from '../domain/access-facts.ts'
import { type Feature, withoutTyping } from '../domain/words.ts'

/** The request cut down by every counted approval. */
export interface Terms {
  opensAt: number
  closesAt: number
  viewOnly: boolean
  features: Feature[]
  inputDuringGrace: boolean
}

export interface CountedApprovals {
  counted: ApprovalFacts[]
  enough: boolean
  /** Somebody said no to exactly this, and has not taken it back. */
  declined: boolean
  terms: Terms
  /** The earliest end of the counted approvals, or null. */
  validUntil: number | null
  reasons: DenialReason[]
}

/**
 * Which approvals count for a request, and what of the request they leave. An approval counts only when its
 * signature verified just now, it is over exactly this snapshot, and a person who may give it gave it: never the
 * requester (under any account), never the vendor's side, never one person twice.
 */
export function countApprovals(
  facts: AccessFacts,
  policy: AccessPolicy | null,
  at: number,
): CountedApprovals {
  const reasons: DenialReason[] = []
  const counted: ApprovalFacts[] = []
  let declined = false
  const byAge = [...facts.approvals].sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1))
  for (const approval of byAge) {
    if (approval.decision === 'declined') {
      // One person's no stands against any number of yeses, until it is withdrawn or the request is edited.
      if (approval.withdrawnAt === null && approval.snapshotHash === facts.request.snapshotHash)
        declined = true
      continue
    }
    const why = notCounted(approval, facts, policy, at, counted)
    if (why === null) counted.push(approval)
    else reasons.push({ code: 'approval-not-counted', approver: approval.approver.name, why })
  }
  if (declined && facts.request.state !== 'declined') reasons.push({ code: 'request-declined' })
  const rule = facts.rule
  const need = rule ? Math.max(rule.need, facts.asset.criticality === 'C1' ? 2 : 1) : 0
  const enough = rule !== null && Number.isInteger(rule.need) && counted.length >= need
  if (!rule || !Number.isInteger(rule.need)) reasons.push({ code: 'no-approval-rule' })
  else if (!enough) reasons.push({ code: 'approvals-missing', have: counted.length, need, roles: rule.roles })

  // What is not counted no longer stands in the way once others suffice; a refusal must not outlive its cure.
  const kept = enough ? reasons.filter((reason) => reason.code !== 'approval-not-counted') : reasons
  return {
    counted,
    enough,
    declined,
    terms: narrow(facts, counted),
    validUntil: earliest(counted),
    reasons: kept,
  }
}

function notCounted(
  approval: ApprovalFacts,
  facts: AccessFacts,
  policy: AccessPolicy | null,
  at: number,
  before: ApprovalFacts[],
): NotCounted | null {
  const { approver } = approval
  if (approval.withdrawnAt !== null) return 'withdrawn'
  if (approval.snapshotHash !== facts.request.snapshotHash) return 'edited-after'
  if (approval.method === 'passkey' ? approval.signature !== 'valid' : approval.signature === 'invalid')
    return 'signature-invalid'
  if (approval.method !== 'passkey' && !policy?.passwordApprovals) return 'method-not-allowed'
  if (approval.validUntil !== null && at >= approval.validUntil) return 'expired'
  if (samePerson(approver, facts.person)) return 'by-requester'
  if (approver.vendorId !== null) return 'by-vendor'
  if (!approver.enabled) return 'person-disabled'
  if (!facts.rule?.roles.some((role) => approver.roles.includes(role))) return 'role-lost'
  if (before.some((other) => samePerson(other.approver, approver))) return 'same-person'
  return null
}

/** The same human being: one person row, or any account in common (threat 7). */
export function samePerson(
  a: { id: string; accounts: AccountName[] },
  b: { id: string; accounts: AccountName[] },
): boolean {
  return (
    a.id === b.id ||
    a.accounts.some((one) =>
      b.accounts.some((other) => one.issuer === other.issuer && one.subject === other.subject),
    )
  )
}

/**
 * Intersection only: an approval can take away, never give more. Who may only look on types in no way, whatever else
 * was signed: neither by pasting nor in the grace after the window.
 */
function narrow(facts: AccessFacts, approvals: ApprovalFacts[]): Terms {
  const { request } = facts
  let opensAt = request.opensAt
  let closesAt = request.closesAt
  let features = request.features
  for (const approval of approvals) {
    if (approval.opensAt !== null) opensAt = Math.max(opensAt, approval.opensAt)
    if (approval.closesAt !== null) closesAt = Math.min(closesAt, approval.closesAt)
    const left = approval.features
    if (left) features = features.filter((feature) => left.includes(feature))
  }
  const viewOnly = request.viewOnly || approvals.some((approval) => approval.viewOnly)
  const inputDuringGrace =
    request.ending.inputDuringGrace ||
    (approvals.length > 0 && approvals.every((approval) => approval.inputDuringGrace))
  return {
    opensAt,
    closesAt,
    viewOnly,
    features: viewOnly ? withoutTyping(features) : features,
    inputDuringGrace: inputDuringGrace && !viewOnly,
  }
}

function earliest(approvals: ApprovalFacts[]): number | null {
  const ends = approvals.flatMap((approval) => (approval.validUntil === null ? [] : [approval.validUntil]))
  return ends.length === 0 ? null : Math.min(...ends)
}
