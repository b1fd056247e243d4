import { copyFile, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isExact, keyframeOf } from '../../recordings/screen-model/keyframe.ts'
import { newTerminal, ParserState, type XtermState } from '../../recordings/screen-model/xterm-state.ts'
import { type Capture, captureAll } from './keyframe-captures.ts'
import { describeState } from './keyframe-state.ts'

/**
 * Playing from the keyframe equals playing from the start, at the boundaries of real programs' output: in the model
 * (xterm.js) over the whole state, and in the player's own emulator over the screen. KEYFRAME_BOUNDARIES=all takes
 * every boundary (minutes); by default as many as fit into the suite, spread evenly.
 */
const PROGRAMS = ['vim', 'tmux', 'less', 'mc']
const ALL = process.env.KEYFRAME_BOUNDARIES === 'all'
const MODEL_BOUNDARIES = ALL ? Number.MAX_SAFE_INTEGER : 700
const PLAYER_BOUNDARIES = ALL ? 2000 : 120
const TIMEOUT = ALL ? 1_800_000 : 120_000

let captures: Capture[] = []
beforeAll(async () => {
  captures = await captureAll()
}, 60_000)

function captured(name: string): Capture {
  const capture = captures.find((one) => one.name === name)
  if (!capture) throw new Error(`no capture of ${name}`)
  return capture
}

/** Plays a capture byte by byte and calls `at` where a keyframe may be cut, at most `limit` times. */
function boundaries(
  { cols, rows, output }: Capture,
  limit: number,
  at: (position: number, state: XtermState) => void,
): number {
  const { state } = newTerminal(cols, rows)
  const stride = Math.max(1, Math.floor(output.length / limit))
  let due = 0
  let count = 0
  for (let position = 0; position <= output.length; position++) {
    if (position > 0) void state._inputHandler.parse(output.subarray(position - 1, position))
    const { _parser, _utf8Decoder } = state._inputHandler
    if (position < due || _parser.currentState !== ParserState.ground || _utf8Decoder.interim[0] !== 0)
      continue
    if (!isExact(state)) continue
    at(position, state)
    count += 1
    due = position + stride
  }
  return count
}

describe('a keyframe of the model', () => {
  test.each(PROGRAMS)(
    '%s',
    (name) => {
      const capture = captured(name)
      const { cols, rows, output } = capture
      expect(output.length).toBeGreaterThan(4000)
      const end = newTerminal(cols, rows)
      void end.state._inputHandler.parse(output)
      const atEnd = describeState(end.state)
      let count = 0
      boundaries(capture, MODEL_BOUNDARIES, (position, state) => {
        const restored = newTerminal(cols, rows)
        void restored.state._inputHandler.parse(keyframeOf(state))
        expect(describeState(restored.state), `${name} at ${position}`).toBe(describeState(state))
        count += 1
        // The rest of the program's own output is the further output.
        if (count % (ALL ? 400 : 12) === 0) {
          void restored.state._inputHandler.parse(output.subarray(position))
          expect(describeState(restored.state), `${name} from ${position} to its end`).toBe(atEnd)
        }
        restored.terminal.dispose()
      })
      expect(count).toBeGreaterThan(200)
    },
    TIMEOUT,
  )
})

interface Vt {
  feed(text: string): unknown
  getLine(
    row: number,
    cursorOn: boolean,
  ): Record<'bg' | 'raster_symbols' | 'vector_symbols' | 'text' | 'codepoints', [number, number]>
  getDataView(range: [number, number], size: number): DataView
  getCursor(): { col: number; row: number; visible: boolean }
}

describe("a keyframe in the player's emulator", () => {
  let folder: string
  let build: (cols: number, rows: number) => Promise<Vt>

  // asciinema-player doesn't export its emulator (avt, WebAssembly): a copy of its module that does.
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sallyport-player-'))
    const dist = new URL('../../node_modules/asciinema-player/dist/', import.meta.url).pathname
    const names = (await readdir(dist)).filter((name) => name.endsWith('.js'))
    for (const name of names) await copyFile(join(dist, name), join(folder, name))
    await symlink(new URL('../../node_modules', import.meta.url).pathname, join(folder, 'node_modules'))
    await writeFile(join(folder, 'package.json'), '{"type":"module"}')
    const module = names.find((name) => name.startsWith('opts-'))
    if (!module) throw new Error('asciinema-player has no module opts-*.js any more')
    await writeFile(join(folder, module), `${await readFile(join(folder, module), 'utf8')}\nexport { Vt }\n`)
    // Its framework registers event handlers when it is loaded; there is no document here.
    const global = globalThis as { window?: unknown }
    global.window = { document: { addEventListener() {} } }
    const loaded = (await import(/* @vite-ignore */ join(folder, module))) as {
      Vt: { build(cols: number, rows: number, boldIsBright: boolean, logger: unknown): Promise<Vt> }
    }
    build = (cols, rows) => loaded.Vt.build(cols, rows, false, { debug() {} })
  })
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  /** Everything that the player draws. */
  function drawn(vt: Vt, rows: number): string {
    const out: string[] = [JSON.stringify(vt.getCursor())]
    for (let row = 0; row < rows; row++) {
      const line = vt.getLine(row, false)
      const codes = vt.getDataView(line.codepoints, 4)
      const text = Array.from({ length: codes.byteLength / 4 }, (_, at) =>
        String.fromCodePoint(codes.getUint32(at * 4, true)),
      )
      // Layouts as the player's renderRow* functions read them; the rest of each record is padding.
      const spans = [
        ...records(vt.getDataView(line.bg, 8), 8, (view, at) => [
          view.getUint32(at, true),
          color(view, at + 4),
        ]),
        ...records(vt.getDataView(line.raster_symbols, 12), 12, (view, at) => [
          view.getUint16(at, true),
          view.getUint32(at + 4, true),
          color(view, at + 8),
        ]),
        ...records(vt.getDataView(line.vector_symbols, 16), 16, (view, at) => [
          view.getUint16(at, true),
          view.getUint32(at + 4, true),
          color(view, at + 8),
          view.getUint8(at + 12),
        ]),
        ...records(vt.getDataView(line.text, 12), 12, (view, at) => [
          view.getUint32(at, true),
          view.getUint16(at + 4, true),
          color(view, at + 6),
          view.getUint8(at + 10),
        ]),
      ]
      out.push(`${row} ${text.join('')} ${spans.join(' ')}`)
    }
    return out.join('\n')
  }

  function records(
    view: DataView,
    size: number,
    read: (view: DataView, at: number) => (number | string)[],
  ): string[] {
    return Array.from({ length: view.byteLength / size }, (_, index) => read(view, index * size).join(','))
  }

  function color(view: DataView, at: number): string {
    const tag = view.getUint8(at)
    if (tag < 3) return String(tag)
    if (tag === 3) return `palette ${view.getUint8(at + 1)}`
    return `rgb ${view.getUint8(at + 1)} ${view.getUint8(at + 2)} ${view.getUint8(at + 3)}`
  }

  test.each(PROGRAMS)(
    '%s',
    async (name) => {
      const capture = captured(name)
      const { cols, rows, output } = capture
      const cuts: { position: number; keyframe: string }[] = []
      boundaries(capture, PLAYER_BOUNDARIES, (position, state) => {
        cuts.push({ position, keyframe: new TextDecoder().decode(keyframeOf(state)) })
      })
      const text = new TextDecoder()
      const fromStart = await build(cols, rows)
      const end = await build(cols, rows)
      end.feed(new TextDecoder().decode(output))
      const atEnd = drawn(end, rows)
      let played = 0
      for (const [index, { position, keyframe }] of cuts.entries()) {
        fromStart.feed(text.decode(output.subarray(played, position), { stream: true }))
        played = position
        const restored = await build(cols, rows)
        restored.feed(keyframe)
        expect(drawn(restored, rows), `${name} at ${position}`).toBe(drawn(fromStart, rows))
        if (index % 6 === 0) {
          restored.feed(new TextDecoder().decode(output.subarray(position)))
          expect(drawn(restored, rows), `${name} from ${position} to its end`).toBe(atEnd)
        }
      }
      expect(cuts.length).toBeGreaterThan(50)
    },
    TIMEOUT,
  )
})
