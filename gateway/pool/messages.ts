import type { MessagePort } from 'node:worker_threads'
import type { GatewayEvent } from '../../broker/contract/link.ts'
import type { Grant, Lease } from '../../broker/domain/grant.ts'
import type { SessionEnd, SessionState } from '../../broker/domain/words.ts'
import type { AnchorHead } from '../../recordings/format/anchor.ts'

/** What a session worker is given at its start. Threads are no isolation; keys go where they are used. */
export interface WorkerStart {
  gateway: string
  deployment: string
  site: string
  bootId: string
  spool: string
  tls: { key: string; certificate: string; ca: string }
  sign: { kty: 'OKP'; crv: 'Ed25519'; x: string; d: string; kid: string }
  seal: { kty: 'OKP'; crv: 'X25519'; x: string; d: string; kid: string }
  brokerKeys: [kid: string, x: string][]
  screenModel: MessagePort
  heartbeat: { everyMs: number; silentMs: number }
  typing: SharedArrayBuffer
}

/** Main thread to worker. Tokens were verified before they come here. */
export type ToWorker =
  | { type: 'open'; id: number; grant: Grant; grantHash: string; lease: Lease; clockOffsetMs: number | null }
  | { type: 'dial'; id: number; session: string; splice: string; broker: string }
  | { type: 'lease'; session: string; lease: Lease; grant: Grant | null; grantHash: string }
  | {
      type: 'command'
      id: number
      session: string
      command: 'hold' | 'release' | 'stop' | 'end' | 'revoke' | 'leave'
      end: SessionEnd
      by: string
      cause: string
      /** process.hrtime in milliseconds when the order came in: one clock for all threads of a process. */
      receivedAt: number
    }
  | { type: 'credential'; id: number; jwe: string | null }
  | { type: 'broker-keys'; keys: [kid: string, x: string][] }
  | { type: 'heads'; id: number }
  | { type: 'shut-down'; id: number }

/** Worker to main thread. */
export type FromWorker =
  | { type: 'ready' }
  | { type: 'answer'; id: number; ok: boolean; code: string | null; tookMs: number | null }
  | { type: 'heads'; id: number; heads: AnchorHead[] }
  | { type: 'event'; event: GatewayEvent }
  | { type: 'state'; session: string; state: SessionState }
  | { type: 'credential'; id: number; session: string; grant: string }
  /**
   * Closed; `sealed` says whether there is a manifest, `heads` are the recording's last. `later`: its recorder is still at
   * it, and `sealed` follows.
   */
  | {
      type: 'closed'
      session: string
      recording: string
      sealed: 'yes' | 'no' | 'later'
      heads: AnchorHead[]
    }
  | { type: 'sealed'; session: string; recording: string; sealed: 'yes' | 'no'; heads: AnchorHead[] }

/** The process-wide monotonic clock in milliseconds: `performance.now()` starts anew in every thread. */
export function processMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
