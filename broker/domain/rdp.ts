import type { RDP_SECURITIES } from './words.ts'

/**
 * How an RDP endpoint signs in: declared by an administrator, confirmed by a probe, part of what is approved. Either way
 * the connection is encrypted, the certificate pinned and a password asked for, so neither lacks what an exception is for.
 */
export interface RdpSecurity {
  security: (typeof RDP_SECURITIES)[number]
}
