import type { PinnedIdentity } from './grant.ts'
import type { RdpSecurity } from './rdp.ts'
import type { ExceptionKind, VNC_AUTHENTICATIONS, VNC_SECURITIES } from './words.ts'

/** How a VNC endpoint is protected: declared by an administrator, confirmed by a probe, part of what is approved. */
export interface VncSecurity {
  security: (typeof VNC_SECURITIES)[number]
  authentication: (typeof VNC_AUTHENTICATIONS)[number]
}

/** What an asset showed to a probe. `vnc` and `rdp` only of such a server, at its best; `identity` null when it has none. */
export interface Probed {
  identity: PinnedIdentity | null
  vnc: VncSecurity | null
  rdp: RdpSecurity | null
}

/** Algorithm word of a pinned certificate: the fingerprint is `SHA256:` and the base64 of its DER's SHA-256. */
export const X509_IDENTITY = 'x509-sha256'

/** VncAuth knows no user: what stands in the account's place where no password is kept either. */
export const VNC_ACCOUNT = 'vnc'

/** What is missing in an endpoint's protection; `null` (SSH and RDP endpoints) has everything. */
export function deviationsOf(vnc: VncSecurity | null): ExceptionKind[] {
  if (vnc === null) return []
  const kinds: ExceptionKind[] = []
  if (vnc.security === 'plain') kinds.push('no-encryption')
  if (!hasIdentity(vnc)) kinds.push('no-server-identity')
  if (!needsCredential(vnc)) kinds.push('no-authentication')
  return kinds
}

/** Whether the server proves who it is, so that there is something to pin. */
export function hasIdentity(vnc: VncSecurity | null): boolean {
  return vnc === null || vnc.security === 'x509'
}

export function needsCredential(vnc: VncSecurity | null): boolean {
  return vnc === null || vnc.authentication === 'password'
}
