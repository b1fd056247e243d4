import { asciicastHeader, codesOf } from '../format/asciicast.ts'
import { complaint } from '../format/fields.ts'
import { FLAG } from '../format/frame.ts'
import type { SegmentHeader } from '../format/header.ts'
import { parseJson } from '../format/json.ts'
import { type Fault, fault } from '../format/result.ts'
import type { ReadFrame } from '../format/segment-reader.ts'
import type { ContentChecker } from './content.ts'

const EVENT = /^\[((?:0|[1-9][0-9]{0,9})\.[0-9]{6}), "([a-z])", (".*")\]$/
const SIZE = /^[1-9][0-9]{0,4}x[1-9][0-9]{0,4}$/

/** Checks that a segment's opened chunks are one asciicast v2 file of that segment; one chunk in memory at a time. */
export class TerminalContent implements ContentChecker {
  readonly #header: SegmentHeader
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  #lines = 0
  /** The last event's time as digits without the point: microseconds. */
  #micros = 0

  constructor(header: SegmentHeader) {
    this.#header = header
  }

  check(frame: ReadFrame, plain: Buffer): Fault | null {
    if (plain.length === 0) return null
    if (plain.at(-1) !== 10) return fault('content-line', 'a chunk does not end with a line')
    let text: string
    try {
      text = this.#decoder.decode(plain)
    } catch {
      return fault('content-line', 'a chunk is not UTF-8')
    }
    const lines = text.slice(0, -1).split('\n')
    for (const line of lines) {
      const problem = this.#lines === 0 ? this.#first(line) : this.#event(line, frame)
      if (problem) return problem
      this.#lines += 1
    }
    if (this.#header.stream === 'input' && (frame.flags & FLAG.keyframe) !== 0 && this.#lines > 1) {
      return fault('content-keyframe', "the input stream's first chunk holds more than the header line")
    }
    return null
  }

  #first(line: string): Fault | null {
    let value: unknown
    try {
      value = parseJson(line)
    } catch {
      value = undefined
    }
    const parsed = asciicastHeader.safeParse(value)
    if (!parsed.success) return fault('content-header', `asciicast header, ${complaint(parsed.error)}`)
    const own = parsed.data.sallyport
    const { recording, stream, segment } = this.#header
    return own.recording === recording && own.stream === stream && own.segment === segment
      ? null
      : fault('content-foreign', 'the content belongs to another recording or segment')
  }

  #event(line: string, frame: ReadFrame): Fault | null {
    const match = EVENT.exec(line)
    const data = match ? jsonString(match[3] as string) : null
    if (!match || data === null) return fault('content-line', 'a line is no asciicast event')
    const [, time, code] = match as unknown as [string, string, 'o' | 'r' | 'm' | 'i']
    if (!codesOf(this.#header.stream).includes(code)) {
      return fault('content-code', `an event "${code}" stands in the ${this.#header.stream} stream`)
    }
    if (this.#header.stream === 'screen' && (frame.flags & FLAG.keyframe) !== 0 && code !== 'o') {
      return fault('content-keyframe', `an event "${code}" stands in a keyframe`)
    }
    if (code === 'r' && !SIZE.test(data)) return fault('content-line', 'a resize has no size')
    const micros = Number(time.replace('.', ''))
    const millis = Math.floor(micros / 1000)
    if (micros < this.#micros || millis < frame.t0Ms || millis > frame.t1Ms) {
      return fault('content-time', `an event at ${time} s stands outside its chunk, or goes back in time`)
    }
    this.#micros = micros
    return null
  }
}

function jsonString(text: string): string | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'string' ? value : null
  } catch {
    return null
  }
}
