import { z } from 'zod'
import { uuid } from '../../broker/contract/audit-entry.ts'
import type { Stream } from '../../broker/domain/words.ts'
import { stream, u32, word } from './fields.ts'
import { ESCAPE_GROWTH, escapeJson, incompleteTail } from './json-escape.ts'

/**
 * Content of a terminal recording: a segment's chunks, opened and joined, are one whole asciicast v2 file (header
 * line, then [t, code, data] lines). A chunk holds whole lines, so what a crash leaves is a file too.
 */
export const SCREEN_CODES = ['o', 'r', 'm'] as const
/** Only keystrokes: every input chunk but the first (the header line alone) means that something was sent. */
export const INPUT_CODES = ['i'] as const
export type EventCode = 'o' | 'r' | 'm' | 'i'

const cells = z.number().int().min(1).max(10_000)
export const asciicastHeader = z.strictObject({
  version: z.literal(2),
  width: cells,
  height: cells,
  /** Seconds since the epoch at the session's start, for players. */
  timestamp: z.number().int().min(0).max(0xffff_ffff).optional(),
  title: word(500).optional(),
  sallyport: z.strictObject({
    v: z.literal(1),
    recording: uuid,
    stream,
    segment: u32,
    /** The names that the clear header leaves out. */
    person: z.strictObject({ name: word(200), company: word(200) }),
    asset: word(200),
    site: word(200),
  }),
})
export type AsciicastHeader = z.infer<typeof asciicastHeader>

export function codesOf(of: Stream): readonly EventCode[] {
  return of === 'screen' ? SCREEN_CODES : INPUT_CODES
}

/** Whole microseconds as seconds with six decimals: `12.345678`. */
export function formatTime(micros: number): string {
  const whole = Math.floor(micros / 1_000_000)
  return `${whole}.${String(micros - whole * 1_000_000).padStart(6, '0')}`
}

/**
 * Builds the lines of a chunk from raw bytes. Bytes of a UTF-8 sequence that is not complete yet are held back (3 at
 * most, one holder for each code) and lead the next event of that code. Not reused between segments: a segment ends
 * with `flush`.
 */
export class AsciicastEncoder {
  #buffer: Buffer
  #length = 0
  #held = new Map<EventCode, Buffer>()
  #lastMicros = 0

  constructor(capacity = 256 * 1024) {
    this.#buffer = Buffer.allocUnsafeSlow(capacity)
  }

  /** Bytes waiting to become a chunk. */
  get length(): number {
    return this.#length
  }

  header(header: AsciicastHeader): void {
    this.#append(`${JSON.stringify(asciicastHeader.parse(header))}\n`)
  }

  /**
   * One event from raw bytes, at `micros` since the session's start. Times never go back: an earlier one is raised
   * to the last. Writes no line when all bytes are held back.
   */
  bytes(code: EventCode, micros: number, data: Uint8Array): void {
    const held = this.#held.get(code)
    const whole = held ? Buffer.concat([held, data]) : data
    const tail = incompleteTail(whole)
    if (tail > 0) this.#held.set(code, Buffer.from(whole.subarray(whole.length - tail)))
    else if (held) this.#held.delete(code)
    if (whole.length > tail)
      this.#line(code, micros, tail > 0 ? whole.subarray(0, whole.length - tail) : whole)
  }

  /** One event from text: a resize ("80x24"), a marker, a keyframe. */
  text(code: EventCode, micros: number, data: string): void {
    this.#line(code, micros, Buffer.from(data, 'utf8'))
  }

  /** Writes what is held back as it stands (U+FFFD): the segment ends here. */
  flush(micros: number): void {
    for (const [code, held] of this.#held) this.#line(code, micros, held)
    this.#held.clear()
  }

  /** The waiting bytes: a view, valid until the next call that adds. Seal it, then `clear()`. */
  view(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  clear(): void {
    this.#length = 0
  }

  #line(code: EventCode, micros: number, data: Uint8Array): void {
    const at = Math.max(this.#lastMicros, Math.floor(micros))
    this.#lastMicros = at
    const most = data.length * ESCAPE_GROWTH + LINE_FRAME
    if (this.#length + most <= this.#buffer.length) {
      this.#length = writeLine(this.#buffer, this.#length, at, code, data)
      return
    }
    // Room for what the line has, not for the most that it could have: a session keeps its buffer.
    const line = most <= scratch.length ? scratch : Buffer.allocUnsafe(most)
    this.#add(line.subarray(0, writeLine(line, 0, at, code, data)))
  }

  #append(text: string): void {
    this.#add(Buffer.from(text, 'utf8'))
  }

  #add(bytes: Uint8Array): void {
    this.#room(bytes.length)
    this.#buffer.set(bytes, this.#length)
    this.#length += bytes.length
  }

  /** Not from Node's pool: what lives as long as a session would keep a whole slab of it. */
  #room(more: number): void {
    if (this.#length + more <= this.#buffer.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#length + more))
    this.#buffer.copy(grown, 0, 0, this.#length)
    this.#buffer = grown
  }
}

/** What stands around a line's data, at most. */
const LINE_FRAME = 64
/** For lines of up to 8 KiB of raw bytes, of all encoders of a thread. */
const scratch = Buffer.allocUnsafe(8 * 1024 * ESCAPE_GROWTH + LINE_FRAME)

function writeLine(into: Buffer, from: number, micros: number, code: EventCode, data: Uint8Array): number {
  let end = from + into.write(`[${formatTime(micros)}, "${code}", "`, from, 'latin1')
  end = escapeJson(data, into, end)
  into[end] = 0x22
  into[end + 1] = 0x5d
  into[end + 2] = 0x0a
  return end + 3
}
