/**
 * The words of access, as they stand in code, tables, API and pages. Lists are `as const` so that schemas,
 * database checks and exhaustive switches come from one place.
 */

/** C1 safety / SIS, C2 process control, C3 supporting (HMI, historian, engineering station), C4 non-production. */
export const CRITICALITIES = ['C1', 'C2', 'C3', 'C4'] as const
export type Criticality = (typeof CRITICALITIES)[number]

export const ASSET_TYPES = [
  'plc',
  'hmi',
  'dcs',
  'scada',
  'rtu',
  'sis',
  'historian',
  'robot',
  'engineering-station',
  'other',
] as const
export type AssetType = (typeof ASSET_TYPES)[number]

/** Roles are held per site; `administrator` may also be held for the whole deployment (site null). */
export const ROLES = ['vendor', 'approver', 'operator', 'auditor', 'administrator'] as const
export type Role = (typeof ROLES)[number]

export const PROTOCOLS = ['ssh', 'vnc', 'rdp'] as const
export type Protocol = (typeof PROTOCOLS)[number]

/**
 * How a VNC server protects its connection. x509: VeNCrypt with a certificate that can be pinned. anonymous-tls:
 * encrypted, and nobody knows to whom. plain: neither.
 */
export const VNC_SECURITIES = ['x509', 'anonymous-tls', 'plain'] as const
export const VNC_AUTHENTICATIONS = ['password', 'none'] as const

/**
 * How a session signs in over RDP. nla: Network Level Authentication is required, so a server that selects less is refused
 * before any credential leaves. tls: the server is only asked for TLS, because it is old or has no NLA.
 */
export const RDP_SECURITIES = ['nla', 'tls'] as const

/** Deviations from what an endpoint should have; each needs an open exception of its site's register. */
export const EXCEPTION_KINDS = ['no-encryption', 'no-server-identity', 'no-authentication'] as const
export type ExceptionKind = (typeof EXCEPTION_KINDS)[number]

/** What a vendor may be given beyond seeing and typing. File transfer is not offered yet. */
export const FEATURES = ['clipboard-copy', 'clipboard-paste'] as const
export type Feature = (typeof FEATURES)[number]

/** What is left of features to somebody who may only look on: pasting is typing. */
export function withoutTyping(features: readonly Feature[]): Feature[] {
  return features.filter((feature) => feature !== 'clipboard-paste')
}

export const SESSION_STATES = ['opening', 'live', 'held', 'closing', 'closed'] as const
export type SessionState = (typeof SESSION_STATES)[number]

/** What a gateway tells of itself when a person must look at it. */
export const GATEWAY_PROBLEMS = [
  'journal-damaged',
  'worker-lost',
  'recording-unreadable',
  'recording-not-sealed',
  'recording-not-delivered',
] as const
export type GatewayProblem = (typeof GATEWAY_PROBLEMS)[number]

/** Why a session is closed. Stable codes: reports, tickets and alarms depend on them. */
export const SESSION_ENDS = [
  'vendor-left',
  'window-closed',
  'approval-withdrawn',
  'ticket-closed',
  'operator-stopped',
  'site-locked',
  'idle',
  'open-failed',
  'target-identity-changed',
  'protocol-violation',
  'decoder-failed',
  'recording-failed',
  'asset-lost',
  'browser-lost',
  'identity-revoked',
  'lease-lost',
  'gateway-stopped',
] as const
export type SessionEnd = (typeof SESSION_ENDS)[number]

/** How a session ends when its time is over: by criticality unless the asset says otherwise. */
export const ENDING_MODES = ['operator-confirm', 'grace', 'cut'] as const
export type EndingMode = (typeof ENDING_MODES)[number]

/** Part of the approved snapshot and of the grant, so nobody changes it under a running session. */
export interface EndingRule {
  mode: EndingMode
  /** Longest time after the end: 1,800 s at most for operator-confirm, 600 s for grace, 0 for cut. */
  holdSeconds: number
  /** Only when an approver signed "input during grace". */
  inputDuringGrace: boolean
}

export const DEFAULT_ENDING: Record<Criticality, EndingRule> = {
  C1: { mode: 'operator-confirm', holdSeconds: 1800, inputDuringGrace: false },
  C2: { mode: 'operator-confirm', holdSeconds: 1800, inputDuringGrace: false },
  C3: { mode: 'grace', holdSeconds: 600, inputDuringGrace: false },
  C4: { mode: 'cut', holdSeconds: 0, inputDuringGrace: false },
}

export const REQUEST_STATES = ['waiting', 'approved', 'declined', 'withdrawn', 'ended'] as const
export type RequestState = (typeof REQUEST_STATES)[number]

export const TICKET_STATES = ['draft', 'waiting', 'approved', 'closed', 'cancelled', 'unknown'] as const
export type TicketState = (typeof TICKET_STATES)[number]

export const STREAMS = ['screen', 'input'] as const
export type Stream = (typeof STREAMS)[number]
