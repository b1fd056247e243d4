import type { EndingCause, MachineState } from '../../broker/domain/session-machine.ts'
import type { SessionEnd } from '../../broker/domain/words.ts'

const ENDING_CAUSES: readonly SessionEnd[] = [
  'window-closed',
  'ticket-closed',
  'approval-withdrawn',
  'lease-lost',
  'identity-revoked',
  'recording-failed',
  'idle',
  'operator-stopped',
  'site-locked',
  'gateway-stopped',
] satisfies EndingCause[]

/** The ends that the rules for ending safely speak of; null for one that happens at once. */
export function endingCause(end: SessionEnd): EndingCause | null {
  return ENDING_CAUSES.includes(end) ? (end as EndingCause) : null
}

/** How a session that is ending, or has ended, ends. */
export function endIn(state: MachineState): SessionEnd | null {
  return state.name === 'closing' || state.name === 'closed' ? state.end : null
}
