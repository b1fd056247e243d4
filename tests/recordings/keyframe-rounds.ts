import { expect } from 'vitest'
import { isExact, keyframeOf } from '../../recordings/screen-model/keyframe.ts'
import { newTerminal, ParserState, type XtermState } from '../../recordings/screen-model/xterm-state.ts'
import type { Capture } from './keyframe-captures.ts'
import { drawn, type PlayerEmulator, type Vt } from './keyframe-player.ts'
import { describeState } from './keyframe-state.ts'
import { differences } from './keyframe-whole-state.ts'

export const PROGRAMS = ['vim', 'tmux', 'less', 'mc']

/** How thorough a round is: each a distance between two boundaries that are taken. */
export interface Thoroughness {
  /** Bytes between two boundaries; 1 takes every one. */
  bytes: number
  /** Of those taken, each so many-th is compared in every field that the emulator has. */
  wholeState: number
  /** Of those taken, each so many-th plays on to the end of the capture. */
  toTheEnd: number
}

/** A terminal that began with a keyframe plays on to the next multiple of this, and is compared there again. */
const CHECK_BYTES = 1024

/**
 * One terminal plays the capture from its start, once. At each boundary another one begins with the keyframe: it must
 * be the same terminal there, and still be it at the next check point. An emulator is a function of its state and of
 * what it is fed, so a state that is equal as a whole stays equal; the check points are for what `describeState` takes
 * for equal and is not. The work grows with the number of boundaries, not with its square.
 */
export function playInModel(
  { name, cols, rows, output }: Capture,
  { bytes, wholeState, toTheEnd }: Thoroughness,
) {
  const end = newTerminal(cols, rows)
  void end.state._inputHandler.parse(output)
  const atEnd = describeState(end.state)
  const { state } = newTerminal(cols, rows)
  let pending: { from: number; text: string }[] = []
  let due = 0
  let count = 0
  for (let position = 0; position <= output.length; position++) {
    if (position > 0) void state._inputHandler.parse(output.subarray(position - 1, position))
    if (pending.length > 0 && (position % CHECK_BYTES === 0 || position === output.length)) {
      const reached = describeState(state)
      for (const { from, text } of pending) expect(text, `${name} from ${from} to ${position}`).toBe(reached)
      pending = []
    }
    if (position < due || !isBoundary(state)) continue
    due = position + bytes
    count += 1
    const restored = newTerminal(cols, rows)
    void restored.state._inputHandler.parse(keyframeOf(state))
    expect(describeState(restored.state), `${name} at ${position}`).toBe(describeState(state))
    if (count % wholeState === 0)
      expect(differences(state, restored.state, isNoState), `${name} at ${position}`).toEqual([])
    const next = Math.min(output.length, (Math.floor(position / CHECK_BYTES) + 1) * CHECK_BYTES)
    void restored.state._inputHandler.parse(output.subarray(position, next))
    pending.push({ from: position, text: describeState(restored.state) })
    if (count % toTheEnd === 0) {
      void restored.state._inputHandler.parse(output.subarray(next))
      expect(describeState(restored.state), `${name} from ${position} to its end`).toBe(atEnd)
    }
    restored.terminal.dispose()
  }
  return count
}

/** The same in the player's emulator, as far as it shows itself: everything that it draws. */
export async function playInPlayer(
  capture: Capture,
  player: PlayerEmulator,
  { bytes, toTheEnd }: Omit<Thoroughness, 'wholeState'>,
): Promise<number> {
  const { name, cols, rows, output } = capture
  const { state } = newTerminal(cols, rows)
  const text = new TextDecoder()
  const fromStart = await player.build(cols, rows)
  const end = await player.build(cols, rows)
  end.feed(new TextDecoder().decode(output))
  const atEnd = drawn(end, rows)
  let pending: { from: number; vt: Vt; fed: number }[] = []
  let played = 0
  let due = 0
  let count = 0
  const playTo = (position: number) => {
    fromStart.feed(text.decode(output.subarray(played, position), { stream: true }))
    played = position
  }
  for (let position = 0; position <= output.length; position++) {
    if (position > 0) void state._inputHandler.parse(output.subarray(position - 1, position))
    if (!isBoundary(state)) continue
    const isCheck = pending[0] !== undefined && position - pending[0].from >= CHECK_BYTES
    if (isCheck || position === output.length) {
      playTo(position)
      const reached = drawn(fromStart, rows)
      for (const { from, vt, fed } of pending) {
        vt.feed(new TextDecoder().decode(output.subarray(fed, position)))
        expect(drawn(vt, rows), `${name} from ${from} to ${position}`).toBe(reached)
        vt.vt.free()
      }
      pending = []
    }
    if (position < due) continue
    due = position + bytes
    count += 1
    playTo(position)
    const vt = await player.build(cols, rows)
    vt.feed(new TextDecoder().decode(keyframeOf(state)))
    expect(drawn(vt, rows), `${name} at ${position}`).toBe(drawn(fromStart, rows))
    if (count % toTheEnd !== 0) pending.push({ from: position, vt, fed: position })
    else {
      vt.feed(new TextDecoder().decode(output.subarray(position)))
      expect(drawn(vt, rows), `${name} from ${position} to its end`).toBe(atEnd)
      vt.vt.free()
    }
  }
  return count
}

/** Where a keyframe may be cut. */
function isBoundary(state: XtermState): boolean {
  const { _parser, _utf8Decoder } = state._inputHandler
  return _parser.currentState === ParserState.ground && _utf8Decoder.interim[0] === 0 && isExact(state)
}

/**
 * What xterm.js keeps and no later output depends on. Whatever else differs between two terminals, a new field of a
 * later version too, fails the comparison.
 */
const NO_STATE: [path: RegExp, why: string][] = [
  [/\.(_store|_disposables|_deliveryQueue|_listeners|_on[A-Z]\w*|on[A-Z]\w*)$/, 'event listeners'],
  [/\.(_logService|_instantiationService)$/, 'no part of the terminal'],
  [/\.lines$/, 'cells and wraps are compared one by one by describeState'],
  [/\._parser\.(_params|_collect)$/, 'cleared when a sequence begins'],
  [/\._inputHandler\._parseBuffer$/, 'characters of the piece that was parsed last'],
  [/\._dirtyRowTracker\.(start|end)$/, 'rows to draw again'],
  [/\._charsetService\._charsets\.length$/, 'a charset that is not there is ASCII'],
  [/\.coreService\.isCursorInitialized$/, 'whether a renderer shows a cursor before it was clicked'],
  [/\._cachedBlankLine$/, 'a line kept for scrolling, filled anew when the colour differs'],
  [/\.(_windowTitle|_iconName|_windowTitleStack|_iconNameStack)$/, 'titles are not on the screen'],
  [/\.(_nullCell|_whitespaceCell)\./, 'filled in before each use'],
  [/\._eraseAttrDataInternal\./, 'filled in from the pen before each use'],
]

function isNoState(path: string): boolean {
  return NO_STATE.some(([pattern]) => pattern.test(path))
}
