import { copyFile, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The terminal emulator of asciinema-player (avt, WebAssembly). */
export interface Vt {
  feed(text: string): unknown
  getLine(
    row: number,
    cursorOn: boolean,
  ): Record<'bg' | 'raster_symbols' | 'vector_symbols' | 'text' | 'codepoints', [number, number]>
  getDataView(range: [number, number], size: number): DataView
  getCursor(): { col: number; row: number; visible: boolean }
  /** Its WebAssembly half, to be freed by hand: the collector knows nothing of its size. */
  readonly vt: { free(): void }
}

export interface PlayerEmulator {
  build(cols: number, rows: number): Promise<Vt>
  dispose(): Promise<void>
}

/** asciinema-player doesn't export its emulator: a copy of its module that does. */
export async function loadPlayer(): Promise<PlayerEmulator> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-player-'))
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
  return {
    build: (cols, rows) => loaded.Vt.build(cols, rows, false, { debug() {} }),
    dispose: () => rm(folder, { recursive: true, force: true }),
  }
}

/** Everything that the player draws. */
export function drawn(vt: Vt, rows: number): string {
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
