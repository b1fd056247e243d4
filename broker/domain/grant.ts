import type { RdpSecurity } from './rdp.ts'
import type { VncSecurity } from './vnc.ts'
import type { Criticality, EndingRule, Feature, Protocol } from './words.ts'

/** `typ` header of every JWS in the system. The kind is pinned, so one kind is never taken for another. */
export const JWS_TYPES = {
  grant: 'sallyport-grant+jws',
  lease: 'sallyport-lease+jws',
  ticket: 'sallyport-ticket+jws',
  manifest: 'sallyport-manifest+jws',
  receipt: 'sallyport-receipt+jws',
  package: 'sallyport-package+jws',
  siteLock: 'sallyport-site-lock+jws',
  ticketSnapshot: 'sallyport-ticket-snapshot+jws',
} as const

/**
 * How the asset proves who it is: the SHA-256 of the SSH host key blob, as OpenSSH prints it (`SHA256:…`), or of a
 * VNC or RDP server's certificate (algorithm `x509-sha256`).
 */
export interface PinnedIdentity {
  algorithm: string
  fingerprint: string
}

/**
 * The broker's signed permission for one session. A gateway opens nothing without one, and re-checks every field
 * it acts on: it dials only `address`, accepts only `identities`, offers only `features`.
 * Times are seconds since the epoch, as JWT has them; `exp - iat` is also the budget on the monotonic clock.
 */
export interface Grant {
  v: 1
  /** Grant id; an extension issues a new grant for the same session with a higher `serial`. */
  jti: string
  serial: number
  iat: number
  exp: number
  deployment: string
  session: string
  recording: string
  gateway: string
  site: { id: string; name: string; timeZone: string }
  asset: { id: string; name: string; criticality: Criticality; hash: string }
  endpoint: string
  protocol: Protocol
  address: { host: string; port: number }
  identities: PinnedIdentity[]
  /** Of a VNC endpoint, and only there: a gateway opens nothing that is protected otherwise. */
  vnc?: VncSecurity
  /** Of every RDP endpoint, and only there: with `nla` a server that selects less gets no credential. */
  rdp?: RdpSecurity
  account: string
  features: Feature[]
  viewOnly: boolean
  /** The person, by a pseudonymous id in headers; the printed name stands in chunk 0 of the recording. */
  person: { id: string; pseudonym: string; name: string; company: string }
  request: { id: string; version: number; ticketKey: string; purpose: string }
  snapshotHash: string
  /** SHA-256 of each approval's signed document, hex. */
  approvals: string[]
  policyHash: string
  ending: EndingRule
  idleSeconds: number
  /** How long the screen is kept for the same person after the browser is lost. */
  browserHoldSeconds: number
  /** Public keys (JWK, ECDH P-256) that the recording's data keys are wrapped to. */
  recordingKeys: { replay: JsonWebKeyPublic; input: JsonWebKeyPublic; escrow: JsonWebKeyPublic }
}

export interface JsonWebKeyPublic {
  kty: 'EC' | 'OKP'
  crv: 'P-256' | 'X25519' | 'Ed25519'
  x: string
  y?: string
  kid: string
}

/** The grant's heartbeat: 60 s at most, renewed after a fresh decision. */
export interface Lease {
  v: 1
  session: string
  grant: string
  serial: number
  iat: number
  exp: number
}

/** Opens a socket once, 30 s at most; the gateway consumes it and keeps the id until expiry. */
export interface SessionTicket {
  v: 1
  jti: string
  iat: number
  exp: number
  session: string
  gateway: string
  person: string
  personName: string
  use: 'open' | 'attach' | 'watch'
}
