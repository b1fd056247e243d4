import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { describeState } from '../../tests/recordings/keyframe-state.ts'
import { isExact, keyframeOf } from './keyframe.ts'
import { newTerminal, ParserState } from './xterm-state.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

function played(cols: number, rows: number, ...parts: Uint8Array[]) {
  const { state } = newTerminal(cols, rows)
  for (const part of parts) void state._inputHandler.parse(part)
  return state
}

/** Plays `output` up to each boundary, and from the keyframe there; then both go on with `further`. */
function compareEverywhere(cols: number, rows: number, output: Uint8Array, further: Uint8Array) {
  const { state } = newTerminal(cols, rows)
  for (let at = 0; at <= output.length; at++) {
    if (at > 0) void state._inputHandler.parse(output.subarray(at - 1, at))
    const { _parser, _utf8Decoder } = state._inputHandler
    if (_parser.currentState !== ParserState.ground || _utf8Decoder.interim[0] !== 0 || !isExact(state))
      continue
    const keyframe = keyframeOf(state)
    const restored = played(cols, rows, keyframe)
    const context = `at ${at}: ${JSON.stringify(new TextDecoder().decode(keyframe))}`
    expect(describeState(restored), context).toBe(describeState(state))
    void restored._inputHandler.parse(further)
    const fromStart = played(cols, rows, output.subarray(0, at), further)
    expect(describeState(restored), `${context}, then further output`).toBe(describeState(fromStart))
  }
}

describe('a keyframe restores', () => {
  const further = bytes('X\ty\x1b8z\r\n\x1b[3b\u0301\x1b[?1049lq\x1b8r\n\n\n\n\n\n\x0eqqq\x0fq')
  test.each([
    [
      'text and colours',
      'a\x1b[1;31mb\x1b[38;5;200;48;2;1;2;3mc\x1b[4:3;58:2::9:8:7md\x1b[0me\x1b[44m\x1b[K',
    ],
    ['a pending wrap', '0123456789'],
    ['a pending wrap with a sequence after it', '0123456789\x1b[31m'],
    ['a pending wrap behind a wide character', '01234567世'],
    ['a wide character that did not fit', '012345678世界'],
    ['wrapped rows', '0123456789abcdefghijKLM\r\n0123456789x\x1b[1;10H\x1b[K'],
    ['margins', '\x1b[2;4rab\x1b[3;3H'],
    ['origin mode', '\x1b[2;4r\x1b[?6h\x1b[2;3Hx'],
    ['the saved cursor', '\x1b[3;4H\x1b[7;32m\x1b7\x1b[m\x1b[1;1Hhello'],
    ['the saved cursor with a wrap pending', '0123456789\x1b7\x1b[2;2Hx'],
    ['the saved charset', '\x1b(0\x1b7\x1b(B\x1b[2;2Hqq'],
    ['a charset that only DECRC brought back', '\x1b(0\x1b7\x1b(Bab\x1b8qq'],
    ['character sets', '\x1b)0\x1b*A\x1b+4lq\x0eqq\x1bn#\x1bo#'],
    ['tab stops', '\x1b[3g\x1b[1;4H\x1bH\x1b[1;7H\x1bH\r'],
    ['the other screen', 'shell\x1b[2;3r\x1b[4;5H\x1b7\x1b[?1049hvim\x1b[5;5H\x1b7\x1b[1;1H\x1b[1;3r'],
    ['the other screen after leaving it', 'a\x1b[?1049h\x1b[2;2H\x1b[1m\x1b7\x1b[?1049lb'],
    ['modes', '\x1b[?1;25l\x1b[?2004;1004;1006;1002;45;12h\x1b=\x1b[4h\x1b[20h\x1b[5 qabc'],
    ['no automatic wrap', '\x1b[?7l0123456789xx'],
    ['insert mode after a character', 'abcdef\x1b[1;3H\x1b[4hz'],
    ['combining characters', 'e\u0301a\x1b[m\u0302b\u0303'],
    ['protected cells', '\x1b[1"qab\x1b[0"qcd'],
    ['a scrolled wrapped row', '0123456789a\r\n\n\n\n\nx\x1b[?45h'],
    ['erased cells with colours', '\x1b[41m\x1b[2J\x1b[3;3H\x1b[42mab\x1b[m\x1b[2K'],
    ['nothing after DECALN', '\x1b#8\x1b[2;2H'],
    ['soft reset', '\x1b(0\x1b[4h\x1b7\x1b[!pq'],
  ])('%s', (_name, output) => {
    compareEverywhere(10, 5, bytes(output), further)
    compareEverywhere(3, 2, bytes(output), further)
    compareEverywhere(2, 1, bytes(output), further)
  })

  const parameter = fc.integer({ min: 0, max: 12 })
  const token = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.constantFrom(
        'a',
        'bc',
        'Zq',
        ' ',
        '0123456789',
        'é',
        '世',
        '界x',
        '🙂',
        'e\u0301',
        '\u0302',
      ),
    },
    {
      weight: 3,
      arbitrary: fc.constantFrom('\r', '\n', '\b', '\t', '\x0e', '\x0f', '\x1bD', '\x1bM', '\x1bE', '\x1bH'),
    },
    {
      weight: 2,
      arbitrary: fc.constantFrom(
        '\x1b7',
        '\x1b8',
        '\x1b(0',
        '\x1b(B',
        '\x1b)0',
        '\x1b)B',
        '\x1b*A',
        '\x1bn',
        '\x1bo',
        '\x1b#8',
      ),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        '\x1bc',
        '\x1b[!p',
        '\x1b=',
        '\x1b>',
        '\x1b[g',
        '\x1b[3g',
        '\x1b[1"q',
        '\x1b[0"q',
        '\x1b[2 q',
        '\x1b[5 q',
      ),
    },
    {
      weight: 5,
      arbitrary: fc
        .tuple(fc.constantFrom(...'ABCDEFGHJKLMPSTXIZ@`abdefrsu'), parameter, parameter)
        .map(([final, a, b]) =>
          final === 's' || final === 'u' ? `\x1b[${final}` : `\x1b[${a};${b}${final}`,
        ),
    },
    {
      weight: 3,
      arbitrary: fc
        .constantFrom(
          '0',
          '1',
          '2',
          '3',
          '4',
          '4:3',
          '7',
          '9',
          '24',
          '31',
          '44',
          '39',
          '49',
          '95',
          '38;5;99',
          '48;2;1;2;3',
          '53',
        )
        .map((code) => `\x1b[${code}m`),
    },
    {
      weight: 3,
      arbitrary: fc
        .tuple(
          fc.constantFrom(
            1,
            6,
            7,
            12,
            25,
            45,
            66,
            1000,
            1002,
            1003,
            1004,
            1006,
            1047,
            1048,
            1049,
            2004,
            2026,
          ),
          fc.constantFrom('h', 'l'),
        )
        .map(([mode, final]) => `\x1b[?${mode}${final}`),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.constantFrom(4, 20), fc.constantFrom('h', 'l'))
        .map(([mode, final]) => `\x1b[${mode}${final}`),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(parameter, fc.constantFrom("'}", "'~", ' @', ' A'))
        .map(([count, final]) => `\x1b[${count}${final}`),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        '\x1b]0;title\x07',
        '\x1b]8;;http://a/\x1b\\',
        '\x1bP$q"p\x1b\\',
        '\x1b_x\x1b\\',
      ),
    },
  )

  test('whatever a program sends', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 12 }),
        fc.integer({ min: 1, max: 6 }),
        fc.array(token, { minLength: 1, maxLength: 40 }),
        fc.array(token, { maxLength: 15 }),
        (cols, rows, output, more) =>
          compareEverywhere(cols, rows, bytes(output.join('')), bytes(more.join(''))),
      ),
      { numRuns: Number(process.env.KEYFRAME_RUNS ?? 150) },
    )
  }, 60_000)
})
