import { isUtf8 } from 'node:buffer'
import type xterm from '@xterm/headless'
import { incompleteTail } from '../format/json-escape.ts'
import { isExact, keyframeOf } from './keyframe.ts'
import { newTerminal, ParserState, type XtermState } from './xterm-state.ts'

export interface Keyframe {
  /** Bytes of output that the keyframe stands for: playing goes on with the byte at this position. */
  position: number
  cols: number
  rows: number
  /** Output that rebuilds the screen on an empty terminal of this size. */
  bytes: Uint8Array
}

/** Bytes that a cut waits for a state that can be written down exactly, once the parser is in its ground state. */
const EXACT_LIMIT = 4096
/** Bytes that a cut waits for the ground state: longer control strings are cut through. */
export const GROUND_LIMIT = 256 * 1024

const PARSE_BYTES = 4096

/** One session's screen. Fed with everything the asset sent, in order; shows what its recording shows. */
export class Screen {
  position = 0
  readonly #terminal: xterm.Terminal
  readonly #state: XtermState
  /** Bytes of a character that is not complete yet. */
  #tail: Uint8Array = new Uint8Array(0)
  #waiting: { from: number; groundAt: number | null; done: (keyframe: Keyframe) => void }[] = []

  constructor(cols: number, rows: number, position = 0) {
    const { terminal, state } = newTerminal(cols, rows)
    this.#terminal = terminal
    this.#state = state
    this.position = position
  }

  /** Parses at once; 25 MB/s. */
  feed(bytes: Uint8Array): void {
    let at = 0
    // Byte by byte only while a cut waits for its place.
    while (this.#waiting.length > 0 && at < bytes.length) {
      const end = at + this.#step(bytes, at)
      this.#parse(bytes.subarray(at, end))
      at = end
      this.#cut()
    }
    if (at < bytes.length) this.#parse(bytes.subarray(at))
  }

  resize(cols: number, rows: number): void {
    const { _bufferService, _inputHandler } = this.#state
    const { normal, alt } = _bufferService.buffers
    // xterm.js 6 breaks lines anew by where they lie in its ring, which no keyframe tells: after scrolling, lines that
    // left the screen come back. A change of the ring's size puts its first line first.
    for (const { lines } of [normal, alt]) {
      const { maxLength } = lines
      lines.maxLength = maxLength + 1
      lines.maxLength = maxLength
    }
    // Tab stops beyond the edge would come back when the terminal grows; nothing that is shown remembers them.
    for (const { tabs } of [normal, alt]) {
      for (const column of Object.keys(tabs))
        if (Number(column) >= _bufferService.cols) delete tabs[Number(column)]
    }
    this.#terminal.resize(cols, rows)
    for (const { tabs } of [normal, alt]) {
      for (const column of Object.keys(tabs))
        if (Number(column) >= _bufferService.cols) delete tabs[Number(column)]
    }
    this.#trim()
    _inputHandler._parser.precedingJoinState = 0
  }

  /** Cuts a keyframe here, or at the first place after it where the state can be written down. */
  keyframe(done: (keyframe: Keyframe) => void): void {
    this.#waiting.push({ from: this.position, groundAt: null, done })
    this.#cut()
  }

  /** An empty screen at `position`, with the cuts that wait for this one. */
  restart(cols: number, rows: number, position: number): Screen {
    const fresh = new Screen(cols, rows, position)
    const waiting = this.#waiting
    this.dispose()
    for (const { done } of waiting) fresh.keyframe(done)
    return fresh
  }

  dispose(): void {
    this.#waiting = []
    this.#terminal.dispose()
  }

  /** How many bytes can't contain the place of a cut: one, or the text of a control string. */
  #step(bytes: Uint8Array, at: number): number {
    const { currentState } = this.#state._inputHandler._parser
    if (currentState !== ParserState.oscString && currentState !== ParserState.dcsPassthrough) return 1
    let end = at
    while (end < bytes.length && end - at < PARSE_BYTES && isStringText(bytes[end] ?? 0)) end += 1
    return Math.max(1, end - at)
  }

  #parse(bytes: Uint8Array): void {
    this.position += bytes.length
    const joined = this.#tail.length > 0 ? Buffer.concat([this.#tail, bytes]) : bytes
    const end = joined.length - incompleteTail(joined)
    this.#tail = Uint8Array.from(joined.subarray(end))
    if (end === 0) return
    const whole = joined.subarray(0, end)
    const text = isUtf8(whole) ? whole : repaired(whole)
    // Synchronous: no handler of ours returns a promise. In pieces, because xterm.js keeps four bytes for each byte of
    // the longest one.
    for (let at = 0; at < text.length; at += PARSE_BYTES) {
      void this.#state._inputHandler.parse(text.subarray(at, at + PARSE_BYTES))
    }
  }

  #cut(): void {
    if (this.#waiting.length === 0) return
    if (this.#tail.length > 0) return
    const { _parser } = this.#state._inputHandler
    const isGround = _parser.currentState === ParserState.ground
    const waiting = this.#waiting
    this.#waiting = []
    let bytes: Uint8Array | undefined
    for (const request of waiting) {
      if (isGround) request.groundAt ??= this.position
      const isDue = isGround
        ? isExact(this.#state) || this.position - (request.groundAt ?? 0) >= EXACT_LIMIT
        : this.position - request.from >= GROUND_LIMIT
      if (!isDue) {
        this.#waiting.push(request)
        continue
      }
      bytes ??= this.#write()
      const { cols, rows } = this.#state._bufferService
      request.done({ position: this.position, cols, rows, bytes })
    }
  }

  #write(): Uint8Array {
    const keyframe = keyframeOf(this.#state)
    const introducer = introducerOf(this.#state._inputHandler._parser.currentState)
    return introducer ? Buffer.concat([keyframe, introducer]) : keyframe
  }

  /**
   * Without scrollback xterm.js keeps the cells beyond a narrower edge and shows them again when it grows. Nothing
   * on the screen says so, and players don't do it. A wide character that the edge cut in half goes too.
   */
  #trim(): void {
    const { cols, rows, buffers } = this.#state._bufferService
    for (const buffer of [buffers.normal, buffers.alt]) {
      // xterm.js forgets this one while the buffer is empty, which would give the other screen a scrollback.
      if (buffer.lines.maxLength > rows) buffer.lines.maxLength = rows
      // Lines that were broken anew and pushed others out are counted as scrollback, of which there is none.
      buffer.ybase = Math.max(0, Math.min(buffer.ybase, buffer.lines.length - rows))
      buffer.ydisp = buffer.ybase
      buffer.savedY = Math.min(buffer.savedY, buffer.ybase + rows - 1)
      buffer.savedX = Math.min(buffer.savedX, cols)
      for (let row = 0; row < rows; row++) {
        const line = buffer.lines.get(buffer.ybase + row)
        if (!line || line.length < cols) continue
        const cell = { content: 0, fg: 0, bg: 0, combinedData: '', extended: { _ext: 0 } }
        line.resize(cols, cell)
        line.loadCell(cols - 1, cell)
        if (cell.content >> 22 === 2) line.setCellFromCodepoint(cols - 1, 0, 1, { ...cell, fg: 0, bg: 0 })
      }
    }
  }
}

/** Printable ASCII: neither ends a control string nor belongs to a longer character. */
function isStringText(byte: number): boolean {
  return byte >= 0x20 && byte < 0x7f
}

/** What is no UTF-8 becomes U+FFFD, as the recording has it: xterm.js by itself would leave it out. */
function repaired(bytes: Uint8Array): Uint8Array {
  return new TextEncoder().encode(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes))
}

/** Puts a parser back into the kind of sequence it was in; what the sequence said so far is lost. */
function introducerOf(state: number): Uint8Array | null {
  switch (state) {
    case ParserState.ground:
      return null
    case ParserState.oscString:
      return Buffer.from('\x1b]')
    case ParserState.sosPmApcString:
      return Buffer.from('\x1bX')
    case ParserState.dcsEntry:
    case ParserState.dcsParam:
    case ParserState.dcsIgnore:
    case ParserState.dcsIntermediate:
    case ParserState.dcsPassthrough:
      return Buffer.from('\x1bP1<')
    case ParserState.escape:
    case ParserState.escapeIntermediate:
      return Buffer.from('\x1b ')
    default:
      return Buffer.from('\x1b[1<')
  }
}
