import {
  Bits,
  type BufferState,
  designatorOf,
  joinWidth,
  type XtermState,
} from '../../recordings/screen-model/xterm-state.ts'

/** Everything a terminal will act on from here, as text: two terminals with the same text are the same terminal. */
export function describeState(state: XtermState): string {
  const { cols, rows, buffers } = state._bufferService
  const { active, normal, alt } = buffers
  const { charset, _charsets, glevel } = state._charsetService
  const pen = state._inputHandler._curAttrData
  const out = [
    `${cols}x${rows} ${active === alt ? 'alt' : 'normal'} cursor ${Math.min(active.x, cols)},${active.y} join ${joinWidth(state)}`,
    `pen ${attributes(pen.fg, pen.bg, pen.extended._ext)} underline-color ${pen.extended._ext & Bits.color}`,
    `charset ${designatorOf(charset)} G ${[0, 1, 2, 3].map((level) => designatorOf(_charsets[level])).join('')} GL ${glevel}`,
    JSON.stringify({
      ...state.coreService.decPrivateModes,
      hidden: state.coreService.isCursorHidden,
      insert: state.coreService.modes.insertMode,
      newLine: state.optionsService.rawOptions.convertEol,
      blink: state.optionsService.rawOptions.cursorBlink,
      mouse: state.coreMouseService.activeProtocol,
      encoding: state.coreMouseService.activeEncoding,
    }),
    ...describeBuffer('normal', normal, cols, rows),
  ]
  if (active === alt) out.push(...describeBuffer('alt', alt, cols, rows))
  else out.push(saved('alt', alt, cols, rows))
  return out.join('\n')
}

function describeBuffer(name: string, buffer: BufferState, cols: number, rows: number): string[] {
  const tabs = Array.from({ length: cols }, (_, column) => (buffer.tabs[column] ? 'T' : '.')).join('')
  const out = [
    `${name} margins ${buffer.scrollTop}-${buffer.scrollBottom} tabs ${tabs}`,
    saved(name, buffer, cols, rows),
  ]
  const cell = { content: 0, fg: 0, bg: 0, combinedData: '', extended: { _ext: 0 } }
  for (let row = 0; row < rows; row++) {
    const line = buffer.lines.get(buffer.ybase + row)
    if (!line) throw new Error(`row ${row} is missing`)
    let text = `${name} ${row}${line.isWrapped ? '+' : ' '}`
    let last = ''
    for (let column = 0; column < cols; column++) {
      cell.extended = { _ext: 0 }
      line.loadCell(column, cell)
      const style = attributes(cell.fg, cell.bg, cell.extended._ext)
      if (style !== last) text += `{${style}}`
      last = style
      const width = cell.content >> 22
      const content =
        cell.content & Bits.combined ? cell.combinedData : String.fromCodePoint(cell.content & Bits.codepoint)
      // The one thing a keyframe changes: an erased cell with more than a background becomes a space.
      const isStyled = cell.fg !== 0 || (cell.bg & ~Bits.color) !== 0
      text += content === '\0' ? (width === 0 ? '<' : isStyled ? ' ' : '_') : content
    }
    out.push(text)
  }
  return out
}

function saved(name: string, buffer: BufferState, cols: number, rows: number): string {
  const { fg, bg } = buffer.savedCurAttrData
  const y = Math.min(buffer.savedY - buffer.ybase, rows - 1)
  return `${name} saved ${Math.min(buffer.savedX, cols)},${y} ${attributes(fg, bg, 0)} ${designatorOf(buffer.savedCharset)}`
}

/** What is drawn: flags that only say where other fields are kept do not count. */
function attributes(fg: number, bg: number, ext: number): string {
  const style = fg & Bits.underline ? (bg & Bits.hasExtended ? (ext >> 26) & 7 : 1) : 0
  const color = style !== 0 && bg & Bits.hasExtended ? ext & Bits.color : 0
  const drawnFg = drawn(fg & ~Bits.underline)
  const drawnBg = drawn(bg & ~Bits.hasExtended)
  return `${drawnFg.toString(16)}/${drawnBg.toString(16)}/${style}/${color.toString(16)}`
}

/** A palette colour leaves the bits of an earlier RGB colour behind; nothing reads them. */
function drawn(word: number): number {
  const mode = word & Bits.colorMode
  const isPalette = mode === Bits.palette16 || mode === Bits.palette256
  return (isPalette ? word & ~0xffff00 : mode === 0 ? word & ~0xffffff : word) >>> 0
}
