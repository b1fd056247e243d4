import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AccessFacts, ApprovalFacts, DenialReason, ReadyFacts } from '../domain/access-facts.ts'
import { FEATURES } from '../domain/words.ts'
import { decideAccess } from './decide-access.ts'
import { explain } from './explain.ts'
import { approvalBy, goodFacts, HOUR, SIX, TWO, YEAR_END } from './facts-example.ts'

type Change = (facts: AccessFacts) => Partial<AccessFacts>
const person =
  (change: Partial<AccessFacts['person']>): Change =>
  (f) => ({ person: { ...f.person, ...change } })
const vendor =
  (change: Partial<NonNullable<AccessFacts['vendor']>>): Change =>
  (f) => ({
    vendor: f.vendor && { ...f.vendor, ...change },
  })
const asset =
  (change: Partial<AccessFacts['asset']>): Change =>
  (f) => ({ asset: { ...f.asset, ...change } })
const endpoint =
  (change: Partial<AccessFacts['endpoint']>): Change =>
  (f) => ({
    endpoint: { ...f.endpoint, ...change },
  })
const request =
  (change: Partial<AccessFacts['request']>): Change =>
  (f) => ({
    request: { ...f.request, ...change },
  })
const ticket =
  (change: Partial<NonNullable<AccessFacts['ticket']>>): Change =>
  (f) => ({
    ticket: f.ticket && { ...f.ticket, ...change },
  })
const approvals =
  (...list: ApprovalFacts[]): Change =>
  () => ({ approvals: list })
const byWhom = (name: string, change: Partial<ApprovalFacts['approver']>) => {
  const approval = approvalBy(name)
  return { ...approval, approver: { ...approval.approver, ...change } }
}

/** The endpoint is a VNC server like this; nothing of it is pinned. */
const vnc =
  (
    change: Partial<NonNullable<AccessFacts['endpoint']['vnc']>>,
    ...exceptionsNeeded: AccessFacts['exceptionsNeeded']
  ) =>
  (f: AccessFacts) => ({
    endpoint: {
      ...f.endpoint,
      protocol: 'vnc' as const,
      vnc: { security: 'x509' as const, authentication: 'password' as const, ...change },
      identities: [],
      identityState: 'none' as const,
    },
    conduit: f.conduit && { ...f.conduit, protocols: ['vnc'] },
    exceptionsNeeded,
  })

/** Operators use the asset's console; one of them said that it is free, or nobody did. */
const consoleIsUsed = (ready: ReadyFacts | null) => (f: AccessFacts) => ({
  asset: { ...f.asset, operatorsUseConsole: true },
  ready,
})
const wordBy = (
  name: string,
  change: Partial<ReadyFacts> = {},
  whom: Partial<ReadyFacts['by']> = {},
): ReadyFacts => ({
  id: `ready-${name}`,
  by: {
    id: name,
    name,
    accounts: [{ issuer: 'local', subject: name }],
    vendorId: null,
    enabled: true,
    roles: ['operator'],
    ...whom,
  },
  at: TWO - 60_000,
  expiresAt: TWO + 14 * 60_000,
  ...change,
})

/** The endpoint is an RDP server that signs in with NLA, its certificate pinned. */
const rdp = (change: Partial<AccessFacts['endpoint']>) => (f: AccessFacts) => ({
  endpoint: {
    ...f.endpoint,
    protocol: 'rdp' as const,
    rdp: { security: 'nla' as const },
    identities: [{ algorithm: 'x509-sha256', fingerprint: 'SHA256:abc' }],
    ...change,
  },
  conduit: f.conduit && { ...f.conduit, protocols: ['rdp'] },
})

/** What a plant manager would ask: this one thing is wrong; what does the system answer? */
const EXAMPLES: [when: string, change: Change, code: DenialReason['code'], at?: number][] = [
  ['the person is disabled', person({ enabled: false }), 'person-disabled'],
  ['the person lost the vendor role', person({ mayRequest: false }), 'role-missing'],
  ['the account ended a moment ago', person({ accountEndsAt: TWO }), 'account-ended'],
  ['the training expired', person({ trainingValidUntil: TWO - 1 }), 'training-expired'],
  ['no training is on record', person({ trainingValidUntil: null }), 'training-missing'],
  ['the person belongs to no vendor', () => ({ vendor: null }), 'vendor-missing'],
  ['the vendor is disabled', vendor({ enabled: false }), 'vendor-disabled'],
  ["the vendor's contract ended", vendor({ contractEndsAt: TWO - 1 }), 'vendor-contract-ended'],
  ['the contract end is unknown', vendor({ contractEndsAt: null }), 'vendor-contract-ended'],
  ['nobody sponsors the vendor', vendor({ sponsor: null }), 'sponsor-ended'],
  ['the sponsor left', vendor({ sponsor: { name: 'Pia', enabled: false, endsAt: null } }), 'sponsor-ended'],
  ['the sign-in is an hour old', person({ strongAuthAt: TWO - HOUR }), 'step-up-needed'],
  ['the sign-in is from the future', person({ strongAuthAt: TWO + HOUR }), 'step-up-needed'],
  [
    'a new notice is not accepted',
    (f) => ({ site: { ...f.site, notice: { version: 4, acceptedVersion: 3 } } }),
    'notice-not-accepted',
  ],
  [
    'the site is locked',
    (f) => ({ site: { ...f.site, lock: { since: TWO, by: 'Otto', reason: 'gas alarm' } } }),
    'site-locked',
  ],
  ['the asset is disabled', asset({ enabled: false }), 'asset-disabled'],
  ['the asset has no owner', asset({ incomplete: ['owner'] }), 'asset-incomplete'],
  ['no conduit is declared', () => ({ conduit: null }), 'no-conduit'],
  [
    'the conduit is disabled',
    (f) => ({ conduit: f.conduit && { ...f.conduit, enabled: false } }),
    'conduit-disabled',
  ],
  [
    'the conduit carries no SSH',
    (f) => ({ conduit: f.conduit && { ...f.conduit, protocols: [] } }),
    'protocol-not-carried',
  ],
  [
    'nobody accepted the host key',
    endpoint({ identities: [], identityState: 'none' }),
    'identity-not-accepted',
  ],
  ['the host key changed', endpoint({ identityState: 'changed' }), 'identity-not-accepted'],
  ['the vault has no password', endpoint({ hasCredential: false }), 'no-credential'],
  ['somebody works there', endpoint({ busyWith: [{ session: 's', person: 'Ivo' }] }), 'endpoint-busy'],
  ['no gateway serves it', () => ({ gateway: null }), 'gateway-missing'],
  [
    'the gateway is offline',
    (f) => ({ gateway: f.gateway && { ...f.gateway, online: false } }),
    'gateway-offline',
  ],
  ['the disk is nearly full', () => ({ storage: { belowReserve: true } }), 'storage-below-reserve'],
  ['nobody knows how full the disk is', () => ({ storage: null }), 'storage-below-reserve'],
  ['a restore is not confirmed', () => ({ restore: { unconfirmed: true } }), 'restore-unconfirmed'],
  ['nobody knows of a restore', () => ({ restore: null }), 'restore-unconfirmed'],
  ['a clock was set back', () => ({ clock: { state: 'behind-mark' } }), 'clock-anomaly'],
  ['the clocks were never compared', () => ({ clock: null }), 'clock-anomaly'],
  ['the request was declined', request({ state: 'declined' }), 'request-declined'],
  ['the request was withdrawn', request({ state: 'withdrawn' }), 'request-withdrawn'],
  ['the request has ended', request({ state: 'ended' }), 'request-ended'],
  ['an operator stopped it', request({ stopped: { by: 'Oleg Brandt', at: TWO } }), 'operator-stopped'],
  ['an operator holds it', request({ held: { by: 'Oleg Brandt', at: TWO } }), 'operator-held'],
  ['the plant changed since', request({ changedSince: ['endpoint'] }), 'request-changed'],
  ['the site has no approval rule', () => ({ rule: null }), 'no-approval-rule'],
  ['nobody has approved', approvals(), 'approvals-missing'],
  ['the request was edited after the approval', request({ snapshotHash: 'other' }), 'approval-not-counted'],
  ['the requester approved', approvals(byWhom('vera', {})), 'approval-not-counted'],
  [
    "the requester's second account approved",
    approvals(byWhom('vera-2', { accounts: [{ issuer: 'https://id.example', subject: 'vera' }] })),
    'approval-not-counted',
  ],
  ["the vendor's manager approved", approvals(byWhom('max', { vendorId: 'acme' })), 'approval-not-counted'],
  ['the approver lost the role', approvals(byWhom('paul', { roles: ['auditor'] })), 'approval-not-counted'],
  ['the approver is disabled', approvals(byWhom('paul', { enabled: false })), 'approval-not-counted'],
  [
    'the signature does not verify',
    approvals(approvalBy('paul', { signature: 'invalid' })),
    'approval-not-counted',
  ],
  [
    'a passkey approval has no signature',
    approvals(approvalBy('paul', { signature: 'none' })),
    'approval-not-counted',
  ],
  [
    'it was approved by password, not allowed here',
    approvals(approvalBy('paul', { method: 'password-totp', signature: 'none' })),
    'approval-not-counted',
  ],
  ['the approval was withdrawn', approvals(approvalBy('paul', { withdrawnAt: TWO })), 'approval-not-counted'],
  ['the approval has run out', approvals(approvalBy('paul', { validUntil: TWO })), 'approval-not-counted'],
  [
    'one approved, another declined',
    approvals(approvalBy('paul'), approvalBy('rita', { decision: 'declined' })),
    'request-declined',
  ],
  ['it is one millisecond early', () => ({}), 'window-not-open', TWO - 1],
  ['it is exactly the closing time', () => ({}), 'window-over', SIX],
  [
    'the approvals left nothing of the window',
    approvals(approvalBy('paul', { opensAt: SIX, closesAt: TWO + HOUR })),
    'window-empty',
  ],
  ['the ticket does not exist', () => ({ ticket: null }), 'ticket-unknown'],
  ['the ticket file was not signed', ticket({ trusted: false }), 'ticket-not-trusted'],
  ['the change waits for approval', ticket({ state: 'waiting' }), 'ticket-not-approved'],
  ['the change was cancelled', ticket({ state: 'cancelled' }), 'ticket-not-approved'],
  ['the ticket was read 25 hours ago', ticket({ fetchedAt: TWO - 25 * HOUR }), 'ticket-stale'],
  ['the ticket was read tomorrow', ticket({ fetchedAt: TWO + 24 * HOUR }), 'ticket-stale'],
  [
    'the ticket is for another machine',
    ticket({ configurationItems: ['Robot cell 5'] }),
    'ticket-other-asset',
  ],
  ['the ticket has no planned time', ticket({ plannedEnd: null }), 'ticket-no-planned-time'],
  ['the planned time begins later', ticket({ plannedStart: TWO + HOUR }), 'ticket-not-started'],
  ['the planned time is over', ticket({ plannedEnd: TWO }), 'ticket-over'],
  ['the window reaches beyond the ticket', ticket({ plannedEnd: SIX - HOUR }), 'window-outside-ticket'],
  [
    'a blackout is on',
    () => ({ blackouts: [{ id: 'b', opensAt: TWO - HOUR, closesAt: TWO + HOUR, reason: 'stocktaking' }] }),
    'blackout',
  ],
  [
    'an exception is needed',
    () => ({ exceptionsNeeded: [{ kind: 'weak-ssh', expiresAt: null }] }),
    'exception-needed',
  ],
  [
    'the exception ran out',
    () => ({ exceptionsNeeded: [{ kind: 'weak-ssh', expiresAt: TWO }] }),
    'exception-expired',
  ],
  [
    'nobody accepted that VNC is not encrypted',
    vnc({ security: 'plain' }, { kind: 'no-server-identity', expiresAt: SIX }),
    'exception-needed',
  ],
  [
    'nobody accepted that VNC has no certificate',
    vnc({ security: 'anonymous-tls' }, { kind: 'no-encryption', expiresAt: SIX }),
    'exception-needed',
  ],
  ['nobody accepted that VNC asks for no password', vnc({ authentication: 'none' }), 'exception-needed'],
  ['a VNC certificate was not compared', vnc({}), 'identity-not-accepted'],
  ['no operator said that the console is free', consoleIsUsed(null), 'operator-not-ready'],
  [
    'an operator said it too long ago',
    consoleIsUsed(wordBy('olga', { expiresAt: TWO })),
    'operator-not-ready',
  ],
  [
    'an operator said it in the future',
    consoleIsUsed(wordBy('olga', { at: TWO + HOUR, expiresAt: TWO + 2 * HOUR })),
    'operator-not-ready',
  ],
  [
    'who said it is no operator',
    consoleIsUsed(wordBy('olga', {}, { roles: ['auditor'] })),
    'operator-not-ready',
  ],
  ['who said it is disabled', consoleIsUsed(wordBy('olga', {}, { enabled: false })), 'operator-not-ready'],
  [
    'who said it is of the vendor',
    consoleIsUsed(wordBy('olga', {}, { vendorId: 'acme' })),
    'operator-not-ready',
  ],
  [
    'the vendor said it themself, under another account',
    consoleIsUsed(wordBy('olga', {}, { accounts: [{ issuer: 'https://id.example', subject: 'vera' }] })),
    'operator-not-ready',
  ],
  [
    'it is not known until when it stands',
    consoleIsUsed(wordBy('olga', { expiresAt: Number.NaN })),
    'facts-unusable',
  ],
  ['it is not known how RDP signs in', endpoint({ protocol: 'rdp' }), 'facts-unusable'],
  ['SSH is said to sign in like RDP', endpoint({ rdp: { security: 'tls' } }), 'facts-unusable'],
  [
    'an RDP certificate was not compared',
    rdp({ identities: [], identityState: 'none' }),
    'identity-not-accepted',
  ],
  ['an RDP certificate changed', rdp({ identityState: 'changed' }), 'identity-not-accepted'],
  ['nobody gave the RDP account a password', rdp({ hasCredential: false }), 'no-credential'],
  [
    'the conduit does not carry RDP',
    (f) => ({ ...rdp({})(f), conduit: f.conduit && { ...f.conduit, protocols: ['ssh'] } }),
    'protocol-not-carried',
  ],
  ['it is not known how VNC is protected', endpoint({ protocol: 'vnc' }), 'facts-unusable'],
  [
    'SSH is said to be protected like VNC',
    (f) => ({ endpoint: { ...vnc({})(f).endpoint, protocol: 'ssh' } }),
    'facts-unusable',
  ],
  [
    'the log does not vouch for a row',
    () => ({ unvouched: [{ object: 'conduit', id: 'c' }] }),
    'row-not-vouched',
  ],
  [
    'the policy has an unknown field',
    (f) => ({ policy: { ...f.policy, allowEverything: true } }),
    'policy-unknown',
  ],
  [
    'a policy field is missing',
    (f) => ({ policy: Object.fromEntries(Object.entries(f.policy).slice(1)) }),
    'policy-unknown',
  ],
  ['a stored time is no time', person({ accountEndsAt: Number.NaN }), 'facts-unusable'],
]

describe('denies and says why when', () => {
  it.each(EXAMPLES)('%s', (_when, change, code, at = TWO) => {
    const facts = goodFacts()
    const decision = decideAccess({ ...facts, ...change(facts) }, at)
    expect(decision.permit).toBe(false)
    if (decision.permit) return
    expect(decision.reasons.map((reason) => reason.code)).toContain(code)
    for (const reason of decision.reasons) {
      const { text, who } = explain(reason)
      expect(text).toMatch(/[.!]$/)
      expect(text).not.toMatch(/undefined|null|NaN/)
      expect(who.length).toBeGreaterThan(2)
    }
  })

  it('everything is wrong at once: the answer lists all of it', () => {
    const facts = goodFacts()
    const decision = decideAccess(
      {
        ...facts,
        purpose: 'preview',
        ...person({ enabled: false, trainingValidUntil: null })(facts),
        ...ticket({ state: 'waiting' })(facts),
        conduit: null,
        approvals: [],
      },
      TWO - HOUR,
    )
    expect(decision).toMatchObject({ permit: false })
    if (decision.permit) return
    expect(decision.reasons.map((reason) => reason.code).sort()).toEqual([
      'approvals-missing',
      'no-conduit',
      'person-disabled',
      'ticket-not-approved',
      'training-missing',
      'window-not-open',
    ])
  })
})

describe('permits', () => {
  it('when everything holds, until the window closes', () => {
    expect(decideAccess(goodFacts(), TWO)).toMatchObject({
      permit: true,
      until: SIX,
      recheckAt: TWO + 30_000,
      obligations: { recording: true, viewOnly: false, approvals: ['hash-paul'] },
    })
  })

  const ends: [string, Change, number, string][] = [
    ['the training', person({ trainingValidUntil: TWO + HOUR }), TWO + HOUR, 'the training ends'],
    ['the account', person({ accountEndsAt: TWO + 5 }), TWO + 5, 'the account ends'],
    ["the vendor's contract", vendor({ contractEndsAt: TWO + 9 }), TWO + 9, "the vendor's contract ends"],
    [
      'the sponsor',
      vendor({ sponsor: { name: 'Pia', enabled: true, endsAt: TWO + 7 } }),
      TWO + 7,
      "the sponsor's account ends",
    ],
    [
      'an approval',
      approvals(approvalBy('paul', { validUntil: TWO + HOUR })),
      TWO + HOUR,
      'an approval ends',
    ],
    [
      'a shorter approved window',
      approvals(approvalBy('paul', { closesAt: TWO + HOUR })),
      TWO + HOUR,
      'the window closes',
    ],
    [
      'the next blackout',
      () => ({ blackouts: [{ id: 'b', opensAt: TWO + HOUR, closesAt: TWO + 2 * HOUR, reason: 'test' }] }),
      TWO + HOUR,
      'a blackout begins',
    ],
    [
      'an exception',
      () => ({ exceptionsNeeded: [{ kind: 'weak-ssh', expiresAt: TWO + HOUR }] }),
      TWO + HOUR,
      'an exception ends',
    ],
  ]
  it.each(ends)('only until the earliest end: %s', (_what, change, until, endsBecause) => {
    const facts = goodFacts()
    expect(decideAccess({ ...facts, ...change(facts) }, TWO)).toMatchObject({
      permit: true,
      until,
      endsBecause,
    })
  })

  it.each([
    [{ security: 'plain' as const }, ['no-encryption', 'no-server-identity']],
    [{ security: 'anonymous-tls' as const }, ['no-server-identity']],
    [
      { security: 'plain' as const, authentication: 'none' as const },
      ['no-encryption', 'no-server-identity', 'no-authentication'],
    ],
  ])('VNC %o under open exceptions, to the earliest end', (change, kinds) => {
    const facts = goodFacts()
    const needed = kinds.map((kind, place) => ({ kind, expiresAt: TWO + HOUR + place }))
    expect(decideAccess({ ...facts, ...vnc(change, ...needed)(facts) }, TWO)).toMatchObject({
      permit: true,
      until: TWO + HOUR,
      endsBecause: 'an exception ends',
    })
  })

  it('an opening on an operator’s word, for as long as the window: it is a word for the opening alone', () => {
    const word = (ready: ReadyFacts | null, purpose: AccessFacts['purpose'], at: number) =>
      decideAccess(goodFacts({ ...consoleIsUsed(ready)(goodFacts()), purpose }), at)
    expect(word(wordBy('olga'), 'open', TWO)).toMatchObject({
      permit: true,
      until: SIX,
      obligations: { operatorReady: true },
    })
    expect(word(wordBy('olga', {}, { roles: ['approver'] }), 'open', TWO).permit).toBe(true)
    expect(word(wordBy('olga'), 'open', TWO + 14 * 60_000).permit).toBe(false)
    // The form cannot have one, a running session has used its own.
    for (const purpose of ['preview', 'renew', 'extend'] as const)
      expect(word(null, purpose, TWO + HOUR).permit).toBe(true)
  })

  it('over RDP with a pinned certificate, with NLA or declared without, and no exception', () => {
    for (const security of ['nla', 'tls'] as const)
      expect(decideAccess(goodFacts(rdp({ rdp: { security } })(goodFacts())), TWO)).toMatchObject({
        permit: true,
        until: SIX,
      })
  })

  it('facts of before there were VNC and RDP endpoints as they were answered then', () => {
    const facts = goodFacts()
    const { vnc: _later, rdp: _latest, ...before } = facts.endpoint
    const { ready: _word, ...rest } = facts
    const old = { ...rest, endpoint: before } as AccessFacts
    expect(decideAccess(old, TWO).permit).toBe(true)
  })

  it('a running session over failures that only deny new ones', () => {
    const facts = goodFacts({
      purpose: 'renew',
      clock: { state: 'apart' },
      storage: { belowReserve: true },
      restore: { unconfirmed: true },
    })
    const tired: AccessFacts = {
      ...facts,
      ...person({ strongAuthAt: null })(facts),
      ...ticket({ fetchedAt: TWO - 30 * HOUR })(facts),
      gateway: facts.gateway && { ...facts.gateway, online: false },
    }
    expect(decideAccess(tired, TWO).permit).toBe(true)
    expect(decideAccess({ ...tired, purpose: 'extend' }, TWO).permit).toBe(false)
    expect(decideAccess({ ...tired, purpose: 'open' }, TWO).permit).toBe(false)
  })
})

it('a ticket that is cut short lets a running session work to its new end, and opens no new one', () => {
  const facts = goodFacts()
  const shorter: AccessFacts = { ...facts, ...ticket({ plannedEnd: TWO + HOUR })(facts) }
  expect(decideAccess({ ...shorter, purpose: 'renew' }, TWO)).toMatchObject({
    permit: true,
    until: TWO + HOUR,
  })
  expect(decideAccess(shorter, TWO)).toMatchObject({ reasons: [{ code: 'window-outside-ticket' }] })
})

describe('approvals', () => {
  it('a C1 asset needs two people, whatever the rule says', () => {
    const facts = goodFacts()
    const safety = { ...facts, ...asset({ criticality: 'C1' })(facts) }
    expect(decideAccess(safety, TWO)).toMatchObject({
      permit: false,
      reasons: [{ code: 'approvals-missing', have: 1, need: 2 }],
    })
    const two = { ...safety, approvals: [approvalBy('paul'), approvalBy('rita')] }
    expect(decideAccess(two, TWO).permit).toBe(true)
    const samePersonTwice = {
      ...safety,
      approvals: [approvalBy('paul'), { ...approvalBy('paul'), id: 'second' }],
    }
    expect(decideAccess(samePersonTwice, TWO)).toMatchObject({
      permit: false,
      reasons: [
        { code: 'approval-not-counted', why: 'same-person' },
        { code: 'approvals-missing', have: 1, need: 2 },
      ],
    })
  })

  it('an approval that does not count is no obstacle once enough others do', () => {
    const facts = goodFacts({ approvals: [approvalBy('vera', {}), approvalBy('paul')] })
    expect(decideAccess(facts, TWO)).toMatchObject({
      permit: true,
      obligations: { approvals: ['hash-paul'] },
    })
  })

  it('input during grace needs the signature of every approver', () => {
    const one = goodFacts({ rule: { id: 'r', need: 2, roles: ['approver'] } })
    const signed = approvalBy('paul', { inputDuringGrace: true })
    const mixed = decideAccess({ ...one, approvals: [signed, approvalBy('rita')] }, TWO)
    const both = decideAccess(
      { ...one, approvals: [signed, approvalBy('rita', { inputDuringGrace: true })] },
      TWO,
    )
    expect(mixed).toMatchObject({ obligations: { ending: { inputDuringGrace: false } } })
    expect(both).toMatchObject({ obligations: { ending: { inputDuringGrace: true } } })
  })

  it('who may only look on neither pastes nor types in the grace, whoever left it in', () => {
    const asked = goodFacts().request
    const request = { ...asked, features: [...FEATURES] }
    const permit = (change: Partial<AccessFacts>) => decideAccess(goodFacts({ request, ...change }), TWO)
    const nothing = { viewOnly: true, features: ['clipboard-copy'], ending: { inputDuringGrace: false } }
    expect(
      permit({ approvals: [approvalBy('paul', { viewOnly: true, inputDuringGrace: true })] }),
    ).toMatchObject({ obligations: nothing })
    expect(
      permit({
        approvals: [
          approvalBy('paul', { viewOnly: true, inputDuringGrace: true }),
          approvalBy('rita', { features: [...FEATURES], inputDuringGrace: true }),
        ],
      }),
    ).toMatchObject({ obligations: nothing })
    const ending = { ...asked.ending, inputDuringGrace: true }
    expect(permit({ request: { ...request, viewOnly: true, ending } })).toMatchObject({
      obligations: nothing,
    })
  })

  const mask = fc.record({
    opensAt: fc.option(fc.integer({ min: TWO - HOUR, max: SIX + HOUR })),
    closesAt: fc.option(fc.integer({ min: TWO - HOUR, max: SIX + HOUR })),
    viewOnly: fc.boolean(),
    features: fc.option(fc.subarray([...FEATURES])),
  })
  it('never widen: more constraints give at most what fewer give', () => {
    fc.assert(
      fc.property(
        fc.array(mask, { minLength: 1, maxLength: 4 }),
        mask,
        fc.integer({ min: TWO, max: SIX }),
        (masks, more, at) => {
          const list = masks.map((each, i) => approvalBy(`p${i}`, each))
          const before = decideAccess(goodFacts({ purpose: 'renew', approvals: list }), at)
          const after = decideAccess(
            goodFacts({ purpose: 'renew', approvals: [...list, approvalBy('more', more)] }),
            at,
          )
          if (!after.permit) return
          expect(before.permit).toBe(true)
          if (!before.permit) return
          expect(after.until).toBeLessThanOrEqual(before.until)
          expect(after.until).toBeLessThanOrEqual(SIX)
          expect(before.obligations.viewOnly && !after.obligations.viewOnly).toBe(false)
          if (after.obligations.viewOnly) expect(after.obligations.features).not.toContain('clipboard-paste')
          expect(
            after.obligations.features.every((feature) => before.obligations.features.includes(feature)),
          ).toBe(true)
        },
      ),
    )
  })

  it('taking any one thing away from good facts never permits', () => {
    fc.assert(
      fc.property(
        fc.subarray(
          EXAMPLES.filter(([, , , at]) => at === undefined),
          { minLength: 1 },
        ),
        (chosen) => {
          let facts = goodFacts()
          for (const [, change] of chosen) facts = { ...facts, ...change(facts) }
          // Changes of one group replace each other, so at least the last one still stands.
          expect(decideAccess(facts, TWO).permit).toBe(false)
        },
      ),
    )
  })

  it('a permit is never longer than anything it rests on, at any time', () => {
    const near = fc.integer({ min: TWO, max: YEAR_END })
    fc.assert(
      fc.property(
        near,
        near,
        near,
        fc.integer({ min: TWO, max: SIX }),
        (training, contract, plannedEnd, at) => {
          const facts = goodFacts({ purpose: 'renew' })
          const decision = decideAccess(
            {
              ...facts,
              ...person({ trainingValidUntil: training })(facts),
              ...vendor({ contractEndsAt: contract })(facts),
              ...ticket({ plannedEnd })(facts),
            },
            at,
          )
          if (!decision.permit) return
          expect(decision.until).toBeGreaterThan(at)
          expect(decision.until).toBeLessThanOrEqual(Math.min(training, contract, plannedEnd, SIX))
          expect(decision.recheckAt).toBeLessThanOrEqual(decision.until)
        },
      ),
    )
  })
})

describe('extensions', () => {
  const extension = (change: Partial<AccessFacts['extensions'][0]> = {}) => ({
    id: 'x',
    extends: 'snapshot',
    snapshotHash: 'more-time',
    closesAt: SIX + HOUR,
    approvals: [approvalBy('rita', { snapshotHash: 'more-time' })],
    ...change,
  })
  const at = SIX - 60_000
  const decide = (facts: AccessFacts) => decideAccess({ ...facts, purpose: 'renew' }, at)

  it('an approved one gives more time', () => {
    expect(decide(goodFacts({ extensions: [extension()] }))).toMatchObject({
      until: SIX + HOUR,
      obligations: { approvals: ['hash-paul', 'hash-rita'] },
    })
  })
  it('never beyond the ticket', () => {
    const facts = goodFacts({ extensions: [extension({ closesAt: SIX + 9 * HOUR })] })
    expect(decide(facts)).toMatchObject({ until: SIX + 2 * HOUR })
  })
  it.each([
    ['for another request', extension({ extends: 'other' })],
    ['with the approval of the request instead of its own', extension({ approvals: [approvalBy('rita')] })],
    ['without an approval', extension({ approvals: [] })],
    [
      'approved by the vendor',
      extension({ approvals: [{ ...byWhom('max', { vendorId: 'acme' }), snapshotHash: 'more-time' }] }),
    ],
    [
      'declined by another approver',
      extension({
        approvals: [
          approvalBy('rita', { snapshotHash: 'more-time' }),
          approvalBy('paul', { snapshotHash: 'more-time', decision: 'declined' }),
        ],
      }),
    ],
  ])('counts for nothing %s', (_what, wrong) => {
    expect(decide(goodFacts({ extensions: [wrong] }))).toMatchObject({ permit: true, until: SIX })
  })
})

it('does not look at a clock and does not change the facts', () => {
  const facts = goodFacts()
  const before = JSON.stringify(facts)
  const first = decideAccess(facts, TWO)
  expect(decideAccess(JSON.parse(before) as AccessFacts, TWO)).toEqual(first)
  expect(JSON.stringify(facts)).toBe(before)
})
