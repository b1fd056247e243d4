import type { TerminalDown } from '../../broker/contract/terminal.ts'
import type { Grant, SessionTicket } from '../../broker/domain/grant.ts'
import { holdOver, inputAllowed, type MachineState } from '../../broker/domain/session-machine.ts'
import { endIn } from './ending-cause.ts'
import { sentenceFor } from './sentences.ts'

/** The first that a browser is told. Names no address of the asset. */
export function helloMessage(grant: Grant, use: SessionTicket['use']): TerminalDown {
  return {
    type: 'hello',
    session: grant.session,
    use,
    asset: grant.asset.name,
    account: grant.account,
    features: grant.features,
    viewOnly: grant.viewOnly || use === 'watch',
  }
}

/** Why the session is held, and by whom, in words for a person. */
export function reasonOf(
  state: MachineState,
  endedBy: string | null,
): { cause: string | null; by: string | null } {
  if (state.name !== 'held') return { cause: null, by: null }
  const operator = state.holds.find((hold) => hold.cause === 'operator')
  if (operator) return { cause: operator.reason, by: operator.by }
  const ending = state.holds.find((hold) => hold.cause === 'ending')
  if (ending) return { cause: sentenceFor(ending.end), by: endedBy ?? 'policy' }
  return { cause: 'The browser is away.', by: null }
}

/** Milliseconds until the next deadline: the window's while live, the hold's while held. */
export function remainingIn(state: MachineState, permitLeft: number, now: number): number | null {
  if (state.name === 'live' || state.name === 'opening') return permitLeft
  const over = holdOver(state)
  return over === null ? null : Math.max(0, over - now)
}

/** What a browser is told of the session's state. */
export function stateMessage(
  state: MachineState,
  facts: {
    endedBy: string | null
    remainingMs: number | null
    permitEndsAt: number
    message: string | null
  },
): TerminalDown {
  const end = endIn(state)
  return {
    type: 'state',
    state: state.name,
    inputFrozen: state.name !== 'opening' && !inputAllowed(state),
    ...reasonOf(state, facts.endedBy),
    remainingMs: facts.remainingMs,
    permitEndsAt: facts.permitEndsAt,
    end,
    message: end ? facts.message : null,
  }
}
