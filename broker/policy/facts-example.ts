import { type AccessFacts, type ApprovalFacts, DEFAULT_POLICY } from '../domain/access-facts.ts'
import { DEFAULT_ENDING } from '../domain/words.ts'

/** Tuesday 24 November 2026, 02:00 in Berlin. */
export const TWO = Date.UTC(2026, 10, 24, 1, 0, 0)
export const HOUR = 3_600_000
export const SIX = TWO + 4 * HOUR
export const YEAR_END = Date.UTC(2026, 11, 31, 23, 0, 0)

/** Facts in which everything holds, for tests: the robot cell 4 of a plant, 02:00 to 06:00, one approval. */
export function goodFacts(change: Partial<AccessFacts> = {}): AccessFacts {
  return {
    v: 1,
    purpose: 'open',
    policy: { ...DEFAULT_POLICY },
    person: {
      id: 'vera',
      name: 'Vera Ortiz',
      accounts: [{ issuer: 'https://id.example', subject: 'vera' }],
      enabled: true,
      mayRequest: true,
      accountEndsAt: null,
      trainingValidUntil: YEAR_END,
      strongAuthAt: TWO,
    },
    vendor: {
      id: 'acme',
      name: 'ACME Robotics',
      enabled: true,
      contractEndsAt: YEAR_END,
      sponsor: { name: 'Pia Sommer', enabled: true, endsAt: null },
    },
    site: {
      id: 'site',
      name: 'Plant Nord',
      timeZone: 'Europe/Berlin',
      lock: null,
      notice: { version: 3, acceptedVersion: 3 },
    },
    asset: {
      id: 'cell-4',
      name: 'Robot cell 4',
      criticality: 'C2',
      enabled: true,
      incomplete: [],
      configurationItem: 'Robot cell 4',
      operatorsUseConsole: false,
    },
    endpoint: {
      id: 'ssh',
      protocol: 'ssh',
      account: 'service',
      vnc: null,
      rdp: null,
      identities: [{ algorithm: 'ssh-ed25519', fingerprint: 'SHA256:abc' }],
      identityState: 'accepted',
      hasCredential: true,
      busyWith: [],
    },
    conduit: { id: 'conduit', name: 'DMZ to cell', enabled: true, protocols: ['ssh'] },
    gateway: { id: 'gateway', name: 'gw-nord', online: true },
    request: {
      id: 'request',
      version: 1,
      state: 'approved',
      snapshotHash: 'snapshot',
      changedSince: [],
      stopped: null,
      held: null,
      opensAt: TWO,
      closesAt: SIX,
      timeZone: 'Europe/Berlin',
      viewOnly: false,
      features: ['clipboard-copy', 'clipboard-paste'],
      ending: DEFAULT_ENDING.C2,
    },
    ready: null,
    rule: { id: 'rule', need: 1, roles: ['approver'] },
    approvals: [approvalBy('paul')],
    extensions: [],
    ticket: {
      system: 'file',
      key: 'CHG001',
      state: 'approved',
      plannedStart: TWO - HOUR,
      plannedEnd: SIX + 2 * HOUR,
      configurationItems: ['robot cell 4'],
      trusted: true,
      fetchedAt: TWO - HOUR,
      hash: 'ticket',
    },
    blackouts: [],
    exceptionsNeeded: [],
    unvouched: [],
    clock: { state: 'ok' },
    storage: { belowReserve: false },
    restore: { unconfirmed: false },
    ...change,
  }
}

/** A valid approval of the snapshot of `goodFacts` by a person with this name. */
export function approvalBy(name: string, change: Partial<ApprovalFacts> = {}): ApprovalFacts {
  return {
    id: `approval-${name}`,
    hash: `hash-${name}`,
    decision: 'granted',
    snapshotHash: 'snapshot',
    approver: {
      id: name,
      name,
      accounts: [{ issuer: 'local', subject: name }],
      vendorId: null,
      enabled: true,
      roles: ['approver', 'operator'],
    },
    method: 'passkey',
    signature: 'valid',
    at: TWO - 5 * HOUR,
    validUntil: null,
    withdrawnAt: null,
    opensAt: null,
    closesAt: null,
    viewOnly: false,
    features: null,
    inputDuringGrace: false,
    ...change,
  }
}
