import type { Criticality, EndingRule, SessionEnd, SessionState } from './words.ts'

/**
 * The life of one session: opening -> live <-> held -> closing -> closed(SessionEnd).
 *
 * Pure: no clock, no I/O. The session's one owner (an actor in the gateway) feeds it events and acts on the state
 * that comes back. Times are milliseconds on the monotonic clock, so that a wall clock set back gains nothing.
 *
 * Two invariants: input passes only where `inputAllowed` says so, and the first reason to end is the one that is
 * kept (a later stop makes the end faster, it does not rewrite why it came), except that an operator's stop and
 * the site lock win over an ending that was still being held open.
 */

/** Why a session is still connected but nobody may type. Several can apply at once; all must go before it is live. */
export type Hold =
  | { cause: 'operator'; by: string; reason: string; since: number }
  | { cause: 'browser-lost'; since: number; until: number }
  | { cause: 'ending'; end: EndingCause; since: number; until: number; plan: EndingPlan }

export type MachineState =
  | { name: 'opening' }
  | { name: 'live' }
  | { name: 'held'; holds: readonly Hold[] }
  | { name: 'closing'; end: SessionEnd }
  | { name: 'closed'; end: SessionEnd }

export type MachineEvent =
  /** Asset, recorder and browser are ready. */
  | { type: 'opened' }
  | { type: 'operator-holds'; by: string; reason: string; at: number }
  | { type: 'operator-resumes' }
  /** `holdMs`: how long the screen is kept for the same person (120 s; C1 and C2 600 s). */
  | { type: 'browser-lost'; at: number; holdMs: number }
  | { type: 'browser-back' }
  /** Something that gave permission is over; `plan` comes from `endingPlan`. */
  | { type: 'ending'; cause: EndingCause; plan: EndingPlan; at: number }
  /** A fresh decision permits again: an extension, a renewed lease, a reopened ticket. */
  | { type: 'permitted' }
  /** An operator confirms the end of a session that an ending holds open; it keeps the reason it had. */
  | { type: 'operator-confirms' }
  /** A hold's time is over; sent when the clock reaches `holdOver(state)`. */
  | { type: 'hold-over'; at: number }
  /** End it now: whatever the class, whatever is held. */
  | { type: 'finish'; end: SessionEnd }
  /** Sockets are closed and the recording is sealed. */
  | { type: 'settled' }

/**
 * Which states an event may lead to. An empty list means: may arrive, changes nothing (races that are no bug, such
 * as a browser lost while closing). A missing entry is refused loudly.
 */
const MAY: Record<SessionState, Partial<Record<MachineEvent['type'], readonly SessionState[]>>> = {
  opening: {
    opened: ['live'],
    'browser-lost': ['closing'],
    ending: ['closing'],
    permitted: [],
    finish: ['closing'],
  },
  live: {
    'operator-holds': ['held'],
    'operator-resumes': [],
    'browser-lost': ['held', 'closing'],
    'browser-back': [],
    ending: ['held', 'closing'],
    permitted: [],
    'hold-over': [],
    finish: ['closing'],
  },
  held: {
    'operator-holds': ['held'],
    'operator-resumes': ['live', 'held'],
    'browser-lost': ['held', 'closing'],
    'browser-back': ['live', 'held'],
    ending: ['held', 'closing'],
    permitted: ['live', 'held'],
    'operator-confirms': ['closing'],
    'hold-over': ['held', 'closing'],
    finish: ['closing'],
  },
  closing: {
    'operator-holds': [],
    'operator-resumes': [],
    'browser-lost': [],
    'browser-back': [],
    ending: [],
    permitted: [],
    'operator-confirms': [],
    'hold-over': [],
    finish: [],
    settled: ['closed'],
  },
  closed: {
    'operator-holds': [],
    'operator-resumes': [],
    'browser-lost': [],
    'browser-back': [],
    ending: [],
    permitted: [],
    'operator-confirms': [],
    'hold-over': [],
    finish: [],
  },
}

export class IllegalTransition extends Error {
  readonly code = 'illegal-transition'

  constructor(state: SessionState, event: MachineEvent['type'], to?: SessionState) {
    super(`a session that is ${state} cannot take "${event}"${to ? ` to ${to}` : ''}`)
    this.name = 'IllegalTransition'
  }
}

/** The state after `event`. Returns the same object when nothing changes; throws IllegalTransition on a bug. */
export function transition(state: MachineState, event: MachineEvent): MachineState {
  const may = MAY[state.name][event.type]
  if (!may) throw new IllegalTransition(state.name, event.type)
  if (may.length === 0) return state
  const next = apply(state, event)
  if (next !== state && !may.includes(next.name))
    throw new IllegalTransition(state.name, event.type, next.name)
  return next
}

function apply(state: MachineState, event: MachineEvent): MachineState {
  const holds = state.name === 'held' ? state.holds : []
  switch (event.type) {
    case 'opened':
      return { name: 'live' }
    case 'operator-holds':
      return held([
        ...holds.filter((hold) => hold.cause !== 'operator'),
        { cause: 'operator', by: event.by, reason: event.reason, since: event.at },
      ])
    case 'operator-resumes':
      return held(holds.filter((hold) => hold.cause !== 'operator'))
    case 'browser-lost': {
      if (state.name === 'opening' || event.holdMs <= 0) return { name: 'closing', end: 'browser-lost' }
      // The first loss counts: losing it again does not buy more time.
      if (holds.some((hold) => hold.cause === 'browser-lost')) return state
      return held([...holds, { cause: 'browser-lost', since: event.at, until: event.at + event.holdMs }])
    }
    case 'browser-back':
      return held(holds.filter((hold) => hold.cause !== 'browser-lost'))
    case 'ending':
      return end(state, holds, event)
    case 'permitted':
      return held(holds.filter((hold) => hold.cause !== 'ending' || !hold.plan.extendable))
    case 'hold-over': {
      const over = holds.find((hold) => hold.cause !== 'operator' && hold.until <= event.at)
      if (!over) return state
      return { name: 'closing', end: over.cause === 'ending' ? over.end : 'browser-lost' }
    }
    case 'operator-confirms': {
      const ending = holds.find((hold) => hold.cause === 'ending')
      return { name: 'closing', end: ending ? ending.end : 'operator-stopped' }
    }
    case 'finish':
      return { name: 'closing', end: event.end }
    case 'settled':
      return { name: 'closed', end: state.name === 'closing' ? state.end : 'gateway-stopped' }
  }
}

function end(
  state: MachineState,
  holds: readonly Hold[],
  event: MachineEvent & { type: 'ending' },
): MachineState {
  if (state.name === 'opening' || event.plan.asset === 'cut' || event.plan.atMostMs <= 0)
    return { name: 'closing', end: event.cause }
  const former = holds.find((hold) => hold.cause === 'ending')
  const until = event.at + event.plan.atMostMs
  if (former) {
    // A second reason never gives more time nor more input; a revocation takes over what merely ran out.
    const harder = former.plan.extendable && !event.plan.extendable
    return held([
      ...holds.filter((hold) => hold !== former),
      {
        cause: 'ending',
        end: harder ? event.cause : former.end,
        since: former.since,
        until: Math.min(until, former.until),
        plan: {
          ...former.plan,
          input: event.plan.input === 'freeze' ? 'freeze' : former.plan.input,
          browser: event.plan.browser === 'close' ? 'close' : former.plan.browser,
          extendable: former.plan.extendable && event.plan.extendable,
        },
      },
    ])
  }
  return held([...holds, { cause: 'ending', end: event.cause, since: event.at, until, plan: event.plan }])
}

function held(holds: readonly Hold[]): MachineState {
  return holds.length === 0 ? { name: 'live' } : { name: 'held', holds }
}

/** Whether bytes from the vendor may reach the asset in this state. */
export function inputAllowed(state: MachineState): boolean {
  if (state.name === 'live') return true
  if (state.name !== 'held') return false
  return state.holds.every((hold) => hold.cause === 'ending' && hold.plan.input === 'keep')
}

/** Whether the vendor's browser may still be shown the screen. */
export function vendorMaySee(state: MachineState): boolean {
  if (state.name === 'live') return true
  if (state.name !== 'held') return false
  return state.holds.every((hold) => hold.cause !== 'ending' || hold.plan.browser === 'keep')
}

/** When the first hold runs out (monotonic milliseconds), or null while only an operator's hold stands. */
export function holdOver(state: MachineState): number | null {
  if (state.name !== 'held') return null
  const ends = state.holds.flatMap((hold) => (hold.cause === 'operator' ? [] : [hold.until]))
  return ends.length === 0 ? null : Math.min(...ends)
}

/** What can take a session's permission away, or its footing. */
export type EndingCause =
  | 'window-closed'
  | 'ticket-closed'
  | 'approval-withdrawn'
  | 'lease-lost'
  | 'identity-revoked'
  | 'recording-failed'
  | 'idle'
  | 'operator-stopped'
  | 'site-locked'
  | 'gateway-stopped'

/** What happens on each of a session's three sides. */
export interface EndingPlan {
  /** `freeze` at once, always, except where an approver signed "input during grace". */
  input: 'freeze' | 'keep'
  /** The vendor's browser. */
  browser: 'keep' | 'close'
  /** The connection to the asset: kept until an operator confirms, kept for viewing, or cut within 5 s. */
  asset: 'operator-confirm' | 'view-only' | 'cut'
  /** The longest the asset's connection stays after the cause, milliseconds; 0 with `cut`. */
  atMostMs: number
  /** A fresh permit (extension, renewed lease) may bring the session back to live. */
  extendable: boolean
}

/** Upper bounds, whatever a rule says: 30 minutes for a person to confirm, 10 minutes of view only. */
const LONGEST_CONFIRM_MS = 30 * 60_000
const LONGEST_GRACE_MS = 10 * 60_000

const CUT: EndingPlan = { input: 'freeze', browser: 'close', asset: 'cut', atMostMs: 0, extendable: false }

/**
 * How a session ends for `cause`, by the ending rule in its grant. Cutting in the middle of a firmware download can
 * brick a controller, so what merely runs out ends by class; an operator's stop and the site lock win at once for
 * every class.
 */
export function endingPlan(rule: EndingRule, criticality: Criticality, cause: EndingCause): EndingPlan {
  switch (cause) {
    case 'operator-stopped':
    case 'site-locked':
    case 'gateway-stopped':
      return CUT
    case 'recording-failed':
      // Nothing unrecorded goes on unseen: C1/C2 are held until an operator confirms and watches, others end.
      return criticality === 'C1' || criticality === 'C2'
        ? { ...byClass(rule, false), extendable: false, input: 'freeze' }
        : CUT
    case 'identity-revoked':
      return { ...byClass(rule, false), browser: 'close', extendable: false }
    case 'window-closed':
      return byClass(rule, rule.inputDuringGrace)
    case 'ticket-closed':
    case 'approval-withdrawn':
    case 'lease-lost':
    case 'idle':
      return byClass(rule, false)
  }
}

function byClass(rule: EndingRule, keepInput: boolean): EndingPlan {
  const holdMs = Math.max(0, Math.floor(rule.holdSeconds * 1000))
  const input = keepInput ? 'keep' : 'freeze'
  if (rule.mode === 'operator-confirm' && holdMs > 0)
    return {
      input,
      browser: 'keep',
      asset: 'operator-confirm',
      atMostMs: Math.min(holdMs, LONGEST_CONFIRM_MS),
      extendable: true,
    }
  if (rule.mode === 'grace' && holdMs > 0)
    return {
      input,
      browser: 'keep',
      asset: 'view-only',
      atMostMs: Math.min(holdMs, LONGEST_GRACE_MS),
      extendable: true,
    }
  return CUT
}

/** Warnings before the end, milliseconds: in the session and to the approver's phone. */
export const WARN_BEFORE_MS = [15 * 60_000, 5 * 60_000, 60_000] as const

/** Which warnings are still to come when `leftMs` remain, soonest first. */
export function warningsLeft(leftMs: number): number[] {
  return WARN_BEFORE_MS.filter((before) => before < leftMs)
}
