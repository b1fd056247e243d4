import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Keyframe, Screen } from './screen.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

function cut(screen: Screen): Keyframe | null {
  let found: Keyframe | null = null
  screen.keyframe((keyframe) => {
    found = keyframe
  })
  return found
}

describe('a screen', () => {
  test('cuts at once in the ground state, and after the sequence or character otherwise', () => {
    const screen = new Screen(20, 4)
    screen.feed(bytes('ab'))
    expect(cut(screen)?.position).toBe(2)
    const cuts: Keyframe[] = []
    screen.feed(bytes('\x1b[3'))
    screen.keyframe((keyframe) => cuts.push(keyframe))
    expect(cuts).toEqual([])
    screen.feed(bytes('1mx'))
    expect(cuts[0]?.position).toBe(7)
    screen.feed(bytes('é').subarray(0, 1))
    screen.keyframe((keyframe) => cuts.push(keyframe))
    expect(cuts).toHaveLength(1)
    screen.feed(bytes('é').subarray(1))
    expect(cuts[1]?.position).toBe(10)
  })

  test('shows bytes that are no UTF-8 as its recording does', () => {
    const screen = new Screen(20, 4)
    for (const piece of [[0x61, 0xe9], [0x62], [0xff, 0x63]]) screen.feed(Uint8Array.from(piece))
    const keyframe = new TextDecoder().decode(cut(screen)?.bytes)
    expect(keyframe).toContain('a\ufffdb\ufffdc')
  })

  test('goes on from an empty screen after a fault, and still answers', () => {
    const screen = new Screen(20, 4)
    const cuts: Keyframe[] = []
    screen.feed(bytes('lost\x1b['))
    screen.keyframe((keyframe) => cuts.push(keyframe))
    const fresh = screen.restart(20, 4, 6)
    fresh.feed(bytes('x'))
    expect(cuts[0]).toMatchObject({ position: 6, cols: 20, rows: 4 })
  })

  const step = fc.oneof(
    fc.constantFrom(
      'text ',
      '\r\n',
      '世',
      '\x1b[2;3r',
      '\x1b[?6h',
      '\x1b7',
      '\x1b8',
      '\x1b[?1049h',
      '\x1b[?1049l',
      '\x1b[5;9H',
      '\x1bH',
      '\x1b[3g',
      '\t',
      '\x1b[42m',
      '\x1b[K',
      '0123456789',
      '\n\n\n',
      '\x1bM',
    ),
    fc.record({ cols: fc.integer({ min: 2, max: 24 }), rows: fc.integer({ min: 1, max: 8 }) }),
  )
  const apply = (screen: Screen, steps: (string | { cols: number; rows: number })[]) => {
    for (const one of steps) {
      if (typeof one === 'string') screen.feed(bytes(one))
      else screen.resize(one.cols, one.rows)
    }
  }

  test('breaks lines anew by what is on the screen, not by what has scrolled away', () => {
    const original = new Screen(12, 5)
    apply(original, ['\n\n\n', '0123456789', '\n\n\n'])
    const keyframe = cut(original)
    const restored = new Screen(12, 5)
    restored.feed(keyframe?.bytes ?? new Uint8Array(0))
    for (const screen of [original, restored]) screen.resize(2, 5)
    expect(new TextDecoder().decode(cut(restored)?.bytes)).toBe(
      new TextDecoder().decode(cut(original)?.bytes),
    )
  })

  test('gives the same keyframe after a keyframe, over any change of size', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.array(step, { maxLength: 20 }), (before, after) => {
        const original = new Screen(12, 5)
        apply(original, before)
        const keyframe = cut(original)
        // Where the state can't be written down, the cut waits for more output.
        fc.pre(keyframe !== null)
        const restored = new Screen(keyframe.cols, keyframe.rows)
        restored.feed(keyframe.bytes)
        const text = (found: Keyframe | null) => (found ? new TextDecoder().decode(found.bytes) : null)
        expect(text(cut(restored))).toBe(text(keyframe))
        apply(original, after)
        apply(restored, after)
        expect(text(cut(restored))).toBe(text(cut(original)))
      }),
      { numRuns: 300 },
    )
  })
})
