import { CURSOR, rectsOf, type WireRect } from './desktop-segment.ts'

type Bytes = Uint8Array<ArrayBuffer>

const COPY_RECT = 1
const DESKTOP_SIZE = -223
const MAX_RECTS = 0xffff
/** Recorded rectangles lie in squares of this size. */
const SQUARE = 64

/**
 * Updates that lead to the same picture as these, without what is painted over before anybody sees it: five minutes of
 * changes are a thousand updates, and noVNC takes milliseconds for each. Read from the last one back, a rectangle is needed
 * only where no later one paints; where a copy is needed, so is what it copies. Of pointers the last one counts.
 */
export function squash(init: Bytes, messages: readonly Bytes[]): Bytes[] {
  const rects = messages.flatMap(rectsOf)
  const first = new DataView(init.buffer, init.byteOffset)
  const size = { width: first.getUint16(0), height: first.getUint16(2) }
  for (const { encoding, width, height } of rects) {
    if (encoding !== DESKTOP_SIZE) continue
    size.width = Math.max(size.width, width)
    size.height = Math.max(size.height, height)
  }
  const needed = new Needed(size.width, size.height)
  const kept: WireRect[] = []
  let hasPointer = false
  for (const rect of rects.reverse()) {
    if (rect.encoding === CURSOR) {
      if (!hasPointer) kept.push(rect)
      hasPointer = true
    } else if (rect.encoding === DESKTOP_SIZE) {
      kept.push(rect)
    } else if (needed.has(rect)) {
      kept.push(rect)
      needed.remove(rect)
      if (rect.encoding === COPY_RECT) {
        const { width, height } = rect
        const from = new DataView(rect.bytes.buffer, rect.bytes.byteOffset + 12)
        needed.add({ x: from.getUint16(0), y: from.getUint16(2), width, height })
      }
    }
  }
  return updatesOf(kept.reverse())
}

/** A size ends an update (RFB: it is the last rectangle). */
function updatesOf(rects: readonly WireRect[]): Bytes[] {
  const updates: Bytes[] = []
  let group: Bytes[] = []
  const end = () => {
    if (group.length === 0) return
    const update = new Uint8Array(4 + group.reduce((sum, { length }) => sum + length, 0))
    new DataView(update.buffer).setUint16(2, group.length)
    let at = 4
    for (const bytes of group) {
      update.set(bytes, at)
      at += bytes.length
    }
    updates.push(update)
    group = []
  }
  for (const { bytes, encoding } of rects) {
    group.push(bytes)
    if (encoding === DESKTOP_SIZE || group.length === MAX_RECTS) end()
  }
  end()
  return updates
}

interface Area {
  x: number
  y: number
  width: number
  height: number
}

/** The pixels that nothing later has painted, with their number in each square: most squares are soon done with. */
class Needed {
  readonly #width: number
  readonly #columns: number
  readonly #pixels: Uint8Array
  readonly #counts: Uint32Array

  constructor(width: number, height: number) {
    this.#width = width
    this.#columns = Math.ceil(width / SQUARE)
    this.#pixels = new Uint8Array(width * height)
    this.#counts = new Uint32Array(this.#columns * Math.ceil(height / SQUARE))
    this.add({ x: 0, y: 0, width, height })
  }

  has({ x, y, width, height }: Area): boolean {
    const right = Math.floor((x + width - 1) / SQUARE)
    const bottom = Math.floor((y + height - 1) / SQUARE)
    for (let row = Math.floor(y / SQUARE); row <= bottom; row++)
      for (let column = Math.floor(x / SQUARE); column <= right; column++) {
        if (this.#counts[row * this.#columns + column] === 0) continue
        const left = Math.max(x, column * SQUARE)
        const end = Math.min(x + width, (column + 1) * SQUARE)
        for (let line = Math.max(y, row * SQUARE); line < Math.min(y + height, (row + 1) * SQUARE); line++)
          if (this.#pixels.subarray(line * this.#width + left, line * this.#width + end).includes(1))
            return true
      }
    return false
  }

  add(area: Area): void {
    this.#set(area, 1)
  }

  remove(area: Area): void {
    this.#set(area, 0)
  }

  #set({ x, y, width, height }: Area, value: 0 | 1): void {
    for (let line = y; line < y + height; line++) {
      const squares = Math.floor(line / SQUARE) * this.#columns
      for (let column = x; column < x + width; column++) {
        const at = line * this.#width + column
        if (this.#pixels[at] === value) continue
        this.#pixels[at] = value
        const square = squares + Math.floor(column / SQUARE)
        this.#counts[square] = (this.#counts[square] ?? 0) + (value === 1 ? 1 : -1)
      }
    }
  }
}
