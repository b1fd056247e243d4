import type { PinnedIdentity } from '../../../broker/domain/grant.ts'

/**
 * What ends a handshake; caught where it was begun, where `code` becomes a sentence. `not-understood`: what answered does
 * not speak the protocol.
 */
export class HandshakeEnd<Code extends string = 'asset-lost' | 'not-understood'> extends Error {
  readonly code: Code
  /** What the asset showed instead of its pinned identity. */
  readonly seen: PinnedIdentity | undefined

  constructor(code: Code, seen?: PinnedIdentity) {
    super(code)
    this.code = code
    this.seen = seen
  }
}
