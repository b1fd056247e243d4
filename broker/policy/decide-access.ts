import type {
  AccessFacts,
  AccessPolicy,
  Decision,
  DenialReason,
  ExtensionFacts,
  Obligations,
} from '../domain/access-facts.ts'
import { deviationsOf, hasIdentity } from '../domain/vnc.ts'
import { type CountedApprovals, countApprovals, samePerson } from './count-approvals.ts'
import { readPolicy } from './read-policy.ts'

/**
 * May this person, now, reach this asset over this protocol, under this ticket?
 *
 * Pure: no clock, no I/O; all it needs is in `facts`, and `at` is epoch milliseconds. It answers the preview on the
 * form, the opening of a session, every renewal of its lease, and the replay of an old decision. A denial lists
 * everything that is missing, not the first thing found, so that a person sees what to do next.
 */
export function decideAccess(facts: AccessFacts, at: number): Decision {
  const reasons: DenialReason[] = []
  const policy = readPolicy(facts.policy, reasons)
  const unusable = unusableFields(facts, at)
  if (unusable.length > 0) reasons.push({ code: 'facts-unusable', fields: unusable })
  for (const row of facts.unvouched) reasons.push({ code: 'row-not-vouched', object: row.object, id: row.id })

  decidePerson(facts, at, policy, reasons)
  decidePlace(facts, at, policy, reasons)
  decideRequest(facts, reasons)
  decideTicket(facts, at, policy, reasons)
  decideExceptions(facts, at, reasons)
  const carried = countApprovals(facts, policy, at)
  decideOrders(facts, carried, reasons)
  reasons.push(...carried.reasons)
  const window = decideWindow(facts, at, policy, carried.terms, reasons)

  if (!policy || reasons.length > 0) return { permit: false, reasons }

  const ends: [number | null, string][] = [
    [window.closesAt, 'the window closes'],
    [carried.validUntil, 'an approval ends'],
    [facts.ticket?.plannedEnd ?? null, 'the change ticket ends'],
    [facts.person.accountEndsAt, 'the account ends'],
    [facts.person.trainingValidUntil, 'the training ends'],
    [facts.vendor?.contractEndsAt ?? null, "the vendor's contract ends"],
    [facts.vendor?.sponsor?.endsAt ?? null, "the sponsor's account ends"],
    ...facts.exceptionsNeeded.map((needed): [number | null, string] => [
      needed.expiresAt,
      'an exception ends',
    ]),
    ...facts.blackouts
      .filter((blackout) => blackout.closesAt > at)
      .map((blackout): [number, string] => [blackout.opensAt, 'a blackout begins']),
  ]
  let until = window.closesAt
  let endsBecause = 'the window closes'
  for (const [end, why] of ends) {
    if (end !== null && end < until) {
      until = end
      endsBecause = why
    }
  }
  const obligations: Obligations = {
    recording: true,
    viewOnly: carried.terms.viewOnly,
    features: carried.terms.features,
    ending: { ...facts.request.ending, inputDuringGrace: carried.terms.inputDuringGrace },
    idleSeconds: policy.idleSeconds,
    watcher: policy.watcherFor.includes(facts.asset.criticality),
    operatorReady: facts.asset.operatorsUseConsole,
    approvals: [...carried.counted.map((approval) => approval.hash), ...window.approvals],
  }
  return {
    permit: true,
    until,
    endsBecause,
    recheckAt: Math.min(until, at + policy.recheckSeconds * 1000),
    obligations,
  }
}

/** What clocks of one installation may differ by before it is an anomaly. */
const CLOCKS_APART_MS = 30_000

/** A session that runs already; failures that only deny new ones do not end it. */
const running = (facts: AccessFacts): boolean => facts.purpose === 'renew' || facts.purpose === 'extend'

function decidePerson(
  facts: AccessFacts,
  at: number,
  policy: AccessPolicy | null,
  reasons: DenialReason[],
): void {
  const { person, vendor } = facts
  if (!person.enabled) reasons.push({ code: 'person-disabled' })
  if (!person.mayRequest) reasons.push({ code: 'role-missing', role: 'vendor' })
  if (person.accountEndsAt !== null && at >= person.accountEndsAt)
    reasons.push({ code: 'account-ended', at: person.accountEndsAt })
  if (person.trainingValidUntil === null) reasons.push({ code: 'training-missing' })
  else if (at >= person.trainingValidUntil)
    reasons.push({ code: 'training-expired', at: person.trainingValidUntil })

  if (!vendor) reasons.push({ code: 'vendor-missing' })
  else {
    if (!vendor.enabled) reasons.push({ code: 'vendor-disabled' })
    if (vendor.contractEndsAt === null || at >= vendor.contractEndsAt)
      reasons.push({ code: 'vendor-contract-ended', at: vendor.contractEndsAt })
    const sponsor = vendor.sponsor
    if (!sponsor?.enabled) reasons.push({ code: 'sponsor-ended', at: null })
    else if (sponsor.endsAt !== null && at >= sponsor.endsAt)
      reasons.push({ code: 'sponsor-ended', at: sponsor.endsAt })
  }

  if (running(facts)) return
  if (facts.purpose === 'open') {
    // From the future (beyond what two brokers' clocks may differ): a clock that lies, not a fresh sign-in.
    const proven = person.strongAuthAt
    if (
      policy &&
      (proven === null || proven > at + CLOCKS_APART_MS || at - proven > policy.stepUpSeconds * 1000)
    )
      reasons.push({ code: 'step-up-needed' })
    const notice = facts.site.notice
    if (!notice || notice.acceptedVersion !== notice.version)
      reasons.push({ code: 'notice-not-accepted', version: notice?.version ?? null })
  }
}

function decidePlace(
  facts: AccessFacts,
  at: number,
  policy: AccessPolicy | null,
  reasons: DenialReason[],
): void {
  const { site, asset, endpoint, conduit, gateway } = facts
  if (site.lock) reasons.push({ code: 'site-locked', since: site.lock.since, by: site.lock.by })
  if (!asset.enabled) reasons.push({ code: 'asset-disabled' })
  if (asset.incomplete.length > 0) reasons.push({ code: 'asset-incomplete', missing: asset.incomplete })
  if (!conduit) reasons.push({ code: 'no-conduit' })
  else {
    if (!conduit.enabled) reasons.push({ code: 'conduit-disabled', conduit: conduit.name })
    if (!conduit.protocols.includes(endpoint.protocol))
      reasons.push({ code: 'protocol-not-carried', protocol: endpoint.protocol, conduit: conduit.name })
  }
  // Where there is nothing to pin, an open exception is needed instead (decideExceptions).
  const pinned = endpoint.identityState === 'accepted' && endpoint.identities.length > 0
  if (!pinned && hasIdentity(vncOf(facts)))
    reasons.push({
      code: 'identity-not-accepted',
      state: endpoint.identityState === 'changed' ? 'changed' : 'none',
    })
  if (!endpoint.hasCredential) reasons.push({ code: 'no-credential', account: endpoint.account })
  if (!gateway) reasons.push({ code: 'gateway-missing' })

  if (running(facts)) return
  if (facts.purpose === 'open' && asset.operatorsUseConsole) {
    const why = notReady(facts, at)
    if (why !== null) reasons.push({ code: 'operator-not-ready', why })
  }
  const busy = endpoint.busyWith[0]
  if (facts.purpose === 'open' && busy && policy && endpoint.busyWith.length >= policy.sessionsPerEndpoint)
    reasons.push({ code: 'endpoint-busy', person: busy.person })
  if (gateway && !gateway.online) reasons.push({ code: 'gateway-offline', gateway: gateway.name })
  if (facts.storage?.belowReserve !== false) reasons.push({ code: 'storage-below-reserve' })
  if (facts.restore?.unconfirmed !== false) reasons.push({ code: 'restore-unconfirmed' })
  if (facts.clock?.state !== 'ok')
    reasons.push({ code: 'clock-anomaly', state: facts.clock?.state ?? 'unknown' })
}

/** Why an operator's word does not stand now, or null. Only one of the site's own operators can give it. */
function notReady(
  { ready, person }: AccessFacts,
  at: number,
): 'not-given' | 'expired' | 'not-counted' | null {
  if (!ready) return 'not-given'
  const { by } = ready
  const operates = by.roles.includes('operator') || by.roles.includes('approver')
  if (!by.enabled || !operates || by.vendorId !== null || samePerson(by, person)) return 'not-counted'
  // From the future: a clock that lies, and a word that would hold for too long.
  return at >= ready.expiresAt || ready.at > at + CLOCKS_APART_MS ? 'expired' : null
}

function decideRequest(facts: AccessFacts, reasons: DenialReason[]): void {
  const { request } = facts
  if (request.state === 'declined') reasons.push({ code: 'request-declined' })
  if (request.state === 'withdrawn') reasons.push({ code: 'request-withdrawn' })
  if (request.state === 'ended') reasons.push({ code: 'request-ended' })
  if (request.changedSince.length > 0) reasons.push({ code: 'request-changed', fields: request.changedSince })
}

/**
 * An operator's stop is the last word on what was approved before it, and so is a hold, until it is released: leaving a
 * held session must not be the way out of it. A new approval is given by somebody who can know of them. A running
 * session is held by its gateway.
 */
function decideOrders(facts: AccessFacts, carried: CountedApprovals, reasons: DenialReason[]): void {
  const { stopped, held } = facts.request
  const later = (at: number) => carried.counted.some((approval) => approval.at > at)
  // Without enough approvals a new one is missing anyway.
  if (!carried.enough) return
  if (stopped && !later(stopped.at)) reasons.push({ code: 'operator-stopped', ...stopped })
  if (held && !running(facts) && !later(held.at)) reasons.push({ code: 'operator-held', ...held })
}

function decideTicket(
  facts: AccessFacts,
  at: number,
  policy: AccessPolicy | null,
  reasons: DenialReason[],
): void {
  const { ticket, asset, request } = facts
  if (!ticket) {
    reasons.push({ code: 'ticket-unknown' })
    return
  }
  const key = ticket.key
  if (!ticket.trusted) reasons.push({ code: 'ticket-not-trusted', key })
  if (ticket.state !== 'approved') reasons.push({ code: 'ticket-not-approved', key, state: ticket.state })
  const age = at - ticket.fetchedAt
  // A running session goes on when the ticket system is away; more time is a new decision and needs it.
  if (facts.purpose !== 'renew' && policy && (age > policy.ticketMaxAgeSeconds * 1000 || age < -60_000))
    reasons.push({ code: 'ticket-stale', key, fetchedAt: ticket.fetchedAt })
  if (!ticket.configurationItems.some((item) => sameItem(item, asset.configurationItem)))
    reasons.push({
      code: 'ticket-other-asset',
      key,
      configurationItems: ticket.configurationItems,
      asset: asset.configurationItem,
    })
  const { plannedStart, plannedEnd } = ticket
  if (plannedStart === null || plannedEnd === null || plannedEnd <= plannedStart) {
    reasons.push({ code: 'ticket-no-planned-time', key })
    return
  }
  // Whoever is inside already works on to the planned end, which is one of the permit's ends.
  if (!running(facts) && (request.opensAt < plannedStart || request.closesAt > plannedEnd))
    reasons.push({ code: 'window-outside-ticket', key, plannedStart, plannedEnd })
  if (facts.purpose !== 'preview' && at < plannedStart)
    reasons.push({ code: 'ticket-not-started', key, plannedStart })
  if (at >= plannedEnd) reasons.push({ code: 'ticket-over', key, plannedEnd })
}

/** Names of configuration items are compared without case and outer space; nothing cleverer, so nothing surprising. */
function sameItem(a: string, b: string): boolean {
  const plain = (text: string) => text.trim().toLowerCase()
  return plain(a) !== '' && plain(a) === plain(b)
}

/** Facts of before there were such endpoints do not have the fields. */
const vncOf = (facts: AccessFacts) => facts.endpoint.vnc ?? null
const rdpOf = (facts: AccessFacts) => facts.endpoint.rdp ?? null

function decideExceptions(facts: AccessFacts, at: number, reasons: DenialReason[]): void {
  // What the endpoint lacks is derived here, too: a list that forgets one opens nothing.
  for (const kind of deviationsOf(vncOf(facts))) {
    if (!facts.exceptionsNeeded.some((needed) => needed.kind === kind))
      reasons.push({ code: 'exception-needed', kind })
  }
  for (const { kind, expiresAt } of facts.exceptionsNeeded) {
    if (expiresAt === null) reasons.push({ code: 'exception-needed', kind })
    else if (at >= expiresAt) reasons.push({ code: 'exception-expired', kind, at: expiresAt })
  }
  for (const blackout of facts.blackouts) {
    if (at >= blackout.opensAt && at < blackout.closesAt)
      reasons.push({ code: 'blackout', closesAt: blackout.closesAt, why: blackout.reason })
  }
}

/** The request's window cut down by every approval, prolonged by extensions that are approved themselves. */
function decideWindow(
  facts: AccessFacts,
  at: number,
  policy: AccessPolicy | null,
  terms: { opensAt: number; closesAt: number },
  reasons: DenialReason[],
): { closesAt: number; approvals: string[] } {
  let closesAt = terms.closesAt
  const approvals: string[] = []
  for (const extension of facts.extensions) {
    const extended = extendedUntil(facts, extension, policy, at)
    if (extended === null || extended.until <= terms.closesAt) continue
    closesAt = Math.max(closesAt, extended.until)
    approvals.push(...extended.approvals)
  }
  if (terms.opensAt >= closesAt) reasons.push({ code: 'window-empty' })
  else if (at < terms.opensAt) reasons.push({ code: 'window-not-open', opensAt: terms.opensAt })
  else if (at >= closesAt) reasons.push({ code: 'window-over', closedAt: closesAt })
  return { closesAt, approvals }
}

/** Until when a fully approved extension reaches, never beyond the ticket; null when it does not count. */
function extendedUntil(
  facts: AccessFacts,
  extension: ExtensionFacts,
  policy: AccessPolicy | null,
  at: number,
): { until: number; approvals: string[] } | null {
  if (extension.extends !== facts.request.snapshotHash) return null
  const carried = countApprovals(
    {
      ...facts,
      approvals: extension.approvals,
      request: { ...facts.request, snapshotHash: extension.snapshotHash, closesAt: extension.closesAt },
    },
    policy,
    at,
  )
  if (!carried.enough || carried.declined) return null
  const plannedEnd = facts.ticket?.plannedEnd
  if (plannedEnd === null || plannedEnd === undefined) return null
  return {
    until: Math.min(extension.closesAt, carried.terms.closesAt, carried.validUntil ?? Infinity, plannedEnd),
    approvals: carried.counted.map((approval) => approval.hash),
  }
}

/** Instants that are no numbers compare as neither before nor after, which must never come out as a permit. */
function unusableFields(facts: AccessFacts, at: number): string[] {
  const instants: Record<string, number | null | undefined> = {
    at,
    'request.opensAt': facts.request.opensAt,
    'request.closesAt': facts.request.closesAt,
    'person.accountEndsAt': facts.person.accountEndsAt,
    'person.trainingValidUntil': facts.person.trainingValidUntil,
    'person.strongAuthAt': facts.person.strongAuthAt,
    'vendor.contractEndsAt': facts.vendor?.contractEndsAt ?? null,
    'vendor.sponsor.endsAt': facts.vendor?.sponsor?.endsAt ?? null,
    'ready.at': facts.ready?.at ?? null,
    'ready.expiresAt': facts.ready?.expiresAt ?? null,
    'ticket.plannedStart': facts.ticket?.plannedStart ?? null,
    'ticket.plannedEnd': facts.ticket?.plannedEnd ?? null,
    'ticket.fetchedAt': facts.ticket?.fetchedAt ?? null,
  }
  facts.blackouts.forEach((blackout, i) => {
    instants[`blackouts.${i}.opensAt`] = blackout.opensAt
    instants[`blackouts.${i}.closesAt`] = blackout.closesAt
  })
  facts.exceptionsNeeded.forEach((needed, i) => {
    instants[`exceptionsNeeded.${i}.expiresAt`] = needed.expiresAt
  })
  for (const approval of [
    ...facts.approvals,
    ...facts.extensions.flatMap((extension) => extension.approvals),
  ]) {
    for (const field of ['at', 'validUntil', 'withdrawnAt', 'opensAt', 'closesAt'] as const)
      instants[`approval.${approval.id}.${field}`] = approval[field]
  }
  for (const extension of facts.extensions)
    instants[`extension.${extension.id}.closesAt`] = extension.closesAt
  const unusable = Object.entries(instants)
    .filter(([, value]) => value !== null && (typeof value !== 'number' || !Number.isFinite(value)))
    .map(([field]) => field)
  if ((facts.endpoint.protocol === 'vnc') !== (vncOf(facts) !== null)) unusable.push('endpoint.vnc')
  if ((facts.endpoint.protocol === 'rdp') !== (rdpOf(facts) !== null)) unusable.push('endpoint.rdp')
  return unusable
}
