import { DEFAULT_POLICY, type DenialReason } from '../broker/domain/access-facts.ts'
import { jcs } from '../broker/domain/canonical.ts'
import { conflict, Failure, forbidden, notFound } from '../broker/domain/failure.ts'
import { newId } from '../broker/domain/ids.ts'
import type { Principal } from '../broker/domain/principal.ts'
import {
  assetHash,
  normalAsset,
  type RequestSnapshot,
  snapshotHash,
} from '../broker/domain/request-snapshot.ts'
import type { Feature } from '../broker/domain/words.ts'
import { decideAccess } from '../broker/policy/decide-access.ts'
import { explain } from '../broker/policy/explain.ts'
import type { Query, Tx } from '../broker/store/sql.ts'
import { type ApprovalsDeps, actorOf, announce, signInOf } from './deps.ts'
import { type Gathered, gatherProposal } from './gather-facts.ts'
import { assetSnapshotOf, type Ground, readAccounts, readGround } from './ground.ts'
import { type RequestRow, requestState } from './rows.ts'

export interface RequestBody {
  endpointId: string
  account: string
  features: Feature[]
  purpose: string
  ticket: { system: string; key: string }
  window: { opensAt: string; closesAt: string }
}

/** Asks for access. Returns the request's id. */
export function submitRequest(
  deps: ApprovalsDeps,
  principal: Principal,
  body: RequestBody,
  source: string,
): Promise<string> {
  return deps.db.tx(async (tx) => {
    const id = newId(deps.clock.wall())
    const version = await newVersion(deps, tx, principal, body, { id, version: 1 })
    const row = await insertRequest(deps, tx, version, null)
    await recordChange(deps, tx, principal, source, 'access-request.submitted', null, row)
    await announce(tx, [row.id])
    return row.id
  }, 'repeatable read')
}

/** Edits a request: a new version with a new hash, so every approval of the former one is void. */
export function editRequest(
  deps: ApprovalsDeps,
  principal: Principal,
  requestId: string,
  body: RequestBody,
  source: string,
): Promise<string> {
  return deps.db.tx(async (tx) => {
    const before = await ownRequest(tx, principal, requestId)
    if (before.state === 'withdrawn' || before.state === 'ended')
      throw conflict('request-over', 'This request is withdrawn or over.', 'Ask for access again.')
    const version = await newVersion(deps, tx, principal, body, {
      id: before.id,
      version: before.version + 1,
    })
    const row = await insertRequest(deps, tx, version, before)
    await recordChange(deps, tx, principal, source, 'access-request.edited', before, row)
    await announce(tx, [row.id])
    return row.id
  }, 'repeatable read')
}

/** Withdraws a request; a session that runs on it ends by its rule. */
export function withdrawRequest(
  deps: ApprovalsDeps,
  principal: Principal,
  requestId: string,
  source: string,
): Promise<void> {
  return deps.db.tx(async (tx) => {
    const before = await ownRequest(tx, principal, requestId)
    if (before.state === 'withdrawn') return
    const [row] = await tx<RequestRow[]>`
      UPDATE access_request SET state = 'withdrawn' WHERE id = ${requestId} RETURNING *`
    if (!row) throw notFound('request')
    await recordChange(deps, tx, principal, source, 'access-request.withdrawn', before, row)
    await announce(tx, [requestId])
  })
}

/**
 * Reads the ticket and the plant again into a new version, when either has changed since: what an approver is asked
 * to sign must be what is. Returns true when there is a new version (approvals of the former one are void).
 */
export async function refreshRequest(
  deps: ApprovalsDeps,
  tx: Tx,
  before: RequestRow,
  snapshot: RequestSnapshot,
  gathered: Gathered,
): Promise<boolean> {
  const { ticket, ground } = gathered
  const asset = assetHash(assetSnapshotOf(ground, DEFAULT_POLICY.version))
  if (!ticket || (ticket.facts.hash === snapshot.ticket.hash && asset === snapshot.asset.hash)) return false
  const fresh: RequestSnapshot = {
    ...snapshot,
    request: { id: before.id, version: before.version + 1 },
    site: { id: ground.siteId, name: ground.siteName, timeZone: ground.timeZone },
    asset: { id: ground.assetId, name: ground.assetName, criticality: ground.criticality, hash: asset },
    ticket: { ...snapshot.ticket, title: ticket.ticket.title, hash: ticket.facts.hash },
    ending: ground.ending,
  }
  const row = await insertRequest(
    deps,
    tx,
    { snapshot: fresh, ground, ticketText: text(ticket.ticket), personId: null, vendorId: before.vendor_id },
    before,
  )
  await deps.audit.record(tx, {
    action: 'access-request.refreshed',
    actor: { kind: 'system', id: 'approvals', name: null, organisation: null },
    object: { kind: 'access-request', id: row.id },
    before: requestState(before),
    after: requestState(row),
    correlation: { request: row.id, ticket: row.ticket_key },
  })
  await announce(tx, [row.id])
  return true
}

interface NewVersion {
  snapshot: RequestSnapshot
  ground: Ground
  ticketText: string
  personId: string | null
  vendorId: string
}

/** Reasons that time or somebody else's answer may still cure; any other stops a request from being sent. */
const MAY_WAIT: ReadonlySet<DenialReason['code']> = new Set([
  'approvals-missing',
  'window-not-open',
  'ticket-not-approved',
  'ticket-not-started',
  'ticket-stale',
  'gateway-missing',
  'gateway-offline',
  'endpoint-busy',
  'storage-below-reserve',
  'restore-unconfirmed',
  'clock-anomaly',
  'site-locked',
  'step-up-needed',
  'notice-not-accepted',
  'training-expired',
  'training-missing',
  'identity-not-accepted',
  'no-credential',
  'exception-needed',
  'exception-expired',
  'blackout',
  'asset-incomplete',
])

async function newVersion(
  deps: ApprovalsDeps,
  tx: Tx,
  principal: Principal,
  body: RequestBody,
  request: { id: string; version: number },
): Promise<NewVersion> {
  const ground = await visibleGround(tx, principal, body.endpointId)
  if (principal.vendorId === null) throw forbidden('Only people of a vendor ask for access.')
  const opensAt = Date.parse(body.window.opensAt)
  const closesAt = Date.parse(body.window.closesAt)
  if (opensAt >= closesAt)
    throw new Failure(422, 'window-reversed', 'The window closes before it opens.', 'Choose a later end.')
  if (!(await readAccounts(tx, ground)).includes(body.account))
    throw new Failure(
      422,
      'account-unknown',
      'There is no such account on this asset.',
      'Choose one from the list.',
    )
  const gathered = await gatherProposal(
    deps,
    tx,
    ground,
    {
      requestId: request.id,
      version: request.version,
      state: 'waiting',
      snapshotHash: '',
      changedSince: [],
      stopped: null,
      held: null,
      personId: principal.personId,
      account: body.account,
      features: body.features,
      viewOnly: false,
      opensAt,
      closesAt,
      ending: ground.ending,
      ticket: body.ticket,
    },
    {
      purpose: 'preview',
      sessionId: null,
      runtime: await deps.runtime(ground.gatewayId),
      strongAuthAt: principal.authenticatedAt,
    },
  )
  const decision = decideAccess(gathered.facts, deps.clock.wall())
  const stops = decision.permit ? [] : decision.reasons.filter((reason) => !mayWait(reason))
  const { ticket, requester, vendor } = gathered
  if (stops.length > 0 || !ticket || !requester || !vendor)
    throw new Failure(
      409,
      'request-not-possible',
      stops[0] ? explain(stops[0]).text : 'The request cannot be sent.',
      stops[0] ? `${explain(stops[0]).who} can change that.` : 'Check the form.',
      stops.map(explain),
    )
  return {
    ground,
    ticketText: text(ticket.ticket),
    personId: principal.personId,
    vendorId: vendor.id,
    snapshot: {
      v: 1,
      deployment: deps.deployment,
      request,
      requester: {
        id: requester.id,
        issuer: requester.issuer,
        subject: requester.subject,
        name: requester.name,
        vendor: { id: vendor.id, name: vendor.name },
      },
      site: { id: ground.siteId, name: ground.siteName, timeZone: ground.timeZone },
      asset: {
        id: ground.assetId,
        name: ground.assetName,
        criticality: ground.criticality,
        hash: assetHash(assetSnapshotOf(ground, DEFAULT_POLICY.version)),
      },
      endpoint: ground.endpointId,
      protocol: ground.protocol,
      account: body.account,
      features: [...new Set(body.features)].sort(),
      viewOnly: false,
      purpose: body.purpose,
      ticket: {
        system: ticket.ticket.system,
        key: ticket.ticket.key,
        title: ticket.ticket.title,
        hash: ticket.facts.hash,
      },
      window: { opensAt: new Date(opensAt).toISOString(), closesAt: new Date(closesAt).toISOString() },
      ending: ground.ending,
      extension: null,
    },
  }
}

function mayWait(reason: DenialReason): boolean {
  if (reason.code === 'ticket-not-approved') return reason.state === 'draft' || reason.state === 'waiting'
  return MAY_WAIT.has(reason.code)
}

/** The endpoint, when the person holds the vendor role at its site; otherwise "not found", like one that isn't there. */
export async function visibleGround(query: Query, principal: Principal, endpointId: string): Promise<Ground> {
  const ground = await readGround(query, endpointId)
  const vendorHere = principal.roles.some((role) => role.role === 'vendor' && role.siteId === ground?.siteId)
  if (!ground || !vendorHere || !ground.enabled) throw notFound('asset')
  return ground
}

/** The person's own request, locked until the transaction ends. */
async function ownRequest(tx: Tx, principal: Principal, id: string): Promise<RequestRow> {
  const [row] = await tx<RequestRow[]>`SELECT * FROM access_request WHERE id = ${id} FOR UPDATE`
  if (!row || row.requester_id !== principal.personId) throw notFound('request')
  return row
}

async function insertRequest(
  deps: ApprovalsDeps,
  tx: Tx,
  made: NewVersion,
  before: RequestRow | null,
): Promise<RequestRow> {
  const { snapshot, ground } = made
  const now = new Date(deps.clock.wall())
  const hash = snapshotHash(snapshot)
  const opensAt = new Date(snapshot.window.opensAt)
  const closesAt = new Date(snapshot.window.closesAt)
  const [row] = before
    ? await tx<RequestRow[]>`
        UPDATE access_request SET site_id = ${ground.siteId}, asset_id = ${ground.assetId},
          endpoint_id = ${ground.endpointId}, version = ${snapshot.request.version}, state = 'waiting',
          snapshot_hash = ${hash}, ticket_system = ${snapshot.ticket.system}, ticket_key = ${snapshot.ticket.key},
          opens_at = ${opensAt}, closes_at = ${closesAt}
        WHERE id = ${before.id} RETURNING *`
    : await tx<RequestRow[]>`
        INSERT INTO access_request (id, site_id, asset_id, endpoint_id, requester_id, vendor_id, version, state,
          snapshot_hash, ticket_system, ticket_key, opens_at, closes_at, created_at)
        VALUES (${snapshot.request.id}, ${ground.siteId}, ${ground.assetId}, ${ground.endpointId},
          ${snapshot.requester.id}, ${made.vendorId}, 1, 'waiting', ${hash}, ${snapshot.ticket.system},
          ${snapshot.ticket.key}, ${opensAt}, ${closesAt}, ${now})
        RETURNING *`
  if (!row) throw notFound('request')
  await tx`
    INSERT INTO access_request_version (request_id, version, snapshot, snapshot_hash, asset_snapshot,
      ticket_snapshot, created_by, created_at)
    VALUES (${row.id}, ${row.version}, ${text(snapshot)}, ${hash},
      ${text(normalAsset(assetSnapshotOf(ground, DEFAULT_POLICY.version)))}, ${made.ticketText}, ${made.personId},
      ${now})`
  return row
}

async function recordChange(
  deps: ApprovalsDeps,
  tx: Tx,
  principal: Principal,
  source: string,
  action: string,
  before: RequestRow | null,
  after: RequestRow,
): Promise<void> {
  await deps.audit.record(tx, {
    action,
    actor: actorOf(principal, principal.vendorId),
    authentication: signInOf(principal),
    source,
    object: { kind: 'access-request', id: after.id },
    before: before && requestState(before),
    after: requestState(after),
    correlation: { request: after.id, ticket: after.ticket_key },
    details: { version: after.version, snapshot: after.snapshot_hash },
  })
}

/** Canonical JSON as text: the exact bytes whose hash is signed. */
export function text(value: unknown): string {
  return new TextDecoder().decode(jcs(value))
}
