import type { Canvas, Rect } from '../canvas.ts'
import { isDesktopSize, MAX_CURSOR_SIDE } from '../limits.ts'
import { FROM_CHILD, MAX_PIXEL_BYTES } from './frames.ts'

/** The child sent something that no honest one sends. The text is ours. */
export class ChildNonsense extends Error {}

/**
 * Carries out a child's paint messages. The child may have been taken over by what it decodes, so nothing is believed:
 * every rectangle lies inside the screen, every payload has exactly the length that its numbers ask for.
 */
export class PaintCheck {
  readonly #canvas: Canvas
  #width = 0
  #height = 0

  constructor(canvas: Canvas) {
    this.#canvas = canvas
  }

  get size(): { width: number; height: number } {
    return { width: this.#width, height: this.#height }
  }

  /** False when `type` is no paint message. Throws ChildNonsense. */
  apply(type: number, payload: Uint8Array): boolean {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
    const u16 = (index: number) => view.getUint16(index * 2, true)
    switch (type) {
      case FROM_CHILD.size: {
        exactly(payload, 4)
        if (!isDesktopSize(u16(0), u16(1))) throw new ChildNonsense('a screen of an impossible size')
        this.#width = u16(0)
        this.#height = u16(1)
        this.#canvas.resize(this.#width, this.#height)
        return true
      }
      case FROM_CHILD.put: {
        atLeast(payload, 8)
        const rect = this.#rect(u16)
        const bytes = rect.width * rect.height * 4
        if (rect.height > 1 && bytes > MAX_PIXEL_BYTES) throw new ChildNonsense('too many pixels at once')
        exactly(payload, 8 + bytes)
        this.#canvas.put(rect, payload.subarray(8))
        return true
      }
      case FROM_CHILD.fill: {
        exactly(payload, 12)
        this.#canvas.fill(this.#rect(u16), (view.getUint32(8, true) | 0xff000000) >>> 0)
        return true
      }
      case FROM_CHILD.copy: {
        exactly(payload, 12)
        const rect = this.#rect(u16)
        this.#inside({ ...rect, x: u16(4), y: u16(5) })
        this.#canvas.copy(rect, u16(4), u16(5))
        return true
      }
      case FROM_CHILD.cursor: {
        atLeast(payload, 8)
        const cursor = {
          width: u16(0),
          height: u16(1),
          hotX: u16(2),
          hotY: u16(3),
          pixels: payload.subarray(8),
        }
        if (cursor.width > MAX_CURSOR_SIDE || cursor.height > MAX_CURSOR_SIDE)
          throw new ChildNonsense('too large a cursor')
        if (cursor.width > 0 && (cursor.hotX >= cursor.width || cursor.hotY >= cursor.height))
          throw new ChildNonsense('a cursor that points outside of itself')
        exactly(payload, 8 + cursor.width * cursor.height * 4)
        this.#canvas.cursor(cursor)
        return true
      }
      case FROM_CHILD.flush:
        exactly(payload, 0)
        this.#canvas.flush()
        return true
      default:
        return false
    }
  }

  #rect(u16: (index: number) => number): Rect {
    const rect = { x: u16(0), y: u16(1), width: u16(2), height: u16(3) }
    this.#inside(rect)
    return rect
  }

  #inside({ x, y, width, height }: Rect): void {
    if (width < 1 || height < 1 || x + width > this.#width || y + height > this.#height)
      throw new ChildNonsense('a rectangle outside the screen')
  }
}

export function exactly(payload: Uint8Array, length: number): void {
  if (payload.length !== length) throw new ChildNonsense('a message of the wrong length')
}

function atLeast(payload: Uint8Array, length: number): void {
  if (payload.length < length) throw new ChildNonsense('a message that is too short')
}
