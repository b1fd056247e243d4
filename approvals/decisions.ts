import { randomBytes } from 'node:crypto'
import { generateAuthenticationOptions } from '@simplewebauthn/server'
import { z } from 'zod'
import {
  type ApprovalConstraints,
  type ApprovalDocument,
  type ApprovalRecord,
  approvalChallenge,
  approvalDocument,
  approvalHash,
  approvalRecord,
} from '../broker/contract/approval-record.ts'
import { DEFAULT_POLICY } from '../broker/domain/access-facts.ts'
import { sha256 } from '../broker/domain/canonical.ts'
import { conflict, Failure, forbidden, notFound, wrongField } from '../broker/domain/failure.ts'
import { newId } from '../broker/domain/ids.ts'
import { holds, type Principal } from '../broker/domain/principal.ts'
import type { RequestSnapshot } from '../broker/domain/request-snapshot.ts'
import { withoutTyping } from '../broker/domain/words.ts'
import { rowStates } from '../broker/inventory/row-states.ts'
import { countApprovals, samePerson } from '../broker/policy/count-approvals.ts'
import { decideAccess } from '../broker/policy/decide-access.ts'
import { explain } from '../broker/policy/explain.ts'
import { type Tx, uniqueViolation } from '../broker/store/sql.ts'
import { type ApprovalsDeps, actorOf, announce, signInOf } from './deps.ts'
import { type GatheredRequest, gatherRequest } from './gather-facts.ts'
import { meaningOf } from './meaning.ts'
import { readPeople, type SitePerson } from './people.ts'
import { refreshRequest, text } from './requests.ts'
import {
  type ApprovalRow,
  approvalState,
  type ExtensionRow,
  notVouchedFor,
  type RequestRow,
  requestState,
} from './rows.ts'
import { keyRows, type SigningKey, signingKeys, verifyAssertion } from './verify-approval.ts'

/** How long an approver has between reading and signing. */
const CHALLENGE_MS = 5 * 60_000

export interface DecisionBody {
  decision: 'granted' | 'declined'
  constraints: ApprovalConstraints
  /** What the approver saw; null where the page could not have seen another (extensions). */
  snapshotHash: string | null
  reason: string | null
}

export type Target = { kind: 'request'; id: string } | { kind: 'extension'; id: string }

export interface Beginning {
  challengeId: string
  document: ApprovalDocument
  meaning: string
  options: Awaited<ReturnType<typeof generateAuthenticationOptions>>
}

/** Builds and stores exactly what will be signed, and asks the approver's passkeys for it. */
export async function beginDecision(
  deps: ApprovalsDeps,
  principal: Principal,
  target: Target,
  body: DecisionBody,
  source: string,
): Promise<Beginning> {
  const begun = await attempt(deps, principal, target, source, (tx) =>
    begin(deps, tx, principal, target, body),
  )
  // Refused only after the commit: the new version, which the approver is sent to, must stay.
  if (begun === 'refreshed')
    throw conflict(
      'request-changed',
      'The ticket or the plant changed since the request was made; it has been read again.',
      'Look at the request again, then decide.',
    )
  return begun
}

async function begin(
  deps: ApprovalsDeps,
  tx: Tx,
  principal: Principal,
  target: Target,
  body: DecisionBody,
): Promise<Beginning | 'refreshed'> {
  const now = deps.clock.wall()
  const found = await locate(deps, tx, principal, target)
  const { gathered, approver, keys, extension } = found
  if (body.snapshotHash !== null && body.snapshotHash !== gathered.row.snapshot_hash)
    throw conflict(
      'request-edited',
      'The request was edited since you read it.',
      'Look at it again, then decide.',
    )
  if (target.kind === 'request' && body.decision === 'granted' && gathered.row.state === 'waiting') {
    if (await refreshRequest(deps, tx, gathered.row, gathered.snapshot, gathered)) return 'refreshed'
  }
  mayDecide(found, body.decision, now)
  const constraints = narrowing(gathered.snapshot, body, now)
  const snapshot = extension ? (JSON.parse(extension.snapshot) as RequestSnapshot) : gathered.snapshot
  const document = approvalDocument.parse({
    snapshot,
    constraints,
    decision: body.decision,
    meaning: meaningOf(body.decision, snapshot, constraints),
    nonce: randomBytes(32).toString('base64url'),
  })
  const challengeId = newId(now)
  await tx`DELETE FROM approval_challenge WHERE used_at IS NULL AND expires_at < ${new Date(now - 86_400_000)}`
  await tx`
    INSERT INTO approval_challenge (id, person_id, sign_in_id, request_id, extension_id, version, document, reason,
      created_at, expires_at)
    VALUES (${challengeId}, ${approver.id}, ${principal.signInId}, ${gathered.row.id}, ${extension?.id ?? null},
      ${gathered.row.version}, ${text(document)}, ${body.reason}, ${new Date(now)}, ${new Date(now + CHALLENGE_MS)})`
  const options = await generateAuthenticationOptions({
    rpID: deps.webauthn.rpId,
    challenge: new Uint8Array(approvalChallenge(document)),
    allowCredentials: keys.map((key) => ({ id: key.credentialId })),
    userVerification: 'required',
    timeout: CHALLENGE_MS,
  })
  return { challengeId, document, meaning: document.meaning, options }
}

interface ChallengeRow {
  id: string
  person_id: string
  sign_in_id: string
  request_id: string
  extension_id: string | null
  version: number
  document: string
  reason: string | null
  expires_at: Date
  used_at: Date | null
}

const assertionBody = z.looseObject({
  id: z.string().min(1).max(1400),
  response: z.looseObject({
    authenticatorData: z.string().min(1).max(6000),
    clientDataJSON: z.string().min(1).max(12_000),
    signature: z.string().min(1).max(1400),
  }),
})

/** Finishes a decision: everything is checked again, the assertion is verified, and the stored document counts once. */
export async function finishDecision(
  deps: ApprovalsDeps,
  principal: Principal,
  target: Target,
  body: { challengeId: string; assertion: unknown },
  source: string,
): Promise<void> {
  const assertion = assertionBody.safeParse(body.assertion)
  if (!assertion.success)
    throw new Failure(
      422,
      'assertion-malformed',
      'This is no passkey answer.',
      'Reload the page and try again.',
    )
  try {
    await attempt(deps, principal, target, source, (tx) =>
      finish(deps, tx, principal, target, body.challengeId, assertion.data, source),
    )
  } catch (error) {
    if (uniqueViolation(error) !== null) throw alreadyDecided()
    throw error
  }
}

async function finish(
  deps: ApprovalsDeps,
  tx: Tx,
  principal: Principal,
  target: Target,
  challengeId: string,
  assertion: z.infer<typeof assertionBody>,
  source: string,
): Promise<void> {
  const now = deps.clock.wall()
  const [challenge] = await tx<ChallengeRow[]>`
    SELECT * FROM approval_challenge WHERE id = ${challengeId} FOR UPDATE`
  const fits =
    target.kind === 'request' ? challenge?.request_id === target.id : challenge?.extension_id === target.id
  if (
    !challenge ||
    !fits ||
    challenge.person_id !== principal.personId ||
    challenge.sign_in_id !== principal.signInId ||
    (target.kind === 'request' && challenge.extension_id !== null)
  )
    throw notFound('decision')
  if (challenge.used_at)
    throw conflict('already-used', 'This decision was sent already.', 'Reload the page to see what holds.')
  if (challenge.expires_at.getTime() <= now)
    throw conflict(
      'challenge-expired',
      'Too much time passed between reading and signing.',
      'Read it again, then sign.',
    )
  const found = await locate(deps, tx, principal, target)
  const { gathered, approver, extension } = found
  const document = approvalDocument.parse(JSON.parse(challenge.document))
  const signed = extension ? extension.snapshot : text(gathered.snapshot)
  if (gathered.row.version !== challenge.version || text(document.snapshot) !== signed)
    throw conflict(
      'request-edited',
      'The request was edited since you read it.',
      'Look at it again, then decide.',
    )
  if (document.decision === 'withdrawn') throw notFound('decision')
  mayDecide(found, document.decision, now)
  const { decision } = document

  const key = found.keys.find((candidate) => candidate.credentialId === assertion.id)
  if (!key)
    throw forbidden(
      'This passkey may not sign approvals: it is not yours, or no administrator has confirmed it yet.',
      'Use a confirmed passkey, or ask an administrator to confirm this one.',
    )
  const proof = await verifyAssertion(deps.webauthn, document, key, assertion.response)
  if (!proof)
    throw forbidden('The signature does not fit what was to be signed.', 'Reload the page and sign again.')

  const at = new Date(now)
  const role =
    gathered.facts.rule?.roles.find((candidate) => approver.roles.includes(candidate)) ?? 'approver'
  const record: ApprovalRecord = approvalRecord.parse({
    v: 1,
    id: newId(now),
    document,
    approver: {
      id: approver.id,
      issuer: approver.issuer,
      subject: approver.subject,
      name: approver.name,
      organisation: gathered.ground.siteName,
      role,
    },
    method: 'passkey',
    assertion: proof,
    at: at.toISOString(),
  })
  const hash = approvalHash(document)
  await tx`UPDATE approval_challenge SET used_at = ${at} WHERE id = ${challenge.id}`
  const [row] = await tx<ApprovalRow[]>`
    INSERT INTO approval (id, request_id, version, extension_id, person_id, decision, snapshot_hash, record,
      document_hash, reason, at)
    VALUES (${record.id}, ${gathered.row.id}, ${gathered.row.version}, ${extension?.id ?? null}, ${approver.id},
      ${decision}, ${extension ? extension.snapshot_hash : gathered.row.snapshot_hash}, ${text(record)}, ${hash},
      ${challenge.reason}, ${at})
    RETURNING *`
  if (!row) throw new Error('the approval was not written')
  await deps.audit.record(tx, {
    action: `approval.${decision}`,
    actor: actorOf(principal, gathered.ground.siteName),
    authentication: { method: 'passkey', credential: key.credentialId, at: at.toISOString() },
    source,
    object: { kind: 'approval', id: row.id },
    after: approvalState(row),
    reason: challenge.reason,
    correlation: {
      request: gathered.row.id,
      ticket: gathered.row.ticket_key,
      session: extension?.session_id ?? null,
    },
    details: {
      approval: hash,
      key: sha256(key.publicKey).toString('hex'),
      snapshot: row.snapshot_hash,
      extension: extension?.id ?? null,
    },
  })
  if (!extension) await settle(deps, tx, gathered.row.id)
  await announce(tx, [gathered.row.id])
}

/** Takes an approval (or a refusal) back. A session that rests on it ends by its rule. */
export async function withdrawApproval(
  deps: ApprovalsDeps,
  principal: Principal,
  approvalId: string,
  reason: string,
  source: string,
): Promise<string> {
  return deps.db.tx(async (tx) => {
    const [found] = await tx<{ request_id: string; site_id: string }[]>`
      SELECT a.request_id, r.site_id FROM approval a JOIN access_request r ON r.id = a.request_id
      WHERE a.id = ${approvalId}`
    if (!found || !holds(principal, found.site_id, 'approver')) throw notFound('approval')
    await lockRequest(tx, found.request_id)
    const [before] = await tx<ApprovalRow[]>`SELECT * FROM approval WHERE id = ${approvalId} FOR UPDATE`
    if (!before) throw notFound('approval')
    if (before.withdrawn_at) return found.request_id
    // What is recorded as its new state vouches for the row: it must be the one that the log knows.
    await deps.audit.verifyObjects(tx, [{ kind: 'approval', id: approvalId, current: approvalState(before) }])
    // One person's no stands until that person takes it back; anybody may take a permission away.
    if (before.decision === 'declined' && before.person_id !== principal.personId)
      throw forbidden(
        'A refusal is withdrawn by whoever gave it.',
        'Ask them, or let the vendor change the request and ask again.',
      )
    const [after] = await tx<ApprovalRow[]>`
      UPDATE approval SET withdrawn_at = ${new Date(deps.clock.wall())}, withdrawn_by = ${principal.personId},
        withdrawn_because = ${reason}
      WHERE id = ${approvalId} RETURNING *`
    if (!after) throw notFound('approval')
    await deps.audit.record(tx, {
      action: 'approval.withdrawn',
      actor: actorOf(principal, null),
      authentication: signInOf(principal),
      source,
      object: { kind: 'approval', id: approvalId },
      before: approvalState(before),
      after: approvalState(after),
      reason,
      correlation: { request: found.request_id },
      details: { approval: before.document_hash },
    })
    if (!before.extension_id) await settle(deps, tx, found.request_id)
    await announce(tx, [found.request_id])
    return found.request_id
  }, 'repeatable read')
}

interface Found {
  target: Target
  gathered: GatheredRequest
  approver: SitePerson
  keys: SigningKey[]
  extension: ExtensionRow | null
  /** Rows of the approver (account, roles, passkeys) for which the log does not vouch. */
  unvouched: { object: string; id: string }[]
}

/** The request (locked) or extension, and the person as an approver of its site; "not found" for anybody else. */
async function locate(deps: ApprovalsDeps, tx: Tx, principal: Principal, target: Target): Promise<Found> {
  let requestId = target.id
  let extension: ExtensionRow | null = null
  if (target.kind === 'extension') {
    const [row] = await tx<ExtensionRow[]>`SELECT * FROM extension_request WHERE id = ${target.id}`
    if (!row) throw notFound('extension')
    extension = row
    requestId = row.request_id
  }
  const locked = await lockRequest(tx, requestId)
  if (!locked || !holds(principal, locked.site_id, 'approver')) throw notFound('request')
  const gathered = await gatherRequest(deps, tx, requestId, {
    purpose: 'preview',
    sessionId: extension?.session_id ?? null,
    runtime: { gatewayOnline: true, clock: 'ok', storageBelowReserve: false, restoreUnconfirmed: false },
    strongAuthAt: null,
  })
  if (!gathered) throw notFound('request')
  const approver = (await readPeople(tx, gathered.ground.siteId, [principal.personId])).get(
    principal.personId,
  )
  if (!approver) throw notFound('request')
  const keys = await signingKeys(tx, [approver.id])
  const unvouched = await notVouchedFor(deps, tx, await rowStates(tx, [...approver.rows, ...keyRows(keys)]))
  return { target, gathered, approver, keys, extension, unvouched }
}

/**
 * One lock for all decisions about a request: two approvers at the same instant are counted one after the other. An
 * update although nothing changes, because a repeatable-read transaction that waited for a mere lock would go on with
 * what it saw before, and miss the other's approval; after an update it is run again.
 */
async function lockRequest(tx: Tx, id: string): Promise<RequestRow | undefined> {
  const [row] = await tx<RequestRow[]>`
    UPDATE access_request SET version = version WHERE id = ${id} RETURNING *`
  return row
}

/** Separation of duties and what must hold for a decision at all. Throws a Failure with its own code for each. */
function mayDecide(found: Found, decision: 'granted' | 'declined', now: number): void {
  const { gathered, approver, extension, keys } = found
  const { facts, row } = gathered
  if (row.state === 'withdrawn' || row.state === 'ended')
    throw conflict('request-over', 'The request is withdrawn or over.', 'Nothing needs to be decided.')
  if (samePerson(approver, facts.person))
    throw forbidden(
      'Nobody decides their own request, under any account.',
      'Another approver of the site decides.',
    )
  if (approver.vendorId !== null)
    throw forbidden("The vendor's side does not decide.", "An approver of the plant's own people decides.")
  if (!approver.enabled) throw forbidden('Your account is disabled.')
  if (!facts.rule?.roles.some((role) => approver.roles.includes(role)))
    throw forbidden('You hold none of the roles that may approve here.')
  if (keys.length === 0)
    throw new Failure(
      403,
      'no-signing-passkey',
      'You have no passkey that may sign approvals.',
      'Register a passkey and have an administrator confirm it.',
    )
  if (facts.unvouched.length > 0 || found.unvouched.length > 0)
    throw conflict(
      'row-not-vouched',
      'Stored rows behind this request differ from what the audit log says.',
      'An administrator and an auditor have been alarmed; nothing can be approved until that is cleared.',
    )
  const over = extension ? extension.closes_at.getTime() : facts.request.closesAt
  if (now >= over)
    throw conflict(
      'window-over',
      'The window is over; a decision has no effect any more.',
      'The vendor can ask again.',
    )
  if (row.state === 'declined')
    throw conflict(
      'request-declined',
      'The request was declined already.',
      'The vendor can change it and ask again.',
    )
  const standing = gathered.approvals.filter(
    ({ row: each }) =>
      each.withdrawn_at === null &&
      (extension
        ? each.extension_id === extension.id
        : each.extension_id === null && each.snapshot_hash === row.snapshot_hash),
  )
  const mine = standing.some(
    ({ row: each }) =>
      each.person_id === approver.id ||
      [...facts.approvals, ...facts.extensions.flatMap((one) => one.approvals)].some(
        (approval) => approval.id === each.id && samePerson(approval.approver, approver),
      ),
  )
  if (mine) throw alreadyDecided()
  if (decision === 'declined') return
  const answer = decideAccess(facts, now)
  const reasons = answer.permit
    ? []
    : answer.reasons.filter(
        (reason) =>
          reason.code.startsWith('ticket-') ||
          reason.code === 'window-outside-ticket' ||
          // Who signs sees what stands against the deviation, and until when.
          reason.code.startsWith('exception-'),
      )
  const first = reasons[0]
  if (first) {
    const { text: message, who } = explain(first)
    throw new Failure(409, first.code, message, `${who} can change that.`, reasons.map(explain))
  }
}

function alreadyDecided(): Failure {
  return conflict(
    'already-decided',
    'You have decided this already.',
    'Withdraw your decision to make another.',
  )
}

/** Checks that constraints only take away. */
function narrowing(snapshot: RequestSnapshot, body: DecisionBody, now: number): ApprovalConstraints {
  const { constraints } = body
  const widens = (what: string) =>
    new Failure(
      422,
      'constraint-widens',
      `An approval can narrow ${what}, never widen it.`,
      'Choose less than was asked for.',
    )
  if (body.decision === 'declined') {
    if (Object.keys(constraints).length > 0)
      throw new Failure(
        422,
        'constraint-on-refusal',
        'A refusal has no constraints.',
        'Approve with constraints instead.',
      )
    return {}
  }
  const opens = Date.parse(snapshot.window.opensAt)
  const closes = Date.parse(snapshot.window.closesAt)
  const opensAt = constraints.opensAt === undefined ? opens : Date.parse(constraints.opensAt)
  const closesAt = constraints.closesAt === undefined ? closes : Date.parse(constraints.closesAt)
  if (opensAt < opens || closesAt > closes) throw widens('the window')
  if (opensAt >= closesAt || closesAt <= now)
    throw new Failure(
      422,
      'window-empty',
      'This leaves nothing of the window.',
      'Choose a later end, or decline.',
    )
  if (constraints.features?.some((feature) => !snapshot.features.includes(feature)))
    throw widens('the features')
  const viewOnly = constraints.viewOnly === true || snapshot.viewOnly
  if (viewOnly && constraints.features?.some((feature) => !withoutTyping([feature]).includes(feature)))
    throw wrongField(
      'view-only-pastes',
      'constraints.features',
      'Pasting is typing: who may only look on pastes nothing.',
      'Take pasting away, or let them type.',
    )
  if (viewOnly && constraints.inputDuringGrace)
    throw wrongField(
      'view-only-types',
      'constraints.inputDuringGrace',
      'Who may only look on has no input that could go on during grace.',
      'Leave input during grace out, or let them type.',
    )
  // What is signed says it in full, also when the page left it to us.
  const features = constraints.features ?? (viewOnly ? withoutTyping(snapshot.features) : snapshot.features)
  if (constraints.inputDuringGrace && snapshot.ending.mode === 'cut')
    throw new Failure(422, 'no-grace', 'This asset is cut at the end: there is no grace.', 'Leave it out.')
  return {
    ...(constraints.opensAt === undefined ? {} : { opensAt: new Date(opensAt).toISOString() }),
    ...(constraints.closesAt === undefined ? {} : { closesAt: new Date(closesAt).toISOString() }),
    ...(constraints.viewOnly ? { viewOnly: true as const } : {}),
    ...(constraints.features || features.length < snapshot.features.length
      ? { features: [...new Set(features)].sort() }
      : {}),
    ...(constraints.inputDuringGrace ? { inputDuringGrace: true as const } : {}),
  }
}

/** Counts afresh and brings the request's state in line. The request's row is locked by the caller. */
async function settle(deps: ApprovalsDeps, tx: Tx, requestId: string): Promise<void> {
  const gathered = await gatherRequest(deps, tx, requestId, {
    purpose: 'preview',
    sessionId: null,
    runtime: { gatewayOnline: true, clock: 'ok', storageBelowReserve: false, restoreUnconfirmed: false },
    strongAuthAt: null,
  })
  if (!gathered) return
  const { row, facts } = gathered
  if (row.state === 'withdrawn' || row.state === 'ended') return
  const counted = countApprovals(facts, DEFAULT_POLICY, deps.clock.wall())
  const state = counted.declined
    ? 'declined'
    : counted.enough && facts.unvouched.length === 0
      ? 'approved'
      : 'waiting'
  if (state === row.state) return
  const [after] = await tx<RequestRow[]>`
    UPDATE access_request SET state = ${state} WHERE id = ${requestId} RETURNING *`
  if (!after) return
  await deps.audit.record(tx, {
    action: `access-request.${state}`,
    actor: { kind: 'system', id: 'approvals', name: null, organisation: null },
    object: { kind: 'access-request', id: requestId },
    before: requestState(row),
    after: requestState(after),
    correlation: { request: requestId, ticket: row.ticket_key },
    details: { version: row.version, have: counted.counted.length },
  })
}

/** Runs `work` in one moment's view of the database; a refusal by separation of duties or by a signature is an audit entry of its own. */
async function attempt<T>(
  deps: ApprovalsDeps,
  principal: Principal,
  target: Target,
  source: string,
  work: (tx: Tx) => Promise<T>,
): Promise<T> {
  try {
    return await deps.db.tx(work, 'repeatable read')
  } catch (error) {
    if (error instanceof Failure && (error.status === 403 || error.status === 409)) {
      await deps.db.tx((tx) =>
        deps.audit.record(tx, {
          action: 'approval.refused',
          actor: actorOf(principal, null),
          authentication: signInOf(principal),
          source,
          object: { kind: target.kind === 'request' ? 'access-request' : 'extension', id: target.id },
          result: 'denied',
          reason: error.code,
        }),
      )
    }
    throw error
  }
}
