import { mkdtemp } from 'node:fs/promises'
import path from 'node:path'
import type { IntegrityError } from '../../broker/audit/integrity.ts'
import { type AuditEvent, type AuditLog, type AuditLogOptions, openAuditLog } from '../../broker/audit/log.ts'
import { newId } from '../../broker/domain/ids.ts'
import { type ManualClock, manualClock } from '../../broker/domain/manual-clock.ts'
import { SigningKey } from '../../broker/keys/signing-key.ts'
import type { Database } from '../../broker/store/sql.ts'
import { type TestCluster, type TestDatabase, testMacKey } from './database.ts'

export const ANN = { kind: 'person', id: 'ann', name: 'Ann', organisation: 'Plant' } as const

/** A change of an object, as every room of the broker records one. */
export function change(id: string, after: unknown, extra: Partial<AuditEvent> = {}): AuditEvent {
  return { action: 'asset.changed', actor: ANN, object: { kind: 'asset', id }, after, ...extra }
}

export const logKey = new SigningKey({
  kty: 'OKP',
  crv: 'Ed25519',
  // RFC 8037 appendix A.1: a key that is nobody's secret.
  d: 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A',
  x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
})

export interface TestLog {
  log: AuditLog
  clock: ManualClock
  alarms: IntegrityError[]
  errors: unknown[]
  checkpointFile: string
  /** Opens a further log (a second broker, or the same one after a restart) with the same keys. */
  open(db: Database, overrides?: Partial<AuditLogOptions>): Promise<AuditLog>
}

export async function testLog(cluster: TestCluster, database: TestDatabase): Promise<TestLog> {
  const folder = await mkdtemp(path.join(cluster.dataDir, 'log-'))
  const clock = manualClock()
  const alarms: IntegrityError[] = []
  const errors: unknown[] = []
  const checkpointFile = path.join(folder, 'checkpoints.log')
  const open = (db: Database, overrides: Partial<AuditLogOptions> = {}) =>
    openAuditLog({
      db,
      clock,
      deployment: '01890a5d-ac96-774b-bcce-b302099a8057',
      node: 'test',
      boot: newId(),
      macKey: testMacKey(),
      logKey,
      checkpointFile,
      journalFile: path.join(folder, 'audit-journal.ndjson'),
      clockState: () => 'ok',
      policy: () => null,
      onAlarm: (error) => alarms.push(error),
      onError: (error) => errors.push(error),
      ...overrides,
    })
  return { log: await open(database.db), clock, alarms, errors, checkpointFile, open }
}
