import type {
  AssetType,
  Criticality,
  EndingMode,
  ExceptionKind,
  Feature,
  Protocol,
  RequestState,
  Role,
  SessionEnd,
  TicketState,
} from '../../broker/domain/words.ts'

/** What codes are called on the pages: one place, so a catalogue in another language can take it over. */
export const ROLE: Record<Role, string> = {
  vendor: 'Vendor engineer',
  approver: 'Approver',
  operator: 'Operator',
  auditor: 'Auditor',
  administrator: 'Administrator',
}

export const CRITICALITY: Record<Criticality, string> = {
  C1: 'C1 safety',
  C2: 'C2 process control',
  C3: 'C3 supporting',
  C4: 'C4 non-production',
}

export const ASSET_TYPE: Record<AssetType, string> = {
  plc: 'PLC',
  hmi: 'HMI',
  dcs: 'DCS',
  scada: 'SCADA',
  rtu: 'RTU',
  sis: 'Safety system (SIS)',
  historian: 'Historian',
  robot: 'Robot',
  'engineering-station': 'Engineering station',
  other: 'Other',
}
export const assetType = (type: string): string => ASSET_TYPE[type as AssetType] ?? type

export const PROTOCOL: Record<Protocol, string> = {
  ssh: 'Terminal (SSH)',
  vnc: 'Desktop (VNC)',
  rdp: 'Desktop (RDP)',
}
export const ALL_PROTOCOLS = Object.keys(PROTOCOL) as Protocol[]

/** How a VNC server protects its connection, the best first. */
export const VNC_SECURITY = {
  x509: 'Encrypted, with a certificate',
  'anonymous-tls': 'Encrypted, without a certificate',
  plain: 'Not encrypted',
} as const
export const VNC_AUTHENTICATION = { password: 'Asks for a password', none: 'Asks for no password' } as const

/** How a session signs in over RDP, the best first. */
export const RDP_SECURITY = {
  nla: 'Encrypted, with a certificate; Network Level Authentication (NLA) required',
  tls: 'Encrypted, with a certificate; sign-in without NLA',
} as const
/** What that means, for whoever declares or approves it. */
export const WITHOUT_NLA =
  'The sign-in happens without Network Level Authentication: the asset itself is given the password, over the encrypted connection to its pinned certificate.'

/** What an endpoint lacks: as a title, and what that means for the plant. */
export const DEVIATION: Record<ExceptionKind, { name: string; means: string }> = {
  'no-encryption': {
    name: 'No encryption',
    means: 'Whoever reaches the network between gateway and asset reads and changes what crosses it.',
  },
  'no-server-identity': {
    name: 'No server identity',
    means: 'The asset cannot prove who it is: another machine could answer in its place.',
  },
  'no-authentication': {
    name: 'No authentication',
    means: 'The asset lets in whoever reaches its port.',
  },
}

export const FEATURE: Record<Feature, string> = {
  'clipboard-copy': 'Copy text out of the session',
  'clipboard-paste': 'Paste text into the session',
}
export const FEATURE_SHORT: Record<Feature, string> = {
  'clipboard-copy': 'copy out',
  'clipboard-paste': 'paste in',
}
export const ALL_FEATURES = Object.keys(FEATURE) as Feature[]

export const ENDING: Record<EndingMode, string> = {
  'operator-confirm': 'At the end: input stops, the connection is held until an operator ends it',
  grace: 'At the end: input stops, view only for a while, then closed',
  cut: 'At the end: closed at once',
}

export const REQUEST_STATE: Record<RequestState, string> = {
  waiting: 'Waiting for approval',
  approved: 'Approved',
  declined: 'Declined',
  withdrawn: 'Withdrawn',
  ended: 'Over',
}

export const TICKET_STATE: Record<TicketState, string> = {
  draft: 'Draft',
  waiting: 'Waiting',
  approved: 'Approved',
  closed: 'Closed',
  cancelled: 'Cancelled',
  unknown: 'Unknown',
}

export const SESSION_END: Record<SessionEnd, string> = {
  'vendor-left': 'Ended by the vendor',
  'window-closed': 'Window closed',
  'approval-withdrawn': 'Approval withdrawn',
  'ticket-closed': 'Change ticket closed',
  'operator-stopped': 'Stopped by an operator',
  'site-locked': 'Site locked',
  idle: 'Idle for too long',
  'open-failed': 'Could not be opened',
  'target-identity-changed': 'Asset showed another identity',
  'protocol-violation': 'Protocol violated',
  'decoder-failed': 'Decoder failed',
  'recording-failed': 'Recording failed',
  'asset-lost': 'Asset disconnected',
  'browser-lost': 'Browser lost',
  'identity-revoked': "Person's access revoked",
  'lease-lost': 'Link to the broker lost',
  'gateway-stopped': 'Gateway stopped',
}
/** The same, said to the engineer whose session it was. */
const YOUR_END: Partial<Record<SessionEnd, string>> = {
  'vendor-left': 'You ended the session',
  idle: 'Nothing was typed for too long',
  'browser-lost': 'Your browser was away for too long',
  'identity-revoked': 'Your access was withdrawn',
}
export const yourEnd = (end: SessionEnd): string => YOUR_END[end] ?? SESSION_END[end]

/** Ends that need somebody to look; the others are how a session should end. */
export const TROUBLED_ENDS: ReadonlySet<SessionEnd> = new Set<SessionEnd>([
  'target-identity-changed',
  'protocol-violation',
  'decoder-failed',
  'recording-failed',
  'asset-lost',
  'lease-lost',
  'gateway-stopped',
  'open-failed',
  'identity-revoked',
])
export const ALL_ENDS = Object.keys(SESSION_END) as SessionEnd[]

/**
 * The ticket system that a number typed by hand is looked up in. There is one kind so far (signed files); tickets that
 * are offered bring their own system's name.
 */
export const TICKET_SYSTEM = 'file'
export const ticketSystem = (system: string): string => (system === 'file' ? 'Signed ticket file' : system)

/** What the vendor does after each end, said at the end of a session. */
export const AFTER_END: Partial<Record<SessionEnd, string>> = {
  'window-closed': 'Ask for a new window if the work is not done.',
  'approval-withdrawn': 'Ask the approver why, then ask again.',
  'ticket-closed': 'Talk to the owner of the change; a closed ticket opens nothing.',
  'operator-stopped': 'Call the control room before you ask again.',
  'site-locked': 'Nobody gets in until the site is unlocked. Call the control room.',
  idle: 'You can open it again while the window is open.',
  'open-failed': 'Tell the site: the asset did not answer as it should.',
  'target-identity-changed':
    'Nothing was sent to it. The site has to compare the host key before anybody gets in.',
  'asset-lost': 'You can reconnect once while the window is open.',
  'browser-lost': 'You can open it again while the window is open.',
  'lease-lost': 'Wait for the link to come back, then open it again.',
  'gateway-stopped': 'The recording is safe. Open it again when the gateway is back.',
  'recording-failed': 'Work that cannot be recorded is not possible. The site knows.',
}
