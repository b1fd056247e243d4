import type { AuditLog } from '../audit/log.ts'
import type { RestoreGuard } from '../backup/restore-guard.ts'
import type { Clock } from '../domain/clock.ts'
import type { Grant } from '../domain/grant.ts'
import type { AccessPort } from '../domain/ports.ts'
import type { Secret } from '../domain/secret.ts'
import type { SigningKey } from '../keys/signing-key.ts'
import type { GatewayLink } from '../link/link.ts'
import type { LinkClocks } from '../link/link-clocks.ts'
import type { SocketRegistry } from '../link/socket-registry.ts'
import type { Database, Query } from '../store/sql.ts'
import type { Hints } from './hints.ts'

/** Where a session goes, from the inventory: rows that the audit log vouches for. */
export interface Target {
  gatewayId: string
  address: { host: string; port: number }
  /** What was resolved, as the inventory has it. */
  named: { host: string; port: number }
  zone: string
}

/** A credential as the vault gives it out, for the one use. */
export type OpenedCredential =
  | { kind: 'password'; password: Secret }
  | { kind: 'private-key'; privateKey: Secret; passphrase: Secret | null }

export interface SessionsDeps {
  db: Database
  audit: AuditLog
  clock: Clock
  clocks: LinkClocks
  link: GatewayLink
  access: AccessPort
  hints: Hints
  sockets: SocketRegistry
  /** The broker's key: grants, leases, tickets. */
  key: SigningKey
  /** Public parts of former broker keys: a session may have been opened under one, and runs on. */
  formerKeys?: readonly { x: string; kid: string }[]
  deployment: string
  recordingKeys: Grant['recordingKeys']
  /** The same person has the same pseudonym in every recording; nobody without the key tells who it is. */
  pseudonym(personId: string): string
  /** Throws IntegrityError when a row is not vouched for; null when the endpoint has no gateway or is gone. */
  target(endpointId: string): Promise<Target | null>
  /** In a repeatable-read transaction. */
  credential(query: Query, endpointId: string, account: string): Promise<OpenedCredential | null>
  /** The archive's space; null when it can't be told. */
  storage(): Promise<{ freeBytes: number; reserveBytes: number } | null>
  /** The newest restored backup that nobody has confirmed (ms since the epoch), and the word of one who does. */
  restore: Pick<RestoreGuard, 'unconfirmed' | 'confirm'>
  failed(error: unknown): void
}
