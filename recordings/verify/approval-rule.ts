import { z } from 'zod'
import type { ApprovalRecord } from '../../broker/contract/approval-record.ts'
import { CRITICALITIES, ROLES } from '../../broker/domain/words.ts'
import { parseJson } from '../format/json.ts'
import { PACKAGE_FILES } from '../format/package-layout.ts'
import { type IndexedPackage, readText } from './package-reader.ts'

/** Who had to approve, from asset.json: the approvers signed its hash, so no rule can be put in later. */
export interface ApprovalRule {
  need: number
  roles: readonly string[]
}

/** What a verifier reads of the asset snapshot; its other fields are for people and for the hash. */
const assetRule = z.object({
  criticality: z.enum(CRITICALITIES),
  rule: z.object({
    need: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER),
    roles: z.array(z.enum(ROLES)).min(1).max(ROLES.length),
  }),
})

/** The rule in force when the request was made; null when asset.json names none. C1 needs two people, always. */
export async function readApprovalRule(reader: IndexedPackage): Promise<ApprovalRule | null> {
  const text = await readText(reader, PACKAGE_FILES.asset)
  if (!text.ok) return null
  try {
    const parsed = assetRule.safeParse(parseJson(text.value))
    if (!parsed.success) return null
    const { criticality, rule } = parsed.data
    return { need: Math.max(rule.need, criticality === 'C1' ? 2 : 1), roles: rule.roles }
  } catch {
    return null
  }
}

/** The approvals that count for a rule: granted, by somebody who may approve, each person and passkey once. */
export function countApprovers(records: readonly ApprovalRecord[], rule: ApprovalRule): number {
  const counted: ApprovalRecord[] = []
  for (const record of records) {
    const counts =
      record.document.decision === 'granted' &&
      rule.roles.includes(record.approver.role) &&
      mayNotApprove(record) === null &&
      !counted.some((other) => sameHand(other, record))
    if (counts) counted.push(record)
  }
  return counted.length
}

/** Why the one who approved could not approve this, or null. Codes: approval-by-requester, approval-by-vendor. */
export function mayNotApprove({ approver, document }: ApprovalRecord): string | null {
  const { requester } = document.snapshot
  if (approver.id === requester.id || samePerson(approver, requester)) return 'approval-by-requester'
  if (approver.role === 'vendor' || approver.organisation === requester.vendor.name)
    return 'approval-by-vendor'
  return null
}

/** Two approvals from one person, one account or one passkey: they count once. */
export function sameHand(a: ApprovalRecord, b: ApprovalRecord): boolean {
  return (
    a.approver.id === b.approver.id ||
    samePerson(a.approver, b.approver) ||
    (a.assertion !== null && a.assertion.credentialId === b.assertion?.credentialId)
  )
}

function samePerson(a: { issuer: string; subject: string }, b: { issuer: string; subject: string }): boolean {
  return a.issuer === b.issuer && a.subject === b.subject
}
