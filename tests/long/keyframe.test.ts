import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Capture, captureAll } from '../recordings/keyframe-captures.ts'
import { loadPlayer, type PlayerEmulator } from '../recordings/keyframe-player.ts'
import { PROGRAMS, playInModel, playInPlayer } from '../recordings/keyframe-rounds.ts'

/** Every boundary that a keyframe could be cut at, in the output of real programs: some fifty thousand. */
describe('keyframes at every boundary', () => {
  let captures: Capture[]
  let player: PlayerEmulator
  beforeAll(async () => {
    captures = await captureAll()
    player = await loadPlayer()
  }, 60_000)
  afterAll(() => player.dispose())

  function captured(name: string): Capture {
    const capture = captures.find((one) => one.name === name)
    if (!capture) throw new Error(`no capture of ${name}`)
    return capture
  }

  test.each(PROGRAMS)('%s in the model', (name) => {
    const count = playInModel(captured(name), { bytes: 1, wholeState: 1, toTheEnd: 50 })
    console.log(`${name}: ${count} boundaries in the model`)
    expect(count).toBeGreaterThan(2000)
  })

  test.each(PROGRAMS)("%s in the player's emulator", async (name) => {
    const count = await playInPlayer(captured(name), player, { bytes: 1, toTheEnd: 50 })
    console.log(`${name}: ${count} boundaries in the player`)
    expect(count).toBeGreaterThan(2000)
  })
})
