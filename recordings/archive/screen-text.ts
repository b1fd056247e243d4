/**
 * What was on the screen, as lines with their times: for searching and jumping, not as evidence (that is the stream
 * itself). Control sequences are dropped; full-screen programs (the alternate screen) are left out, because a
 * repainted page is not a line of text. Everything here comes from a hostile target: the result is plain text
 * without control characters, to be shown as text only.
 */
export interface TextLine {
  tMs: number
  text: string
}

const LINE_LIMIT = 400

export class ScreenText {
  #line = ''
  #column = 0
  #startedMs = 0
  #escape = ''
  #alternate = false

  /** Feeds one output event; returns the lines that it completed. */
  feed(tMs: number, data: string): TextLine[] {
    const lines: TextLine[] = []
    for (const char of data) {
      if (this.#escape !== '') {
        this.#escape += char
        if (escapeEnds(this.#escape)) {
          this.#leaveEscape()
        } else if (this.#escape.length > 4096) {
          this.#escape = ''
        }
        continue
      }
      if (char === '\x1b') this.#escape = char
      else if (char === '\n') {
        const line = this.#finish()
        if (line) lines.push(line)
      } else if (char === '\r') this.#column = 0
      else if (char === '\b') this.#column = Math.max(0, this.#column - 1)
      else if (char >= ' ' && char !== '\x7f' && !(char >= '\x80' && char < '\xa0')) this.#put(char, tMs)
    }
    return lines
  }

  /** The line that is still being written, if any. */
  rest(): TextLine | null {
    return this.#finish()
  }

  #put(char: string, tMs: number): void {
    if (this.#alternate || this.#column >= LINE_LIMIT) return
    if (this.#line === '') this.#startedMs = tMs
    this.#line =
      this.#line.slice(0, this.#column).padEnd(this.#column) + char + this.#line.slice(this.#column + 1)
    this.#column += 1
  }

  #finish(): TextLine | null {
    const text = this.#line.trimEnd()
    this.#line = ''
    this.#column = 0
    return text === '' ? null : { tMs: this.#startedMs, text }
  }

  #leaveEscape(): void {
    const sequence = this.#escape
    this.#escape = ''
    const mode = sequence.startsWith('\x1b[?') ? /^([0-9;]*)([hl])$/.exec(sequence.slice(3)) : null
    if (mode?.[1]?.split(';').some((one) => one === '1049' || one === '47' || one === '1047')) {
      this.#alternate = mode[2] === 'h'
      this.#line = ''
      this.#column = 0
    } else if (sequence === '\x1b[K' || sequence === '\x1b[0K') {
      this.#line = this.#line.slice(0, this.#column)
    }
  }
}

/** ECMA-48: CSI ends with 0x40-0x7E, a string (OSC, DCS, APC, PM, SOS) with ST or BEL, anything else after one char. */
function escapeEnds(sequence: string): boolean {
  const second = sequence[1]
  const last = sequence.at(-1) ?? ''
  if (second === '[') return sequence.length > 2 && last >= '@' && last <= '~'
  if (second !== undefined && ']P_^X'.includes(second)) return last === '\x07' || sequence.endsWith('\x1b\\')
  if (second !== undefined && '()*+-./#%'.includes(second)) return sequence.length === 3
  return sequence.length === 2
}
