import type { PinnedIdentity } from './grant.ts'
import type { RdpSecurity } from './rdp.ts'
import type { VncSecurity } from './vnc.ts'
import type { Criticality, EndingRule, Feature, Protocol, RequestState, Role, TicketState } from './words.ts'

/**
 * Everything that `decideAccess` looks at. Plain JSON, read afresh for each decision and kept with the answer in the
 * audit log, so an old decision can be replayed. Instants are milliseconds since the epoch. `null` means "not there"
 * and denies where something is needed; nothing is assumed.
 */
export interface AccessFacts {
  v: 1
  /**
   * preview: the request form. open: a new session. renew: a running session's lease. extend: more time for one.
   * A running session goes on over failures that only deny new ones (access.md, "When something fails").
   */
  purpose: 'preview' | 'open' | 'renew' | 'extend'
  /** Settings, checked field by field: one that is unknown or missing denies. */
  policy: Readonly<Record<string, unknown>>
  person: PersonFacts
  vendor: VendorFacts | null
  site: SiteFacts
  asset: AssetFacts
  endpoint: EndpointFacts
  conduit: ConduitFacts | null
  gateway: GatewayFacts | null
  request: RequestFacts
  /**
   * An operator's word that the console is free, given for this version of the request and not yet used; for a running
   * session the one that it used. Facts of before there was any do not have the field.
   */
  ready: ReadyFacts | null
  /** The rule in force now; compared with the one that was signed. */
  rule: RuleFacts | null
  approvals: ApprovalFacts[]
  extensions: ExtensionFacts[]
  ticket: TicketFacts | null
  /** Times at which nobody may work on this asset. Only the next and the current ones are needed. */
  blackouts: { id: string; opensAt: number; closesAt: number; reason: string }[]
  /** Deviations that this endpoint needs, each with the open exception that covers it, if any. */
  exceptionsNeeded: { kind: string; expiresAt: number | null }[]
  /** Security-relevant rows behind these facts for which the audit log does not vouch (threat 10). */
  unvouched: { object: string; id: string }[]
  clock: { state: 'ok' | 'behind-mark' | 'apart' } | null
  storage: { belowReserve: boolean } | null
  /** A restored backup: what was revoked since it was made may be in force again. */
  restore: { unconfirmed: boolean } | null
}

/** One account at one issuer. Two persons with the same account are the same person. */
export interface AccountName {
  issuer: string
  subject: string
}

export interface PersonFacts {
  id: string
  name: string
  accounts: AccountName[]
  enabled: boolean
  /** Holds the vendor role at this site. */
  mayRequest: boolean
  accountEndsAt: number | null
  trainingValidUntil: number | null
  /** When this sign-in was last proven by strong authentication; null: never, or not known here. */
  strongAuthAt: number | null
}

export interface VendorFacts {
  id: string
  name: string
  enabled: boolean
  contractEndsAt: number | null
  sponsor: { name: string; enabled: boolean; endsAt: number | null } | null
}

export interface SiteFacts {
  id: string
  name: string
  timeZone: string
  lock: { since: number; by: string; reason: string } | null
  notice: { version: number; acceptedVersion: number | null } | null
}

export interface AssetFacts {
  id: string
  name: string
  criticality: Criticality
  enabled: boolean
  /** What is still missing in its description. */
  incomplete: string[]
  /** The name under which change tickets list it. */
  configurationItem: string
  operatorsUseConsole: boolean
}

export interface EndpointFacts {
  id: string
  protocol: Protocol
  account: string
  /** How a VNC endpoint is protected; null for others. */
  vnc: VncSecurity | null
  /** How an RDP endpoint signs in; null for others. */
  rdp: RdpSecurity | null
  /** Identities that an administrator accepted. */
  identities: PinnedIdentity[]
  identityState: 'none' | 'accepted' | 'changed'
  /** In the vault, or none is needed: the endpoint asks for none (which is a deviation of its own). */
  hasCredential: boolean
  /** Live sessions on this endpoint other than the one that is decided on. */
  busyWith: { session: string; person: string }[]
}

export interface ConduitFacts {
  id: string
  name: string
  enabled: boolean
  protocols: string[]
}

export interface GatewayFacts {
  id: string
  name: string
  online: boolean
}

export interface RequestFacts {
  id: string
  version: number
  state: RequestState
  /** Hash of the version's stored snapshot, computed afresh from what is stored. */
  snapshotHash: string
  /** Fields in which the present inventory, rule or person differ from the snapshot; any entry voids approvals. */
  changedSince: string[]
  /** The newest stop of this person's work on this endpoint: only an approval that was given after it opens again. */
  stopped: { by: string; at: number } | null
  /** An operator's hold that was not released, of a session that may be over: no new one until then. */
  held: { by: string; at: number } | null
  opensAt: number
  closesAt: number
  timeZone: string
  viewOnly: boolean
  features: Feature[]
  ending: EndingRule
}

export interface ReadyFacts {
  id: string
  by: {
    id: string
    name: string
    accounts: AccountName[]
    vendorId: string | null
    enabled: boolean
    /** Held at this site now. */
    roles: Role[]
  }
  at: number
  expiresAt: number
}

export interface RuleFacts {
  id: string
  /** How many different people. */
  need: number
  /** Held at the site by each of them, one of these. */
  roles: Role[]
}

export interface ApprovalFacts {
  id: string
  /** SHA-256 (hex) of the signed document: its name in grants. */
  hash: string
  decision: 'granted' | 'declined'
  snapshotHash: string
  approver: {
    id: string
    name: string
    accounts: AccountName[]
    vendorId: string | null
    enabled: boolean
    /** Held at this site now, as far as the log vouches for them. */
    roles: Role[]
  }
  method: 'passkey' | 'password-totp'
  /** The assertion verified again just now: signature, challenge, origin, user verification, confirmed passkey. */
  signature: 'valid' | 'invalid' | 'none'
  at: number
  /** An approval may be given for a limited time. */
  validUntil: number | null
  withdrawnAt: number | null
  opensAt: number | null
  closesAt: number | null
  viewOnly: boolean
  features: Feature[] | null
  /** Signed "input during grace"; holds only when every counted approval did. */
  inputDuringGrace: boolean
}

/** More time for a running session: a document of its own with approvals of its own. */
export interface ExtensionFacts {
  id: string
  /** The request snapshot that it extends. */
  extends: string
  /** Hash of the extension's own document; its approvals are over this. */
  snapshotHash: string
  closesAt: number
  approvals: ApprovalFacts[]
}

export interface TicketFacts {
  system: string
  key: string
  state: TicketState
  plannedStart: number | null
  plannedEnd: number | null
  configurationItems: string[]
  /** Signed by a key that an administrator registered, or fetched over a verified connection. */
  trusted: boolean
  fetchedAt: number
  hash: string
}

/** The settings behind a decision. Any other field, or one that is missing, denies. */
export interface AccessPolicy {
  version: string
  /** A ticket snapshot may serve for so long, seconds (86,400 at most). */
  ticketMaxAgeSeconds: number
  /** A new session needs strong authentication within this, seconds. */
  stepUpSeconds: number
  /** The decision is made afresh after at most this, seconds. */
  recheckSeconds: number
  sessionsPerEndpoint: number
  /** Password and TOTP count as an approval (never as a signature). */
  passwordApprovals: boolean
  idleSeconds: number
  /** Criticalities in which an operator must watch. */
  watcherFor: Criticality[]
}

export const DEFAULT_POLICY: AccessPolicy = {
  version: '1',
  ticketMaxAgeSeconds: 86_400,
  stepUpSeconds: 300,
  recheckSeconds: 30,
  sessionsPerEndpoint: 1,
  passwordApprovals: false,
  idleSeconds: 900,
  watcherFor: [],
}

export interface Permit {
  permit: true
  /** Epoch milliseconds; the earliest of all ends. Exclusive. */
  until: number
  /** What ends then, for the countdown's tooltip and the audit log. */
  endsBecause: string
  recheckAt: number
  obligations: Obligations
}

/** What must hold while the session runs. Already narrowed by every approval. */
export interface Obligations {
  recording: true
  viewOnly: boolean
  features: Feature[]
  ending: EndingRule
  idleSeconds: number
  watcher: boolean
  operatorReady: boolean
  /** Hashes of the signed documents that carry the permit, those of extensions included. */
  approvals: string[]
}

export interface Denial {
  permit: false
  reasons: DenialReason[]
}

export type Decision = Permit | Denial

/** Why not. Codes are stable; `explain` says each in a sentence and who can help. Instants are epoch milliseconds. */
export type DenialReason =
  | { code: 'policy-unknown'; fields: string[] }
  | { code: 'facts-unusable'; fields: string[] }
  | { code: 'row-not-vouched'; object: string; id: string }
  | { code: 'person-disabled' }
  | { code: 'role-missing'; role: Role }
  | { code: 'account-ended'; at: number }
  | { code: 'training-missing' }
  | { code: 'training-expired'; at: number }
  | { code: 'vendor-missing' }
  | { code: 'vendor-disabled' }
  | { code: 'vendor-contract-ended'; at: number | null }
  | { code: 'sponsor-ended'; at: number | null }
  | { code: 'step-up-needed' }
  | { code: 'notice-not-accepted'; version: number | null }
  | { code: 'site-locked'; since: number; by: string }
  | { code: 'asset-disabled' }
  | { code: 'asset-incomplete'; missing: string[] }
  | { code: 'no-conduit' }
  | { code: 'conduit-disabled'; conduit: string }
  | { code: 'protocol-not-carried'; protocol: Protocol; conduit: string }
  | { code: 'identity-not-accepted'; state: 'none' | 'changed' }
  | { code: 'no-credential'; account: string }
  | { code: 'endpoint-busy'; person: string }
  | { code: 'operator-not-ready'; why: 'not-given' | 'expired' | 'not-counted' }
  | { code: 'gateway-missing' }
  | { code: 'gateway-offline'; gateway: string }
  | { code: 'storage-below-reserve' }
  | { code: 'restore-unconfirmed' }
  | { code: 'clock-anomaly'; state: string }
  | { code: 'request-declined' }
  | { code: 'request-withdrawn' }
  | { code: 'request-ended' }
  | { code: 'operator-stopped'; by: string; at: number }
  | { code: 'operator-held'; by: string; at: number }
  | { code: 'request-changed'; fields: string[] }
  | { code: 'no-approval-rule' }
  | { code: 'approvals-missing'; have: number; need: number; roles: Role[] }
  | { code: 'approval-not-counted'; approver: string; why: NotCounted }
  | { code: 'window-not-open'; opensAt: number }
  | { code: 'window-over'; closedAt: number }
  | { code: 'window-empty' }
  | { code: 'ticket-unknown' }
  | { code: 'ticket-not-trusted'; key: string }
  | { code: 'ticket-not-approved'; key: string; state: TicketState }
  | { code: 'ticket-stale'; key: string; fetchedAt: number }
  | { code: 'ticket-other-asset'; key: string; configurationItems: string[]; asset: string }
  | { code: 'ticket-no-planned-time'; key: string }
  | { code: 'ticket-not-started'; key: string; plannedStart: number }
  | { code: 'ticket-over'; key: string; plannedEnd: number }
  | { code: 'window-outside-ticket'; key: string; plannedStart: number; plannedEnd: number }
  | { code: 'blackout'; closesAt: number; why: string }
  | { code: 'exception-needed'; kind: string }
  | { code: 'exception-expired'; kind: string; at: number }

export const NOT_COUNTED = [
  'edited-after',
  'by-requester',
  'by-vendor',
  'same-person',
  'role-lost',
  'person-disabled',
  'signature-invalid',
  'method-not-allowed',
  'withdrawn',
  'expired',
] as const
export type NotCounted = (typeof NOT_COUNTED)[number]
