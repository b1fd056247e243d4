import type { Readable } from 'node:stream'
import type { AccessFacts } from './access-facts.ts'
import type { RequestSnapshot } from './request-snapshot.ts'
import type { Feature } from './words.ts'

/**
 * What the broker needs from the rooms that it must not import. `main.ts` puts the pieces together.
 */

/** What only the running broker knows and `decideAccess` must weigh. */
export interface RuntimeFacts {
  gatewayOnline: boolean
  /** The session that holds the endpoint now, if any. */
  endpointBusyWith: string | null
  clock: 'ok' | 'behind-mark' | 'apart'
  storageBelowReserve: boolean
  /** A backup was restored, and nobody has said yet that what was revoked since was revoked again. */
  restoreUnconfirmed: boolean
  /** Last strong authentication of the person, ms since the epoch; null when it does not matter (renewal). */
  authenticatedAt: number | null
}

export interface AskAccess {
  requestId: string
  personId: string
  purpose: 'open' | 'renew'
  /** The session that asks for renewal: it doesn't block itself, and its granted extensions count. */
  sessionId: string | null
  runtime: RuntimeFacts
}

/** The approved request cut down by every approval's constraints: what a grant is written from. */
export interface ApprovedRequest {
  snapshot: RequestSnapshot
  snapshotHash: string
  /** The asset's address as it was approved, unresolved. */
  address: { host: string; port: number }
  features: Feature[]
  viewOnly: boolean
  inputDuringGrace: boolean
  /** SHA-256 (hex) of each counted approval's signed document. */
  approvals: string[]
}

/** Implemented by approvals. Facts are read from the store afresh at every call. */
export interface AccessPort {
  facts(ask: AskAccess): Promise<AccessFacts>
  /** Verifies every approval's assertion again; throws IntegrityError when a row is not vouched for. */
  approved(requestId: string): Promise<ApprovedRequest>
  /** Calls back with request ids whose facts changed, so that running sessions are decided again at once. */
  onChange(listener: (requestIds: string[]) => void): void
}

/** Implemented by recordings: where a gateway's evidence arrives. */
export interface EvidenceSink {
  /**
   * Put-once. `path` is one of `<recording>/<stream>/<n>.spr`, `<recording>/keys/<stream>-<n>.jwe`, checked by
   * the sink; the bytes must have the given length and SHA-256 (hex) or nothing is kept. `busy`: to be sent again, because
   * it could not be looked at now. `full`: there is less space than the reserve.
   */
  put(object: {
    gatewayId: string
    path: string
    sha256: string
    length: number
    body: Readable
  }): Promise<'stored' | 'same' | 'conflict' | 'mismatch' | 'busy' | 'full'>
  /** Checks the manifest against what has arrived; answers with the receipt (JWS), or says what is missing; null: busy. */
  finish(manifest: {
    gatewayId: string
    recording: string
    jws: string
  }): Promise<{ receipt: string } | { missing: string[] } | { refused: string } | null>
}
