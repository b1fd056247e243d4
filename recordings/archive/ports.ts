import type { JWK } from 'jose'
import type postgres from 'postgres'
import type { AuditActor, AuditDetail, AuditEntry } from '../../broker/contract/audit-entry.ts'
import type { Secret } from '../../broker/domain/secret.ts'

/** What the archive needs from the broker; `main.ts` hands it in, because recordings may not import the broker. */
export type Query = postgres.Sql<{ bigint: number }> | postgres.TransactionSql<{ bigint: number }>

export interface ArchiveEvent {
  action: string
  actor: AuditActor
  authentication?: AuditEntry['authentication']
  source?: string | null
  object?: { kind: string; id: string } | null
  result?: AuditEntry['result']
  reason?: string | null
  correlation?: Partial<AuditEntry['correlation']>
  details?: Record<string, AuditDetail>
}

export interface ArchiveAudit {
  record(tx: Query, event: ArchiveEvent): Promise<{ id: string }>
  /** Index of a committed entry, sequenced first when it still waits. */
  indexOf(id: string): Promise<number | null>
}

export interface ArchiveDatabase {
  readonly sql: postgres.Sql<{ bigint: number }>
  tx<T>(work: (tx: postgres.TransactionSql<{ bigint: number }>) => Promise<T>): Promise<T>
}

/** The session behind a recording, as the broker keeps it. */
export interface RecordedSession {
  session: string
  recording: string
  gateway: string
  site: string
  asset: string
  startedAt: Date | null
  endedAt: Date | null
  /** Audit entry id of `session.start`. */
  startEntry: string | null
}

export interface ArchivePorts {
  db: ArchiveDatabase
  audit: ArchiveAudit
  deployment: string
  sessionOfRecording(recording: string): Promise<RecordedSession | null>
  /** The gateway's public signing key (raw Ed25519, base64url) under this kid; null when unknown or revoked. */
  gatewaySignKey(gateway: string, kid: string): Promise<string | null>
  /** Signs with the broker's key: receipts and packages. */
  sign(payload: unknown, typ: string): Promise<string>
  /** Private replay key: opens screen streams, used in the replay thread only. */
  replayKey: Secret<JWK>
  now(): number
}
