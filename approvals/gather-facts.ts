import type { ObjectState } from '../broker/audit/log.ts'
import { type ApprovalRecord, approvalHash, approvalRecord } from '../broker/contract/approval-record.ts'
import type { AuditEntry } from '../broker/contract/audit-entry.ts'
import {
  type AccessFacts,
  type ApprovalFacts,
  DEFAULT_POLICY,
  type ExtensionFacts,
  type ReadyFacts,
} from '../broker/domain/access-facts.ts'
import type { RuntimeFacts } from '../broker/domain/ports.ts'
import {
  type AssetSnapshot,
  assetHash,
  changedFields,
  type RequestSnapshot,
  snapshotHash,
} from '../broker/domain/request-snapshot.ts'
import type { Feature, RequestState } from '../broker/domain/words.ts'
import { rowStates } from '../broker/inventory/row-states.ts'
import { gatewayState, readGateway } from '../broker/link/gateway-rows.ts'
import {
  canonicalReady,
  type ReadyRow,
  readyUsedBy,
  standingReady,
} from '../broker/sessions/console-ready.ts'
import type { Query } from '../broker/store/sql.ts'
import type { ApprovalsDeps } from './deps.ts'
import {
  assetSnapshotOf,
  type Ground,
  incompleteFields,
  type RowName,
  readAccounts,
  readGround,
  ruleName,
} from './ground.ts'
import { readPeople, readVendor, type SitePerson } from './people.ts'
import {
  type ApprovalRow,
  approvalState,
  type ExtensionRow,
  extensionState,
  notVouchedFor,
  type RequestRow,
  type RuleRow,
  requestState,
  ruleState,
  type VersionRow,
} from './rows.ts'
import { ticketKeyState } from './tickets/signed-file.ts'
import { type KnownTicket, knownTicket, ticketName, ticketState } from './tickets/ticket-book.ts'
import { keyRows, type SigningKey, signingKeys, verifyStored } from './verify-approval.ts'

/** What only the caller knows. */
export interface Asking {
  purpose: AccessFacts['purpose']
  /** The session that asks; its extensions count and it does not block itself. */
  sessionId: string | null
  runtime: Pick<RuntimeFacts, 'gatewayOnline' | 'clock' | 'storageBelowReserve' | 'restoreUnconfirmed'>
  strongAuthAt: number | null
  /** As if nobody had asked for the console or said that it is free: what else is missing? */
  leavesWordOut?: true
}

/** What is wanted: a stored request's version, or what stands on the form. */
export interface Wanted {
  requestId: string
  version: number
  state: RequestState
  snapshotHash: string
  changedSince: string[]
  stopped: AccessFacts['request']['stopped']
  held: AccessFacts['request']['held']
  personId: string
  account: string
  features: Feature[]
  viewOnly: boolean
  opensAt: number
  closesAt: number
  ending: AccessFacts['request']['ending']
  ticket: { system: string; key: string }
}

export interface Gathered {
  facts: AccessFacts
  ground: Ground
  requester: SitePerson | null
  vendor: Awaited<ReturnType<typeof readVendor>>
  ticket: KnownTicket | null
}

export interface GatheredRequest extends Gathered {
  row: RequestRow
  snapshot: RequestSnapshot
  approvals: { row: ApprovalRow; record: ApprovalRecord | null }[]
  /** What stands about the console, on an asset whose operators use it. */
  console: ReadyRow | null
}

/**
 * Reads everything that a decision about a stored request rests on, afresh, and asks the audit log to vouch for each
 * security-relevant row. Null when there is no such request. Give it a repeatable-read transaction, so that all rows
 * are of one moment.
 */
export async function gatherRequest(
  deps: ApprovalsDeps,
  query: Query,
  requestId: string,
  asking: Asking,
): Promise<GatheredRequest | null> {
  const [row] = await query<RequestRow[]>`SELECT * FROM access_request WHERE id = ${requestId}`
  if (!row) return null
  const [version] = await query<VersionRow[]>`
    SELECT * FROM access_request_version WHERE request_id = ${row.id} AND version = ${row.version}`
  const ground = await readGround(query, row.endpoint_id)
  if (!version || !ground) return null
  const snapshot = JSON.parse(version.snapshot) as RequestSnapshot
  const approvalRows = await query<ApprovalRow[]>`
    SELECT * FROM approval WHERE request_id = ${row.id} AND extension_id IS NULL ORDER BY at, id LIMIT 100`
  const extensionRows = asking.sessionId
    ? await query<ExtensionRow[]>`
        SELECT * FROM extension_request WHERE session_id = ${asking.sessionId} AND request_id = ${row.id}
        ORDER BY asked_at LIMIT 50`
    : []
  const extensionApprovals = extensionRows.length
    ? await query<ApprovalRow[]>`
        SELECT * FROM approval WHERE extension_id = ANY(${extensionRows.map((each) => each.id)}::uuid[])
        ORDER BY at, id LIMIT 200`
    : []
  const all = [...approvalRows, ...extensionApprovals]
  const approverIds = [...new Set(all.map((approval) => approval.person_id))]
  const approvers = await readPeople(query, ground.siteId, approverIds)
  const keys = await signingKeys(query, approverIds)
  const word = ground.operatorsUseConsole ? await consoleWord(query, row, asking) : null
  const operator =
    word?.givenBy == null ? null : (await readPeople(query, ground.siteId, [word.givenBy])).get(word.givenBy)
  const approvals = await Promise.all(
    all.map(async (approval) => ({
      row: approval,
      ...(await approvalFacts(deps, approval, approvers.get(approval.person_id), keys)),
    })),
  )
  const gathered = await gather(
    deps,
    query,
    ground,
    {
      requestId: row.id,
      version: row.version,
      state: row.state,
      snapshotHash: snapshotHash(snapshot),
      changedSince: changedSince(snapshot, version, row, ground),
      ...(await ordersFor(deps, query, snapshot)),
      personId: row.requester_id,
      account: snapshot.account,
      features: snapshot.features,
      viewOnly: snapshot.viewOnly,
      opensAt: Date.parse(snapshot.window.opensAt),
      closesAt: Date.parse(snapshot.window.closesAt),
      ending: snapshot.ending,
      ticket: { system: snapshot.ticket.system, key: snapshot.ticket.key },
    },
    asking,
    {
      ready: word && operator ? readyFacts(word, operator) : null,
      approvals: approvals.filter(({ row: each }) => each.extension_id === null).map(({ facts }) => facts),
      extensions: extensionRows.map((extension) =>
        extensionFacts(
          extension,
          approvals.filter(({ row: each }) => each.extension_id === extension.id).map(({ facts }) => facts),
        ),
      ),
      states: [
        { kind: 'access-request', id: row.id, current: requestState(row) },
        ...all.map((approval) => ({ kind: 'approval', id: approval.id, current: approvalState(approval) })),
        ...extensionRows.map((extension) => ({
          kind: 'extension',
          id: extension.id,
          current: extensionState(extension),
        })),
        ...(word ? [{ kind: 'console-ready', id: word.id, current: canonicalReady(word) }] : []),
      ],
      rows: [
        ...[...approvers.values()].flatMap((person) => person.rows),
        ...keyRows(keys),
        ...(operator?.rows ?? []),
      ],
    },
  )
  return {
    ...gathered,
    row,
    snapshot,
    approvals: approvals.map(({ row: each, record }) => ({ row: each, record })),
    console: word,
  }
}

/** The same for what stands on the form, before it is a request. */
export function gatherProposal(
  deps: ApprovalsDeps,
  query: Query,
  ground: Ground,
  wanted: Wanted,
  asking: Asking,
): Promise<Gathered> {
  return gather(deps, query, ground, wanted, asking, {
    ready: null,
    approvals: [],
    extensions: [],
    states: [],
    rows: [],
  })
}

async function gather(
  deps: ApprovalsDeps,
  query: Query,
  ground: Ground,
  wanted: Wanted,
  asking: Asking,
  given: {
    ready: ReadyFacts | null
    approvals: ApprovalFacts[]
    extensions: ExtensionFacts[]
    states: ObjectState[]
    rows: RowName[]
  },
): Promise<Gathered> {
  const people = await readPeople(query, ground.siteId, [wanted.personId])
  const requester = people.get(wanted.personId) ?? null
  const vendor = requester?.vendorId ? await readVendor(query, requester.vendorId) : null
  const sponsors = vendor ? await readPeople(query, ground.siteId, [vendor.sponsor.id]) : new Map()
  const ticket = await knownTicket(deps, query, ground.siteId, wanted.ticket.system, wanted.ticket.key)
  const accounts = await readAccounts(query, ground)
  const busy = await query<{ id: string; name: string }[]>`
    SELECT s.id, p.name FROM session s JOIN person p ON p.id = s.person_id
    WHERE s.endpoint_id = ${ground.endpointId} AND s.state <> 'closed'`
  const [accepted] = await query<{ version: number | null }[]>`
    SELECT max(version) AS version FROM notice_acceptance
    WHERE person_id = ${wanted.personId} AND site_id = ${ground.siteId}`

  const rows: RowName[] = [
    ...ground.rows,
    ...(requester?.rows ?? []),
    ...(vendor ? [{ kind: 'vendor', id: vendor.id }] : []),
    ...[...sponsors.values()].map((person: SitePerson) => ({ kind: 'person', id: person.id })),
    ...given.rows,
  ]
  const unvouched = await notVouchedFor(deps, query, [
    ...(await ownStates(query, ground, ticket)),
    ...given.states,
    ...(await rowStates(query, distinct(rows.filter((row) => row.kind !== 'approval-rule')), {
      gateway: gatewayForm,
    })),
  ])

  const facts: AccessFacts = {
    v: 1,
    purpose: asking.purpose,
    policy: { ...DEFAULT_POLICY },
    person: {
      id: wanted.personId,
      name: requester?.name ?? '',
      accounts: requester?.accounts ?? [],
      enabled: requester?.enabled ?? false,
      mayRequest: requester?.roles.includes('vendor') ?? false,
      accountEndsAt: requester?.accountEndsAt?.getTime() ?? null,
      trainingValidUntil: requester?.trainingValidUntil?.getTime() ?? null,
      strongAuthAt: asking.strongAuthAt,
    },
    vendor: vendor && {
      id: vendor.id,
      name: vendor.name,
      enabled: vendor.enabled,
      contractEndsAt: vendor.contractEndsAt.getTime(),
      sponsor: {
        name: vendor.sponsor.name,
        enabled: vendor.sponsor.enabled,
        endsAt: vendor.sponsor.accountEndsAt?.getTime() ?? null,
      },
    },
    site: {
      id: ground.siteId,
      name: ground.siteName,
      timeZone: ground.timeZone,
      lock: ground.lock && {
        since: ground.lock.since.getTime(),
        by: ground.lock.by,
        reason: ground.lock.reason,
      },
      notice:
        ground.noticeVersion === null
          ? null
          : { version: ground.noticeVersion, acceptedVersion: accepted?.version ?? null },
    },
    asset: {
      id: ground.assetId,
      name: ground.assetName,
      criticality: ground.criticality,
      enabled: ground.enabled,
      incomplete: incompleteFields(ground),
      configurationItem: ground.assetName,
      operatorsUseConsole: ground.operatorsUseConsole,
    },
    endpoint: {
      id: ground.endpointId,
      protocol: ground.protocol,
      account: wanted.account,
      vnc: ground.vnc,
      rdp: ground.rdp,
      identities: ground.identities.map(({ algorithm, fingerprint }) => ({ algorithm, fingerprint })),
      identityState: identityState(ground),
      hasCredential: accounts.includes(wanted.account),
      busyWith: busy
        .filter((session) => session.id !== asking.sessionId)
        .map((session) => ({ session: session.id, person: session.name })),
    },
    conduit: ground.conduit && {
      id: ground.conduit.id,
      name: ground.conduit.name,
      enabled: ground.conduit.enabled,
      protocols: ground.conduit.protocols,
    },
    gateway:
      ground.gatewayId === null
        ? null
        : { id: ground.gatewayId, name: ground.gatewayName ?? '', online: asking.runtime.gatewayOnline },
    request: {
      id: wanted.requestId,
      version: wanted.version,
      state: wanted.state,
      snapshotHash: wanted.snapshotHash,
      changedSince: wanted.changedSince,
      stopped: wanted.stopped,
      held: wanted.held,
      opensAt: wanted.opensAt,
      closesAt: wanted.closesAt,
      timeZone: ground.timeZone,
      viewOnly: wanted.viewOnly,
      features: wanted.features,
      ending: wanted.ending,
    },
    ready: given.ready,
    rule: ground.rule,
    approvals: given.approvals,
    extensions: given.extensions,
    ticket: ticket?.facts ?? null,
    blackouts: [],
    exceptionsNeeded: ground.deviations.map(({ kind, exception }) => ({
      kind,
      expiresAt: exception?.expiresAt.getTime() ?? null,
    })),
    unvouched,
    clock: { state: asking.runtime.clock },
    storage: { belowReserve: asking.runtime.storageBelowReserve },
    restore: { unconfirmed: asking.runtime.restoreUnconfirmed },
  }
  return { facts, ground, requester, vendor, ticket }
}

/** What a running session used to open; for a new one, what stands. */
async function consoleWord(query: Query, request: RequestRow, asking: Asking): Promise<ReadyRow | null> {
  if (asking.leavesWordOut) return null
  if (asking.sessionId !== null) return readyUsedBy(query, asking.sessionId)
  const row = await standingReady(query, request.id)
  // A word about another version of the request was not about this work.
  return row?.requestVersion === request.version ? row : null
}

/** An operator's word as the decision weighs it. */
function readyFacts(row: ReadyRow, operator: SitePerson): ReadyFacts | null {
  if (row.givenAt === null || row.expiresAt === null) return null
  const { id, name, accounts, vendorId, enabled, roles } = operator
  return {
    id: row.id,
    by: { id, name, accounts, vendorId, enabled, roles },
    at: row.givenAt.getTime(),
    expiresAt: row.expiresAt.getTime(),
  }
}

async function gatewayForm(query: Query, id: string): Promise<unknown> {
  const row = await readGateway(query, id)
  return row && gatewayState(row)
}

/** Seen last and not among the accepted: the asset shows another identity than the pinned one. */
function identityState(ground: Ground): 'none' | 'accepted' | 'changed' {
  if (ground.identities.length === 0) return 'none'
  const { seenFingerprint } = ground
  if (seenFingerprint === null) return 'accepted'
  return ground.identities.some((identity) => identity.fingerprint === seenFingerprint)
    ? 'accepted'
    : 'changed'
}

/** Rule and ticket are this room's own rows. An absent rule is vouched for as absent. */
async function ownStates(query: Query, ground: Ground, ticket: KnownTicket | null): Promise<ObjectState[]> {
  const [rule] = await query<RuleRow[]>`
    SELECT * FROM approval_rule WHERE site_id = ${ground.siteId} AND criticality = ${ground.criticality}`
  const name = ruleName(ground.siteId, ground.criticality)
  const states: ObjectState[] = [{ ...name, current: rule ? ruleState(rule) : null }]
  if (ticket) {
    const { system, key } = ticket.ticket
    states.push({
      kind: 'change-ticket',
      id: ticketName(ground.siteId, system, key),
      current: ticketState(ground.siteId, system, key, ticket.facts.hash),
    })
    if (ticket.keyId) {
      const [row] = await query<Parameters<typeof ticketKeyState>[0][]>`
        SELECT * FROM ticket_key WHERE id = ${ticket.keyId}`
      states.push({ kind: 'ticket-key', id: ticket.keyId, current: row ? ticketKeyState(row) : null })
    }
  }
  return states
}

/** Who stopped or holds the requester's work on this endpoint, on whatever request it was. */
async function ordersFor(
  deps: ApprovalsDeps,
  query: Query,
  { requester, endpoint }: RequestSnapshot,
): Promise<Pick<Wanted, 'stopped' | 'held'>> {
  const { stop, hold } = await deps.audit.orders(query, requester.id, endpoint)
  const said = (entry: AuditEntry | null) =>
    entry && { by: entry.actor.name ?? 'An operator', at: Date.parse(entry.time) }
  return { stopped: said(stop), held: said(hold) }
}

/** In what the plant differs from what was signed, and whether the stored documents are still the hashed ones. */
function changedSince(
  snapshot: RequestSnapshot,
  version: VersionRow,
  row: RequestRow,
  ground: Ground,
): string[] {
  const signed = JSON.parse(version.asset_snapshot) as AssetSnapshot
  const changed = changedFields(signed, assetSnapshotOf(ground, DEFAULT_POLICY.version))
  const hash = snapshotHash(snapshot)
  // The row says who may open what; the signed snapshot says what was approved. They must name the same.
  const same =
    hash === row.snapshot_hash &&
    hash === version.snapshot_hash &&
    snapshot.request.id === row.id &&
    snapshot.request.version === row.version &&
    snapshot.requester.id === row.requester_id &&
    snapshot.endpoint === row.endpoint_id
  if (!same) changed.push('snapshot')
  // What the plant is compared with is a document of its own: only the one that was signed counts.
  if (assetHash(signed) !== snapshot.asset.hash) changed.push('asset snapshot')
  return changed
}

async function approvalFacts(
  deps: ApprovalsDeps,
  row: ApprovalRow,
  approver: SitePerson | undefined,
  keys: readonly SigningKey[],
): Promise<{ facts: ApprovalFacts; record: ApprovalRecord | null }> {
  const parsed = approvalRecord.safeParse(JSON.parse(row.record))
  const record = parsed.success ? parsed.data : null
  const constraints = record?.document.constraints
  // Columns are for finding rows; what counts is the signed document, and it must say what the columns say.
  const same =
    record !== null &&
    record.id === row.id &&
    record.approver.id === row.person_id &&
    record.document.decision === row.decision &&
    approvalHash(record.document) === row.document_hash &&
    snapshotHash(record.document.snapshot) === row.snapshot_hash
  const signature = same ? await verifyStored(deps.webauthn, record, keys) : 'invalid'
  return {
    record,
    facts: {
      id: row.id,
      hash: row.document_hash,
      decision: row.decision,
      snapshotHash: row.snapshot_hash,
      approver: {
        id: row.person_id,
        name: approver?.name ?? 'somebody unknown',
        accounts: approver?.accounts ?? [],
        vendorId: approver?.vendorId ?? null,
        enabled: approver?.enabled === true && !over(approver.accountEndsAt, deps.clock.wall()),
        roles: approver?.roles ?? [],
      },
      method: record?.method ?? 'passkey',
      signature,
      at: row.at.getTime(),
      validUntil: null,
      withdrawnAt: row.withdrawn_at?.getTime() ?? null,
      opensAt: constraints?.opensAt === undefined ? null : Date.parse(constraints.opensAt),
      closesAt: constraints?.closesAt === undefined ? null : Date.parse(constraints.closesAt),
      viewOnly: constraints?.viewOnly === true,
      features: constraints?.features ?? null,
      inputDuringGrace: constraints?.inputDuringGrace === true,
    },
  }
}

function extensionFacts(row: ExtensionRow, approvals: ApprovalFacts[]): ExtensionFacts {
  const snapshot = JSON.parse(row.snapshot) as RequestSnapshot
  const own = snapshot.extension
  const whole = own !== null && own.id === row.id && own.session === row.session_id
  return {
    id: row.id,
    extends: whole ? own.of : '',
    snapshotHash: snapshotHash(snapshot),
    closesAt: whole ? Date.parse(own.closesAt) : 0,
    approvals,
  }
}

function over(end: Date | null, now: number): boolean {
  return end !== null && end.getTime() <= now
}

function distinct(rows: RowName[]): RowName[] {
  return [...new Map(rows.map((row) => [`${row.kind} ${row.id}`, row])).values()]
}
