import type { PinnedIdentity } from '../../broker/domain/grant.ts'
import type { SessionEnd } from '../../broker/domain/words.ts'
import type { DesktopEndCode, DesktopSource } from './source.ts'

/** Why a desktop could not be opened. */
export interface DesktopFailure {
  /** Stable, of the protocol's own list. */
  code: string
  /** A sentence for a person. Holds no address and no credential: it travels to the browser. */
  message: string
  /** Only with identity-changed. */
  seen?: PinnedIdentity
}

export interface OpenedDesktop {
  source: DesktopSource
  /** null where an exception allows an asset that cannot prove who it is. */
  identity: PinnedIdentity | null
  /** How the connection is protected, for the session's header. */
  algorithms: Record<string, string>
}

export type DesktopAnswer = { ok: true; opened: OpenedDesktop } | { ok: false; failure: DesktopFailure }

/** How a session ends that never was live. */
export function endOfOpening(code: string): SessionEnd {
  return code === 'identity-changed' ? 'target-identity-changed' : 'open-failed'
}

/** How a live one ends, and what to tell a person where the end alone does not say it. */
export function endOfSource(code: DesktopEndCode): { end: SessionEnd; message: string | null } {
  switch (code) {
    case 'identity-changed':
      return { end: 'target-identity-changed', message: null }
    case 'shell-ended':
      return { end: 'vendor-left', message: null }
    case 'protocol-violation':
    case 'decoder-failed':
      return { end: code, message: null }
    case 'taken-over':
      return {
        end: 'asset-lost',
        message: 'Somebody else signed in at the asset, which ended this session.',
      }
    case 'dismissed':
      return {
        end: 'asset-lost',
        message: 'The asset ended the connection: its administrator or one of its policies did so.',
      }
    case 'asset-lost':
      return { end: 'asset-lost', message: null }
  }
}
