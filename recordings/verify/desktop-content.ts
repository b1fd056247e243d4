import { complaint } from '../format/fields.ts'
import { FLAG } from '../format/frame.ts'
import type { SegmentHeader } from '../format/header.ts'
import { parseJson } from '../format/json.ts'
import { type Fault, fault } from '../format/result.ts'
import { checkClientMessage } from '../format/rfb-message.ts'
import { desktopFacts, fitsFacts, readRecords } from '../format/rfb-record.ts'
import { ScreenMessages } from '../format/rfb-screen.ts'
import type { ReadFrame } from '../format/segment-reader.ts'
import type { ContentChecker } from './content.ts'
import { checkPixels } from './rfb-pixels.ts'

/** Checks that a segment's opened chunks are rfb-v1 of that segment; one chunk in memory at a time. */
export class DesktopContent implements ContentChecker {
  readonly #header: SegmentHeader
  readonly #screen = new ScreenMessages()
  #records = 0
  #micros = 0
  /** Whether what follows the keyframe has begun. */
  #isRestored = false

  constructor(header: SegmentHeader) {
    this.#header = header
  }

  check(frame: ReadFrame, plain: Buffer): Fault | null {
    const records = readRecords(plain)
    if (!records.ok) return records
    const isKeyframe = (frame.flags & FLAG.keyframe) !== 0
    if (records.value.length > 0 && !isKeyframe) {
      const problem = this.#restored()
      if (problem) return problem
    }
    for (const { micros, message } of records.value) {
      const problem = this.#time(micros, frame) ?? this.#message(message, isKeyframe)
      if (problem) return problem
      this.#records += 1
    }
    return this.#records > 0 && (frame.flags & FLAG.final) !== 0 ? this.#restored() : null
  }

  #time(micros: number, frame: ReadFrame): Fault | null {
    const millis = Math.floor(micros / 1000)
    if (micros < this.#micros || millis < frame.t0Ms || millis > frame.t1Ms)
      return fault('content-time', 'a record stands outside its chunk, or goes back in time')
    this.#micros = micros
    return null
  }

  #message(message: Buffer, isKeyframe: boolean): Fault | null {
    if (this.#records === 0) return this.#facts(message)
    if (this.#header.stream === 'input') {
      if (isKeyframe)
        return fault('content-keyframe', "the input stream's first chunk holds more than the facts")
      const checked = checkClientMessage(message)
      return checked.ok ? null : checked
    }
    const rectangles = isKeyframe ? this.#screen.keyframe(message) : this.#screen.change(message)
    if (!rectangles.ok) return rectangles
    for (const rectangle of rectangles.value) {
      const problem = checkPixels(rectangle)
      if (problem) return problem
    }
    return null
  }

  #facts(message: Buffer): Fault | null {
    let value: unknown
    try {
      const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(message)
      value = fitsFacts(message) ? parseJson(text) : undefined
    } catch {
      value = undefined
    }
    const parsed = desktopFacts.safeParse(value)
    if (!parsed.success) return fault('content-header', `facts of the segment, ${complaint(parsed.error)}`)
    const { recording, stream, segment } = this.#header
    const own = parsed.data
    return own.recording === recording && own.stream === stream && own.segment === segment
      ? null
      : fault('content-foreign', 'the content belongs to another recording or segment')
  }

  /** A crash may cut a keyframe; but nothing may follow one that does not restore the screen. */
  #restored(): Fault | null {
    if (this.#isRestored) return null
    this.#isRestored = true
    if (this.#header.stream === 'screen') return this.#screen.incomplete()
    return this.#records === 0 ? fault('content-keyframe', 'the facts do not stand first') : null
  }
}
