import type { ApprovalRecord } from '../../broker/contract/approval-record.ts'
import type { AnchorProof } from '../format/anchor.ts'
import type { EarlierLine } from '../format/package-layout.ts'
import type { TrustFile } from '../format/trust.ts'

/** What stands behind a session, from the modules that hold it; put together by `main.ts`. */
export interface SessionDossier {
  /** The opening grant, then later ones: compact JWS. */
  grants: { serial: number; jws: string }[]
  approvals: ApprovalRecord[]
  /** Canonical JSON, the very bytes that were hashed. */
  ticket: Uint8Array
  policy: Uint8Array
  asset: Uint8Array
}

export interface LoggedEntry {
  index: number
  bytes: Uint8Array
}

export interface EvidenceDesk {
  dossier(session: string): Promise<SessionDossier | null>
  /** Every entry about the session, its recording and its request, and the named ones; ascending, without repeats. */
  entries(session: string, recording: string, alsoIndexes: readonly number[]): Promise<LoggedEntry[]>
  /** The anchors that name this recording, with the log index of each. */
  anchors(recording: string): Promise<AnchorProof[]>
  /** Signs a checkpoint over everything logged so far. */
  checkpoint(): Promise<{ size: number; note: string }>
  /**
   * The newest signed checkpoints of fewer than `size` entries, ascending, each with its consistency proof to `size`
   * (RFC 6962, hex): an auditor who kept one sees that the log only grew since.
   */
  earlier(size: number, limit: number): Promise<EarlierLine[]>
  latestCheckpoint(): Promise<{ size: number; at: Date | null } | null>
  /** RFC 6962 audit path, hex. */
  inclusion(index: number, size: number): Promise<string[]>
  /** What an auditor would trust (keys.json), as it stands now. */
  trust(): Promise<TrustFile>
}
