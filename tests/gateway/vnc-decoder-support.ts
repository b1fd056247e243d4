import { Violation } from '../../gateway/desktop/violation.ts'
import { ByteSource, EndOfInput } from '../../gateway/desktop/vnc/decode/byte-source.ts'
import type { JpegDecoder } from '../../gateway/desktop/vnc/decode/jpeg.ts'
import { ServerMessages, type VncPainter } from '../../gateway/desktop/vnc/decode/server-messages.ts'
import { PixelCanvas } from '../lab/pixel-canvas.ts'

export interface Decoded {
  canvas: PixelCanvas
  clipboard: string[]
  bells: number
  facts: string[]
  /** null when the stream just ended. */
  violation: string | null
}

/** Decodes what a server says, in this process; any error but the two that a decoder may end with is thrown. */
export function decode(chunks: Iterable<Uint8Array>, jpeg: JpegDecoder, native = false): Decoded {
  const canvas = new PixelCanvas()
  const decoded: Decoded = { canvas, clipboard: [], bells: 0, facts: [], violation: null }
  const painter: VncPainter = {
    size: (width, height) => canvas.resize(width, height),
    put: (rect, pixels) => canvas.put(rect, pixels),
    fill: (rect, colour) => canvas.fill(rect, colour),
    copy: (rect, x, y) => canvas.copy(rect, x, y),
    cursor: (cursor) => canvas.cursor(cursor),
    flush: () => canvas.flush(),
    bell: () => {
      decoded.bells++
    },
    clipboard: (text) => decoded.clipboard.push(text),
    opened: () => decoded.facts.push('opened'),
    resizable: (screen, flags) => decoded.facts.push(`resizable ${screen} ${flags}`),
    scancodes: () => decoded.facts.push('scancodes'),
  }
  const iterator = chunks[Symbol.iterator]()
  const source = new ByteSource(() => {
    const { value, done } = iterator.next()
    return done ? null : (value as Uint8Array)
  })
  try {
    new ServerMessages(source, painter, native, jpeg).run()
  } catch (error) {
    if (error instanceof Violation) decoded.violation = error.message
    else if (!(error instanceof EndOfInput)) throw error
  }
  return decoded
}
