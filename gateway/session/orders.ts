import type { Clock } from '../../broker/domain/clock.ts'
import type { MachineEvent, MachineState } from '../../broker/domain/session-machine.ts'
import type { SessionEnd } from '../../broker/domain/words.ts'
import { endIn } from './ending-cause.ts'
import type { Command, CommandDone } from './ports.ts'
import { sentenceFor } from './sentences.ts'

/** What an order can do to a session. */
export interface Ordered {
  clock: Clock
  state(): MachineState
  mark(text: string): void
  apply(event: MachineEvent): void
  /** Whose word the end is. */
  endedBy(name: string): void
  /** By the rules for ending safely. */
  ends(end: SessionEnd): void
  /** At once. */
  finish(end: SessionEnd, message: string | null): void
  restartIdle(): void
  dropAsset(since: number): void
  revokeOwner(): void
}

/** An operator's or the broker's word. Answers when it has taken effect. */
export function carryOut(order: Command, session: Ordered): CommandDone {
  const since = order.receivedAt
  const done = (): CommandDone => ({
    ok: true,
    code: null,
    tookMs: Math.max(0, Math.round((session.clock.monotonic() - since) * 1000) / 1000),
  })
  const refused = (code: string): CommandDone => ({ ok: false, code, tookMs: null })
  const { command, end, by, cause } = order
  if (endIn(session.state()) !== null) {
    // A stop while it is ending politely: the socket goes now.
    if (command === 'stop') session.dropAsset(since)
    return command === 'stop' || command === 'end' || command === 'revoke' ? done() : refused('session-over')
  }
  switch (command) {
    case 'hold':
      if (session.state().name === 'opening') return refused('not-open-yet')
      session.mark(`held by ${by}: ${cause}`)
      session.apply({ type: 'operator-holds', by, reason: cause, at: session.clock.monotonic() })
      return done()
    case 'release':
      if (session.state().name === 'opening') return refused('not-open-yet')
      session.mark(`released by ${by}`)
      session.restartIdle()
      session.apply({ type: 'operator-resumes' })
      return done()
    case 'leave':
      session.endedBy(by)
      session.finish('vendor-left', null)
      return done()
    case 'stop':
      session.endedBy(by)
      session.dropAsset(since)
      session.finish(end, sentenceFor(end) + (cause ? ` Reason: ${cause}` : ''))
      return done()
    case 'end':
    case 'revoke':
      session.endedBy(by)
      if (command === 'end' && end === 'operator-stopped' && waitsForOperator(session.state())) {
        // The operator whom an ending waits for says yes; the session keeps the reason it had.
        session.apply({ type: 'operator-confirms' })
        return done()
      }
      session.ends(end)
      if (command === 'revoke') session.revokeOwner()
      return done()
  }
}

function waitsForOperator(state: MachineState): boolean {
  return state.name === 'held' && state.holds.some((hold) => hold.cause === 'ending')
}
