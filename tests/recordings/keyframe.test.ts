import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { keyframeOf } from '../../recordings/screen-model/keyframe.ts'
import { newTerminal } from '../../recordings/screen-model/xterm-state.ts'
import { type Capture, captureAll } from './keyframe-captures.ts'
import { drawn, loadPlayer, type PlayerEmulator } from './keyframe-player.ts'
import { PROGRAMS, playInModel, playInPlayer } from './keyframe-rounds.ts'

/**
 * Playing from the keyframe equals playing from the start, at the boundaries of real programs' output: in the model
 * (xterm.js) over the whole state, and in the player's own emulator over the screen. Here as many as fit into the
 * suite, spread evenly; tests/long/keyframe.test.ts takes every one.
 */
let captures: Capture[] = []
beforeAll(async () => {
  captures = await captureAll()
}, 60_000)

function captured(name: string): Capture {
  const capture = captures.find((one) => one.name === name)
  if (!capture) throw new Error(`no capture of ${name}`)
  return capture
}

const spread = ({ output }: Capture, boundaries: number) =>
  Math.max(1, Math.floor(output.length / boundaries))

describe('a keyframe of the model', () => {
  test.each(PROGRAMS)('%s', (name) => {
    const capture = captured(name)
    expect(capture.output.length).toBeGreaterThan(4000)
    const count = playInModel(capture, { bytes: spread(capture, 250), wholeState: 5, toTheEnd: 12 })
    expect(count).toBeGreaterThan(150)
  })
})

describe("a keyframe in the player's emulator", () => {
  let player: PlayerEmulator
  beforeAll(async () => {
    player = await loadPlayer()
  })
  afterAll(() => player.dispose())

  test.each(PROGRAMS)('%s', async (name) => {
    const capture = captured(name)
    const count = await playInPlayer(capture, player, { bytes: spread(capture, 120), toTheEnd: 6 })
    expect(count).toBeGreaterThan(50)
  })

  test('an emoji is as wide as the player draws it', async () => {
    const output = `top\r\n${'🙂'.repeat(20)}\x1b[5;1Ha 🙂\x1b[5;5Hb\x1b[6;1Hxyz\x1b[6;1H🙂`
    const { fromStart, restored } = await played(output)
    expect(restored).toBe(fromStart)
    expect(restored).toContain('a 🙂b')
    // It covers two cells of what stood there.
    expect(restored).toMatch(/🙂 *z/)
  })

  test.each([
    ['an emoji that is newer than our table', '🫠'],
    ['a combining character', 'e\u0301'],
  ])('%s shifts nothing behind it, and scrolls nothing', async (_what, text) => {
    const { restored } = await played(`top\x1b[6;1H${text}${'-'.repeat(38)}|`)
    const rows = restored.split('\n').slice(1)
    expect(rows[0]).toMatch(/^0 top/)
    expect(rows[5]).toMatch(/-\| /)
    expect(Array.from(rows[5] ?? '').indexOf('|')).toBe('5 '.length + 39)
  })

  async function played(output: string): Promise<{ fromStart: string; restored: string }> {
    const { state } = newTerminal(40, 6)
    void state._inputHandler.parse(new TextEncoder().encode(output))
    const [one, two] = await Promise.all([player.build(40, 6), player.build(40, 6)])
    one.feed(output)
    two.feed(new TextDecoder().decode(keyframeOf(state)))
    return { fromStart: drawn(one, 6), restored: drawn(two, 6) }
  }
})
