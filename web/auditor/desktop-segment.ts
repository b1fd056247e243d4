/**
 * A desktop's segment: records `u64 t_us | u32 len | message` (docs/evidence-format.md, section 19). The first message is
 * facts, the second ServerInit; those of the first moment restore the screen.
 */
export interface DesktopEvent {
  timeMs: number
  message: Uint8Array<ArrayBuffer>
}

export interface DesktopSegment {
  init: Uint8Array<ArrayBuffer>
  keyframe: readonly Uint8Array<ArrayBuffer>[]
  events: readonly DesktopEvent[]
}

const HEAD = 12
const UPDATE = 0
export const CURSOR = -239

/** Reads a segment; a record that cannot be read ends it (the rest is not guessed at). */
export function parseDesktop(bytes: ArrayBuffer): DesktopSegment {
  const view = new DataView(bytes)
  const records: DesktopEvent[] = []
  for (let at = 0; at + HEAD <= bytes.byteLength; ) {
    const length = view.getUint32(at + 8)
    if (length === 0 || at + HEAD + length > bytes.byteLength) break
    const timeMs = Number(view.getBigUint64(at)) / 1000
    records.push({ timeMs, message: new Uint8Array(bytes, at + HEAD, length) })
    at += HEAD + length
  }
  const [facts, init, ...rest] = records
  if (!facts || !init || init.message.length < 24) throw new Error('The segment holds no picture.')
  const updates = rest.filter(({ message }) => message[0] === UPDATE)
  for (const { message } of updates) swapPointerColours(message)
  return {
    init: init.message,
    keyframe: updates.filter(({ timeMs }) => timeMs === facts.timeMs).map(({ message }) => message),
    events: updates.filter(({ timeMs }) => timeMs > facts.timeMs),
  }
}

export interface WireRect {
  x: number
  y: number
  width: number
  height: number
  encoding: number
  /** With its header. */
  bytes: Uint8Array<ArrayBuffer>
}

/** The rectangles of an update. Throws RangeError where one is cut, which no verified segment has. */
export function rectsOf(message: Uint8Array<ArrayBuffer>): WireRect[] {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength)
  const rects: WireRect[] = []
  let at = 4
  for (let left = view.getUint16(2); left > 0; left--) {
    const [x, y] = [view.getUint16(at), view.getUint16(at + 2)]
    const [width, height] = [view.getUint16(at + 4), view.getUint16(at + 6)]
    const encoding = view.getInt32(at + 8)
    const end = at + 12 + bodyLength(view, at + 12, { width, height, encoding })
    rects.push({ x, y, width, height, encoding, bytes: message.subarray(at, end) })
    at = end
  }
  return rects
}

/**
 * noVNC 1.7 takes a pointer's colours as blue, green, red, whatever pixel format was agreed: so they are given to it in
 * that order.
 */
function swapPointerColours(message: Uint8Array<ArrayBuffer>): void {
  for (const { width, height, encoding, bytes } of rectsOf(message)) {
    if (encoding !== CURSOR) continue
    for (let pixel = 12; pixel < 12 + width * height * 4; pixel += 4) {
      const red = bytes[pixel] ?? 0
      bytes[pixel] = bytes[pixel + 2] ?? 0
      bytes[pixel + 2] = red
    }
  }
}

interface Shape {
  width: number
  height: number
  encoding: number
}

function bodyLength(view: DataView, at: number, { width, height, encoding }: Shape): number {
  if (encoding === CURSOR) return width * height * 4 + Math.ceil(width / 8) * height
  if (encoding === 1) return 4
  return encoding === 7 || encoding === -260 ? tightLength(view, at, width, height) : 0
}

/** Of Tight and TightPNG. */
function tightLength(view: DataView, at: number, width: number, height: number): number {
  const kind = view.getUint8(at) >> 4
  if (kind === 8) return 4
  if (kind > 8) return 1 + compactLength(view, at + 1)
  let head = 1
  let row = width * 3
  if ((kind & 4) !== 0) {
    head += 1
    if (view.getUint8(at + 1) === 1) {
      const colours = view.getUint8(at + 2) + 1
      head += 1 + colours * 3
      row = colours === 2 ? Math.ceil(width / 8) : width
    }
  }
  const size = row * height
  return head + (size < 12 ? size : compactLength(view, at + head))
}

/** The compact length's own bytes, and those that it announces. */
function compactLength(view: DataView, at: number): number {
  let length = 0
  for (let place = 0; place < 3; place++) {
    const byte = view.getUint8(at + place)
    length |= (place < 2 ? byte & 0x7f : byte) << (7 * place)
    if (place === 2 || (byte & 0x80) === 0) return place + 1 + length
  }
  return length
}
