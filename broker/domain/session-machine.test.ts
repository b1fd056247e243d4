import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type EndingCause,
  endingPlan,
  holdOver,
  IllegalTransition,
  inputAllowed,
  type MachineEvent,
  type MachineState,
  transition,
  vendorMaySee,
  warningsLeft,
} from './session-machine.ts'
import { CRITICALITIES, DEFAULT_ENDING } from './words.ts'

const MINUTE = 60_000
const run = (...events: MachineEvent[]): MachineState =>
  events.reduce<MachineState>((state, event) => transition(state, event), { name: 'opening' })
const ending = (cause: EndingCause, criticality: 'C1' | 'C2' | 'C3' | 'C4', at = 0): MachineEvent => ({
  type: 'ending',
  cause,
  plan: endingPlan(DEFAULT_ENDING[criticality], criticality, cause),
  at,
})

describe('what happens at the end, by class', () => {
  const table: [EndingCause, string, string, number, boolean][] = [
    ['window-closed', 'C1', 'operator-confirm', 30, true],
    ['window-closed', 'C2', 'operator-confirm', 30, true],
    ['window-closed', 'C3', 'view-only', 10, true],
    ['window-closed', 'C4', 'cut', 0, false],
    ['ticket-closed', 'C2', 'operator-confirm', 30, true],
    ['approval-withdrawn', 'C3', 'view-only', 10, true],
    ['lease-lost', 'C1', 'operator-confirm', 30, true],
    ['identity-revoked', 'C1', 'operator-confirm', 30, false],
    ['identity-revoked', 'C4', 'cut', 0, false],
    ['operator-stopped', 'C1', 'cut', 0, false],
    ['site-locked', 'C1', 'cut', 0, false],
    ['recording-failed', 'C2', 'operator-confirm', 30, false],
    ['recording-failed', 'C3', 'cut', 0, false],
  ]
  it.each(table)('%s on %s: %s for %d min', (cause, criticality, asset, minutes, extendable) => {
    const plan = endingPlan(DEFAULT_ENDING[criticality as 'C1'], criticality as 'C1', cause)
    expect(plan).toMatchObject({ asset, atMostMs: minutes * MINUTE, extendable, input: 'freeze' })
  })

  it('keeps input only when an approver signed it, and only for a window that ran out', () => {
    const signed = { ...DEFAULT_ENDING.C3, inputDuringGrace: true }
    expect(endingPlan(signed, 'C3', 'window-closed').input).toBe('keep')
    for (const cause of ['ticket-closed', 'approval-withdrawn', 'lease-lost', 'identity-revoked'] as const)
      expect(endingPlan(signed, 'C3', cause).input).toBe('freeze')
  })

  it('caps a rule that asks for more than the longest hold', () => {
    expect(
      endingPlan({ mode: 'grace', holdSeconds: 86_400, inputDuringGrace: false }, 'C3', 'idle').atMostMs,
    ).toBe(10 * MINUTE)
  })

  it('closes the browser of a revoked person at once and holds the asset side', () => {
    const state = run({ type: 'opened' }, ending('identity-revoked', 'C1'))
    expect(state.name).toBe('held')
    expect(vendorMaySee(state)).toBe(false)
    expect(inputAllowed(state)).toBe(false)
    expect(transition(state, { type: 'permitted' })).toEqual(state)
  })
})

describe('the life of a session', () => {
  it('goes live, is held by an operator, goes on, and ends', () => {
    let state = run({ type: 'opened' }, { type: 'operator-holds', by: 'Ana', reason: 'crane', at: 0 })
    expect(inputAllowed(state)).toBe(false)
    expect(vendorMaySee(state)).toBe(true)
    expect(holdOver(state)).toBeNull()
    state = transition(state, { type: 'operator-resumes' })
    expect(state).toEqual({ name: 'live' })
    state = transition(state, { type: 'finish', end: 'vendor-left' })
    expect(transition(state, { type: 'settled' })).toEqual({ name: 'closed', end: 'vendor-left' })
  })

  it('stays held until every hold is gone', () => {
    let state = run(
      { type: 'opened' },
      { type: 'operator-holds', by: 'Ana', reason: 'crane', at: 0 },
      { type: 'browser-lost', at: 5, holdMs: 120_000 },
    )
    expect(holdOver(state)).toBe(120_005)
    state = transition(state, { type: 'browser-lost', at: 60_000, holdMs: 120_000 })
    expect(holdOver(state)).toBe(120_005)
    state = transition(state, { type: 'browser-back' })
    expect(state.name).toBe('held')
    expect(transition(state, { type: 'operator-resumes' })).toEqual({ name: 'live' })
  })

  it('ends with its cause when nobody confirms in time, and sooner when an operator does', () => {
    const state = run({ type: 'opened' }, ending('window-closed', 'C2'))
    expect(transition(state, { type: 'hold-over', at: 30 * MINUTE - 1 })).toBe(state)
    expect(transition(state, { type: 'hold-over', at: 30 * MINUTE })).toEqual({
      name: 'closing',
      end: 'window-closed',
    })
    expect(transition(state, { type: 'operator-confirms' })).toEqual({
      name: 'closing',
      end: 'window-closed',
    })
  })

  it('an extension brings a held session back', () => {
    const state = run({ type: 'opened' }, ending('window-closed', 'C3'))
    expect(transition(state, { type: 'permitted' })).toEqual({ name: 'live' })
  })

  it('a second reason gives no more time and takes input back', () => {
    const signed = { ...DEFAULT_ENDING.C3, inputDuringGrace: true }
    let state = run(
      { type: 'opened' },
      { type: 'ending', cause: 'window-closed', plan: endingPlan(signed, 'C3', 'window-closed'), at: 0 },
    )
    expect(inputAllowed(state)).toBe(true)
    state = transition(state, ending('ticket-closed', 'C3', 5 * MINUTE))
    expect(inputAllowed(state)).toBe(false)
    expect(holdOver(state)).toBe(10 * MINUTE)
  })

  it('a stop wins over any hold', () => {
    const state = run({ type: 'opened' }, ending('window-closed', 'C1'))
    expect(transition(state, { type: 'finish', end: 'operator-stopped' })).toEqual({
      name: 'closing',
      end: 'operator-stopped',
    })
  })

  it('refuses loudly what cannot happen', () => {
    expect(() => transition({ name: 'live' }, { type: 'opened' })).toThrow(IllegalTransition)
    expect(() => transition({ name: 'live' }, { type: 'settled' })).toThrow(IllegalTransition)
    expect(() => transition({ name: 'opening' }, { type: 'operator-confirms' })).toThrow(IllegalTransition)
    expect(() => transition({ name: 'closed', end: 'idle' }, { type: 'opened' })).toThrow(IllegalTransition)
  })

  it('never lets input through after any ending of any class, whatever follows except a permit', () => {
    const event = fc.oneof<fc.Arbitrary<MachineEvent>[]>(
      fc.constant({ type: 'operator-holds', by: 'a', reason: 'b', at: 1 } as const),
      fc.constant({ type: 'operator-resumes' } as const),
      fc.constant({ type: 'browser-lost', at: 1, holdMs: 1000 } as const),
      fc.constant({ type: 'browser-back' } as const),
      fc.record({ type: fc.constant('hold-over' as const), at: fc.nat(MINUTE) }),
      fc.constantFrom(...CRITICALITIES).map((c) => ending('lease-lost', c, 2)),
    )
    fc.assert(
      fc.property(
        fc.constantFrom(...CRITICALITIES),
        fc.array(event, { maxLength: 12 }),
        (criticality, events) => {
          let state = run({ type: 'opened' }, ending('approval-withdrawn', criticality))
          for (const next of events) {
            state = transition(state, next)
            expect(inputAllowed(state)).toBe(false)
          }
        },
      ),
    )
  })
})

it('warns at 15, 5 and 1 minutes, only at those still ahead', () => {
  expect(warningsLeft(20 * MINUTE)).toEqual([15 * MINUTE, 5 * MINUTE, MINUTE])
  expect(warningsLeft(5 * MINUTE)).toEqual([MINUTE])
})
