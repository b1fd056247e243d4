import {
  type AttributeState,
  Bits,
  type BufferState,
  type CellState,
  designatorOf,
  joinWidth,
  type LineState,
  type XtermState,
} from './xterm-state.ts'

/**
 * A terminal's whole state as output that rebuilds it on an empty terminal of the same size: both screens without
 * scrollback, and what a plain screen serializer forgets (margins, saved cursors, charsets, tab stops, modes,
 * pending wrap, the character that a combining one would join). Sequences as in ECMA-48, DEC STD 070 and xterm's
 * control sequences. It starts with RIS, so that it also resets a terminal that already shows something.
 *
 * An erased cell that carries more than a background becomes a space with the same attributes: it looks the same.
 */
export function keyframeOf(state: XtermState): Uint8Array {
  const writer = new Painter(state)
  writer.paintAll()
  return new TextEncoder().encode(writer.text)
}

/**
 * Whether the state can be written down exactly. What cannot: a cursor outside the margins in origin mode, a wrap
 * pending behind an erased cell or on the hidden screen, half a wide character, a character to join that was never drawn, and a charset that
 * only DECRC could have brought back. They end with the next few bytes of any real program, so a keyframe waits for
 * them (within a limit).
 */
export function isExact(state: XtermState): boolean {
  const { cols, buffers } = state._bufferService
  const { active } = buffers
  const modes = state.coreService.decPrivateModes
  if (modes.origin && (active.y < active.scrollTop || active.y > active.scrollBottom)) return false
  if (active.x > cols) return false
  // Nothing moves the hidden screen's cursor behind the edge again.
  if (active === buffers.alt && buffers.normal.x >= cols) return false
  if (active.x === cols && !textOf(cellAt(lastPainted(active, cols)))) return false
  const joined = joinWidth(state)
  if (joined > 0 && active.x < cols) {
    const cell = cellAt({ line: active.lines.get(active.ybase + active.y), column: active.x - joined })
    if (!textOf(cell) || widthOf(cell) !== joined) return false
  }
  if (hasHalf(active, state._bufferService.rows, cols)) return false
  const { charset, _charsets, glevel } = state._charsetService
  if (charset === _charsets[glevel]) return true
  if (active.x >= cols) return false
  return (
    active.savedCharset === charset || (active === buffers.normal && buffers.alt.savedCharset === charset)
  )
}

const WIDTH_SHIFT = 22
const PLAIN = { fg: 0, bg: 0, extended: { _ext: 0 } }

interface Place {
  line: LineState | undefined
  column: number
}

function newCell(): CellState {
  return { content: 0, fg: 0, bg: 0, combinedData: '', extended: PLAIN.extended }
}

function load(line: LineState, column: number, into: CellState): void {
  // loadCell leaves the last cell's extended attributes in place when there are none.
  into.extended = PLAIN.extended
  line.loadCell(column, into)
}

function cellAt({ line, column }: Place): CellState {
  const cell = newCell()
  if (line && column >= 0 && column < line.length) load(line, column, cell)
  return cell
}

function textOf(cell: CellState): string {
  if (cell.content & Bits.combined) return cell.combinedData
  const code = cell.content & Bits.codepoint
  return code === 0 ? '' : String.fromCodePoint(code)
}

function widthOf(cell: CellState): number {
  return cell.content >> WIDTH_SHIFT
}

/** xterm.js writes into the second half of a wide character in the last column when automatic wrap is off. */
function hasHalf(buffer: BufferState, rows: number, cols: number): boolean {
  for (let row = 0; row < rows; row++) {
    const line = buffer.lines.get(buffer.ybase + row)
    if (
      widthOf(cellAt({ line, column: cols - 2 })) === 2 &&
      widthOf(cellAt({ line, column: cols - 1 })) !== 0
    )
      return true
  }
  return false
}

/** The cell that holds the character printed last when a wrap is pending: the last one, or a wide one before it. */
function lastPainted(buffer: BufferState, cols: number): Place {
  const line = buffer.lines.get(buffer.ybase + buffer.y)
  const last = cellAt({ line, column: cols - 1 })
  const isSecondHalf = widthOf(last) === 0 && !textOf(last)
  return { line, column: isSecondHalf ? cols - 2 : cols - 1 }
}

class Painter {
  text = ''
  readonly #state: XtermState
  readonly #cols: number
  readonly #rows: number
  #sgr = sgrOf(PLAIN)
  #isProtected = false

  constructor(state: XtermState) {
    this.#state = state
    this.#cols = state._bufferService.cols
    this.#rows = state._bufferService.rows
  }

  paintAll(): void {
    const { normal, alt, active } = this.#state._bufferService.buffers
    const modes = this.#state.coreService.decPrivateModes
    // RIS leaves these two in xterm.js, where they are options.
    this.text += '\x1bc\x1b[20l\x1b[?12l'
    this.#saveCursor(normal)
    if (hasSavedCursor(alt)) {
      this.text += '\x1b[?1047h'
      this.#saveCursor(alt)
      this.text += '\x1b[?1047l'
    }
    this.#paintBuffer(normal)
    if (active === alt) {
      // Nobody sees where the cursor of the screen underneath is, but a change of height keeps that row.
      this.#goTo(Math.min(normal.y, this.#rows - 1), Math.min(normal.x, this.#cols - 1))
      // Margins belong to one buffer in xterm.js and to the terminal elsewhere: full ones are needed to paint.
      this.text += '\x1b[?1047h\x1b[r'
      this.#paintBuffer(alt)
    }
    this.#setModes()
    // Everything so far is painted with the default charset, and DECRC moves the cursor.
    const { charset, _charsets, glevel } = this.#state._charsetService
    const isDesignated = charset === _charsets[glevel]
    if (!isDesignated) this.#restoreCharset(active)
    const printed = this.#placeCursor(active)
    if (isDesignated) this.#designate()
    this.#setAttributes(this.#state._inputHandler._curAttrData)
    if (modes.synchronizedOutput) this.text += '\x1b[?2026h'
    // Printed last: any sequence after it would end the joining of combining characters.
    this.text += printed
  }

  #goTo(row: number, column: number): void {
    this.text += `\x1b[${row + 1};${column + 1}H`
  }

  #setAttributes(attributes: AttributeState): void {
    const sgr = sgrOf(attributes)
    if (sgr !== this.#sgr) {
      this.text += sgr
      this.#sgr = sgr
      // SGR 0 ends DECSCA in xterm.js, where both live in one word.
      this.#isProtected = false
    }
    const isProtected = (attributes.bg & Bits.isProtected) !== 0
    if (isProtected !== this.#isProtected) {
      this.text += isProtected ? '\x1b[1"q' : '\x1b[0"q'
      this.#isProtected = isProtected
    }
  }

  #saveCursor(buffer: BufferState): void {
    if (!hasSavedCursor(buffer)) return
    const designator = designatorOf(buffer.savedCharset)
    const row = Math.min(Math.max(buffer.savedY - buffer.ybase, 0), this.#rows - 1)
    this.#goTo(row, Math.min(buffer.savedX, this.#cols - 1))
    // Saved with a wrap pending: only a printed character brings the cursor there.
    if (buffer.savedX >= this.#cols) this.text += ' '
    const { fg, bg } = buffer.savedCurAttrData
    // DECSC keeps that there is an underline, not its style.
    this.#setAttributes({ fg, bg, extended: { _ext: fg & Bits.underline ? 1 << 26 : 0 } })
    if (designator !== 'B') this.text += `\x1b(${designator}`
    this.text += '\x1b7'
    if (designator !== 'B') this.text += '\x1b(B'
    this.#setAttributes(PLAIN)
    if (buffer.savedX >= this.#cols) this.text += '\x1b[2J'
  }

  #paintBuffer(buffer: BufferState): void {
    const lines: (LineState | undefined)[] = []
    for (let row = 0; row < this.#rows; row++) lines.push(buffer.lines.get(buffer.ybase + row))
    const dirty = this.#wrapRows(lines)
    for (const [row, line] of lines.entries()) {
      if (line) this.#erase(row, line, dirty[row] ?? new Set())
    }
    for (const [row, line] of lines.entries()) {
      if (line) this.#print(row, line, isNaturalWrap(lines, row, this.#cols))
    }
    this.#setAttributes(PLAIN)
    this.#setTabs(buffer)
    if (buffer.scrollTop !== 0 || buffer.scrollBottom !== this.#rows - 1) {
      this.text += `\x1b[${buffer.scrollTop + 1};${buffer.scrollBottom + 1}r`
    }
  }

  /** Marks rows as continued from the one above where their own text will not do it, by wrapping two spaces. */
  #wrapRows(lines: readonly (LineState | undefined)[]): Set<number>[] {
    const last = this.#cols - 1
    const dirty = lines.map(() => new Set<number>())
    if (lines[0]?.isWrapped) {
      // Continued from scrollback: wrap into the row below, then scroll it up.
      this.#goTo(0, last)
      this.text += '  '
      if (this.#rows > 1) this.text += '\x1b[S'
      dirty[0]?.add(0)
    }
    for (let row = 1; row < lines.length; row++) {
      if (!lines[row]?.isWrapped || isNaturalWrap(lines, row, this.#cols)) continue
      this.#goTo(row - 1, last)
      this.text += '  '
      dirty[row - 1]?.add(last)
      dirty[row]?.add(0)
    }
    return dirty
  }

  /** Erased cells: those with a background, and those that #wrapRows has written into. */
  #erase(row: number, line: LineState, dirty: ReadonlySet<number>): void {
    let start = 0
    let background = -1
    const flush = (end: number) => {
      if (background < 0) return
      this.#setAttributes({ ...PLAIN, bg: background })
      this.#goTo(row, start)
      this.text += `\x1b[${end - start}X`
      background = -1
    }
    const cell = newCell()
    for (let column = 0; column < this.#cols; column++) {
      load(line, column, cell)
      const wanted = isErased(cell) && (cell.bg !== 0 || dirty.has(column)) ? cell.bg : -1
      if (wanted === background) continue
      flush(column)
      start = column
      background = wanted
    }
    flush(this.#cols)
  }

  #print(row: number, line: LineState, isContinued: boolean): void {
    // Where the cursor stands in this row, or -1 when it has to be sent there.
    let at = isContinued ? 0 : -1
    const cell = newCell()
    for (let column = 0; column < this.#cols; column++) {
      load(line, column, cell)
      if (isErased(cell)) continue
      const text = textOf(cell)
      const width = widthOf(cell)
      if (!text && width === 0) continue
      // A combining character in a cell of its own would join the one before if it came without a move.
      if (at !== column || width === 0) this.#goTo(row, column)
      this.#setAttributes(cell)
      this.text += text || ' '
      at = isWidthDisputed(text) ? -1 : column + (width === 0 ? 1 : width)
    }
  }

  #setTabs(buffer: BufferState): void {
    let isDefault = true
    const stops: number[] = []
    for (let column = 0; column < this.#cols; column++) {
      const isSet = buffer.tabs[column] === true
      if (isSet) stops.push(column)
      if (isSet !== (column % 8 === 0)) isDefault = false
    }
    if (isDefault) return
    this.text += '\x1b[3g'
    for (const column of stops) this.text += `\x1b[${column + 1}G\x1bH`
  }

  #setModes(): void {
    const { coreService, coreMouseService, optionsService } = this.#state
    const modes = coreService.decPrivateModes
    const set = (isSet: boolean, sequence: string) => {
      if (isSet) this.text += sequence
    }
    set(modes.applicationCursorKeys, '\x1b[?1h')
    set(modes.applicationKeypad, '\x1b=')
    set(modes.bracketedPasteMode, '\x1b[?2004h')
    set(modes.sendFocus, '\x1b[?1004h')
    set(modes.reverseWraparound, '\x1b[?45h')
    set(coreService.isCursorHidden, '\x1b[?25l')
    set(optionsService.rawOptions.convertEol, '\x1b[20h')
    set(optionsService.rawOptions.cursorBlink, '\x1b[?12h')
    const protocol = MOUSE_PROTOCOLS[coreMouseService.activeProtocol]
    if (protocol) this.text += `\x1b[?${protocol}h`
    const encoding = MOUSE_ENCODINGS[coreMouseService.activeEncoding]
    if (encoding) this.text += `\x1b[?${encoding}h`
    if (modes.cursorStyle) {
      const style = { block: 2, underline: 4, bar: 6 }[modes.cursorStyle]
      this.text += `\x1b[${style - (modes.cursorBlink ? 1 : 0)} q`
    }
  }

  #designate(): void {
    const { _charsets, glevel } = this.#state._charsetService
    for (const [level, intermediate] of ['(', ')', '*', '+'].entries()) {
      const designator = designatorOf(_charsets[level])
      if (designator !== 'B') this.text += `\x1b${intermediate}${designator}`
    }
    if (glevel !== 0) this.text += ['', '\x0e', '\x1bn', '\x1bo'][glevel] ?? ''
  }

  /**
   * A charset that DECRC brought back without designating it comes back the same way; where that is not possible
   * (isExact says so) the designated one stays.
   */
  #restoreCharset(active: BufferState): void {
    const { normal, alt } = this.#state._bufferService.buffers
    const { charset } = this.#state._charsetService
    this.#designate()
    if (active.savedCharset === charset) this.text += '\x1b8'
    else if (active === normal && alt.savedCharset === charset) this.text += '\x1b[?1047h\x1b8\x1b[?1047l'
    this.text += '\x1b[m'
    this.#sgr = sgrOf(PLAIN)
    this.#isProtected = false
  }

  /** Moves the cursor; returns the text that must be printed after everything else to stand where it should. */
  #placeCursor(active: BufferState): string {
    const modes = this.#state.coreService.decPrivateModes
    const row = Math.min(active.y, this.#rows - 1)
    const isPending = active.x >= this.#cols
    const joined = joinWidth(this.#state)
    const place = isPending
      ? lastPainted(active, this.#cols)
      : { line: active.lines.get(active.ybase + active.y), column: active.x - joined }
    const cell = cellAt(place)
    const text = textOf(cell)
    const canPrint =
      text !== '' && (isPending || (joined > 0 && widthOf(cell) === joined && place.column >= 0))
    const column = canPrint ? place.column : Math.min(active.x, this.#cols - 1)
    // Insert mode would push the rest of the row to the right when the character is printed once more.
    const isInserted = canPrint && !isPending && this.#state.coreService.modes.insertMode
    if (isInserted) {
      this.#goTo(row, column)
      this.text += `\x1b[${widthOf(cell)}P`
    }
    if (modes.origin) {
      this.text += '\x1b[?6h'
      this.#goTo(Math.max(0, row - active.scrollTop), column)
    } else this.#goTo(row, column)
    if (!canPrint || joined > 0) {
      if (!modes.wraparound) this.text += '\x1b[?7l'
      if (this.#state.coreService.modes.insertMode) this.text += '\x1b[4h'
      return canPrint ? text : ''
    }
    // A wrap is pending, and a sequence came after the character: print it now, the modes after it.
    this.#setAttributes(cell)
    this.text += `${text}\x1b[m`
    this.#sgr = sgrOf(PLAIN)
    this.#isProtected = false
    if (!modes.wraparound) this.text += '\x1b[?7l'
    if (this.#state.coreService.modes.insertMode) this.text += '\x1b[4h'
    return ''
  }
}

const MOUSE_PROTOCOLS: Record<string, number> = { X10: 9, VT200: 1000, DRAG: 1002, ANY: 1003 }
const MOUSE_ENCODINGS: Record<string, number> = { SGR: 1006, SGR_PIXELS: 1016 }

function hasSavedCursor(buffer: BufferState): boolean {
  const { fg, bg } = buffer.savedCurAttrData
  return (
    buffer.savedX !== 0 ||
    buffer.savedY > buffer.ybase ||
    fg !== 0 ||
    bg !== 0 ||
    buffer.savedCharset !== undefined
  )
}

/** Without text, as ECH would leave it: a background and nothing else. */
function isErased(cell: CellState): boolean {
  return !textOf(cell) && widthOf(cell) === 1 && cell.fg === 0 && (cell.bg & ~Bits.color) === 0
}

/**
 * Whether another emulator may give it another width: players know no combining characters, and newer or older emoji
 * than ours. What follows is then sent to its place, so that one character doesn't shift the rest of the row.
 */
function isWidthDisputed(text: string): boolean {
  const code = text.codePointAt(0) ?? 0
  return code > 0xffff || text.length > 1
}

/** Whether printing row after row wraps into this one by itself. */
function isNaturalWrap(lines: readonly (LineState | undefined)[], row: number, cols: number): boolean {
  const line = lines[row]
  const above = lines[row - 1]
  if (!line?.isWrapped || !above) return false
  const first = cellAt({ line, column: 0 })
  if (isErased(first) || widthOf(first) === 0) return false
  const last = cellAt({ line: above, column: cols - 1 })
  if (widthOf(last) > 0) return !isErased(last)
  return !textOf(last) && widthOf(cellAt({ line: above, column: cols - 2 })) === 2
}

/** SGR for a cell. Semicolons for colours, because not every player knows colons; colons where only they exist. */
function sgrOf({ fg, bg, extended }: AttributeState): string {
  const codes = ['0']
  if (fg & Bits.bold) codes.push('1')
  if (bg & Bits.dim) codes.push('2')
  if (bg & Bits.italic) codes.push('3')
  if (fg & Bits.underline) {
    const style = bg & Bits.hasExtended ? (extended._ext >> 26) & 7 : 1
    if (style > 0) codes.push(style > 1 ? `4:${style}` : '4')
  }
  if (fg & Bits.blink) codes.push('5')
  if (fg & Bits.inverse) codes.push('7')
  if (fg & Bits.invisible) codes.push('8')
  if (fg & Bits.strikethrough) codes.push('9')
  if (bg & Bits.overline) codes.push('53')
  pushColor(codes, fg, 30)
  pushColor(codes, bg, 40)
  const underline = extended._ext & Bits.color
  if (underline & Bits.colorMode) {
    codes.push(
      (underline & Bits.colorMode) === Bits.rgb
        ? `58:2::${(underline >> 16) & 255}:${(underline >> 8) & 255}:${underline & 255}`
        : `58:5:${underline & 255}`,
    )
  }
  return `\x1b[${codes.join(';')}m`
}

function pushColor(codes: string[], word: number, base: 30 | 40): void {
  const color = word & 255
  switch (word & Bits.colorMode) {
    case Bits.palette16:
      codes.push(String(color < 8 ? base + color : base + 60 + color - 8))
      break
    case Bits.palette256:
      codes.push(`${base + 8};5;${color}`)
      break
    case Bits.rgb:
      codes.push(`${base + 8};2;${(word >> 16) & 255};${(word >> 8) & 255};${color}`)
      break
    default:
  }
}
