import unicode11 from '@xterm/addon-unicode11'
import xterm from '@xterm/headless'

/**
 * The part of xterm.js's state that its public API does not show: what DECSC saved, charsets, margins, tab stops.
 * The package is pinned to one exact version, and the keyframe tests compare this state byte by byte, so an
 * upgrade that moves a field fails there and not in somebody's evidence.
 */
export interface XtermState {
  readonly _bufferService: BufferService
  readonly _charsetService: {
    charset: Charset | undefined
    glevel: number
    _charsets: (Charset | undefined)[]
  }
  readonly coreMouseService: { readonly activeProtocol: string; readonly activeEncoding: string }
  readonly coreService: {
    readonly isCursorHidden: boolean
    readonly modes: { readonly insertMode: boolean }
    readonly decPrivateModes: PrivateModes
  }
  readonly optionsService: {
    readonly rawOptions: { readonly convertEol: boolean; readonly cursorBlink: boolean }
  }
  readonly _inputHandler: InputHandler
}

export type Charset = Readonly<Record<string, string>>

export interface PrivateModes {
  readonly applicationCursorKeys: boolean
  readonly applicationKeypad: boolean
  readonly bracketedPasteMode: boolean
  readonly cursorBlink: boolean | undefined
  readonly cursorStyle: 'block' | 'underline' | 'bar' | undefined
  readonly origin: boolean
  readonly reverseWraparound: boolean
  readonly sendFocus: boolean
  readonly synchronizedOutput: boolean
  readonly wraparound: boolean
}

interface BufferService {
  readonly cols: number
  readonly rows: number
  readonly buffers: { readonly normal: BufferState; readonly alt: BufferState; readonly active: BufferState }
  resize(cols: number, rows: number): void
}

export interface BufferState {
  readonly lines: { readonly length: number; maxLength: number; get(index: number): LineState | undefined }
  ybase: number
  ydisp: number
  readonly x: number
  readonly y: number
  readonly scrollTop: number
  readonly scrollBottom: number
  readonly tabs: Record<number, boolean | undefined>
  savedX: number
  savedY: number
  readonly savedCurAttrData: { readonly fg: number; readonly bg: number }
  readonly savedCharset: Charset | undefined
}

export interface LineState {
  readonly length: number
  isWrapped: boolean
  resize(cols: number, fill: CellState): void
  loadCell<T extends CellState>(index: number, cell: T): T
  setCellFromCodepoint(index: number, codePoint: number, width: number, attributes: AttributeState): void
}

export interface AttributeState {
  fg: number
  bg: number
  extended: { readonly _ext: number }
}

export interface CellState extends AttributeState {
  content: number
  combinedData: string
}

type HandlerLists = Record<string, unknown[]>

interface InputHandler {
  readonly _curAttrData: AttributeState
  readonly _utf8Decoder: { readonly interim: Uint8Array }
  _parseBuffer: Uint32Array
  readonly _parser: {
    readonly currentState: number
    precedingJoinState: number
    readonly _csiHandlers: HandlerLists
    readonly _escHandlers: HandlerLists
    readonly _oscParser: { readonly _handlers: HandlerLists }
    readonly _dcsParser: { readonly _handlers: HandlerLists }
  }
  parse(data: Uint8Array): undefined | Promise<boolean>
  registerCsiHandler(
    id: { prefix?: string; intermediates?: string; final: string },
    handler: (params: { readonly params: Int32Array }) => boolean,
  ): void
  registerOscHandler(id: number, handler: () => boolean): void
}

/** Bits of a cell's `fg` and `bg` words (xterm.js, src/common/buffer/Constants.ts). */
export const Bits = {
  colorMode: 0x3000000,
  palette16: 0x1000000,
  palette256: 0x2000000,
  rgb: 0x3000000,
  color: 0x3ffffff,
  inverse: 0x4000000,
  bold: 0x8000000,
  underline: 0x10000000,
  blink: 0x20000000,
  invisible: 0x40000000,
  strikethrough: 0x80000000,
  italic: 0x4000000,
  dim: 0x8000000,
  hasExtended: 0x10000000,
  isProtected: 0x20000000,
  overline: 0x40000000,
  codepoint: 0x1fffff,
  combined: 0x200000,
} as const

/** States of the VT500 parser (xterm.js, src/common/parser/Constants.ts). */
export const ParserState = {
  ground: 0,
  escape: 1,
  escapeIntermediate: 2,
  csiEntry: 3,
  csiParam: 4,
  csiIntermediate: 5,
  csiIgnore: 6,
  sosPmApcString: 7,
  oscString: 8,
  dcsEntry: 9,
  dcsParam: 10,
  dcsIgnore: 11,
  dcsIntermediate: 12,
  dcsPassthrough: 13,
} as const

export function newTerminal(cols: number, rows: number): { terminal: xterm.Terminal; state: XtermState } {
  const terminal = new xterm.Terminal({ cols, rows, scrollback: 0, allowProposedApi: true, logLevel: 'off' })
  setWidths(terminal)
  const state = (terminal as unknown as { _core: XtermState })._core
  bound(state)
  slim(state._inputHandler)
  return { terminal, state }
}

let widths: xterm.IUnicodeVersionProvider | undefined

/**
 * Widths of Unicode 11, as the browser's terminal has them: an emoji takes two cells there, in the programs that send
 * it and in the player of recordings, and one by xterm.js's own table. One provider serves all terminals.
 */
function setWidths(terminal: xterm.Terminal): void {
  if (!widths) {
    const register = (provider: xterm.IUnicodeVersionProvider) => {
      widths = provider
    }
    // The addon asks nothing else of a terminal.
    const taker = { unicode: { register } } as unknown as Parameters<Unicode11['activate']>[0]
    new unicode11.Unicode11Addon().activate(taker)
  }
  if (widths) terminal.unicode.register(widths)
  terminal.unicode.activeVersion = '11'
}

type Unicode11 = InstanceType<typeof unicode11.Unicode11Addon>

/** Where characters are put between decoding and parsing. Both are synchronous, so one serves all terminals. */
let parseBuffer: Uint32Array | undefined

/** A terminal for each session: without this, a fourth of each would be room for handlers that never come. */
function slim(handler: InputHandler): void {
  parseBuffer ??= handler._parseBuffer
  handler._parseBuffer = parseBuffer
  const { _csiHandlers, _escHandlers, _oscParser, _dcsParser } = handler._parser
  for (const lists of [_csiHandlers, _escHandlers, _oscParser._handlers, _dcsParser._handlers]) {
    // A list that was pushed to has room for seventeen, its copy for the one that is in it.
    for (const [name, list] of Object.entries(lists)) lists[name] = list.slice()
  }
}

/** More combining characters than any script stacks on one letter. */
const COMBINED_LIMIT = 32

/**
 * What an asset sends must not cost more than its length: a repeat count of two thousand million, a letter with a
 * million accents and a hyperlink per byte would each hold up or fill the thread that all sessions share.
 */
function bound(state: XtermState): void {
  const clamp = (final: string, limit: () => number) => {
    state._inputHandler.registerCsiHandler({ final }, ({ params }) => {
      params[0] = Math.min(params[0] ?? 0, limit())
      return false
    })
  }
  const longest = () => Math.max(state._bufferService.cols, state._bufferService.rows)
  for (const final of ['S', 'T', 'L', 'M', 'I', 'Z']) clamp(final, longest)
  clamp('b', () => state._bufferService.cols * state._bufferService.rows)
  // Links are not drawn, and xterm.js keeps every one of them as long as its line.
  state._inputHandler.registerOscHandler(8, () => true)
  boundCombining(state)
}

let isCombiningBounded = false

function boundCombining(state: XtermState): void {
  if (isCombiningBounded) return
  const line = state._bufferService.buffers.normal.lines.get(0)
  if (!line) throw new Error('a new terminal has no line')
  const prototype = Object.getPrototypeOf(line) as CombiningLine
  const { addCodepointToCell } = prototype
  prototype.addCodepointToCell = function (this: CombiningLine, index, codePoint, width) {
    if ((this._combined[index]?.length ?? 0) < COMBINED_LIMIT)
      addCodepointToCell.call(this, index, codePoint, width)
  }
  isCombiningBounded = true
}

interface CombiningLine {
  readonly _combined: Record<number, string | undefined>
  addCodepointToCell(index: number, codePoint: number, width: number): void
}

/** Width of the character that a following combining character would join, 0 for none. */
export function joinWidth(state: XtermState): number {
  return (state._inputHandler._parser.precedingJoinState >> 1) & 3
}

/** Final characters that designate a character set (SCS), with the table that xterm.js keeps for each. */
let designators: Map<Charset, string> | undefined

export function designatorOf(charset: Charset | undefined): string {
  if (!charset) return 'B'
  if (!designators) {
    designators = new Map()
    const { terminal, state } = newTerminal(2, 1)
    for (const final of '0A4C5RQKYE6ZH7=') {
      state._inputHandler.parse(new TextEncoder().encode(`\x1b(${final}`))
      const table = state._charsetService._charsets[0]
      if (table && !designators.has(table)) designators.set(table, final)
    }
    terminal.dispose()
  }
  return designators.get(charset) ?? 'B'
}
