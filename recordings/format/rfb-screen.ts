import { type Fault, fault, good, type Result } from './result.ts'
import {
  ENCODING,
  isScreenSize,
  type Rectangle,
  readMarker,
  readServerInit,
  readUpdate,
  SERVER,
} from './rfb-message.ts'

/**
 * The screen stream of one segment, message by message: ServerInit, the cursor, the whole frame, then what changed.
 * It follows the screen's size and what of it has been painted; pixels are not looked at. The recorder asks it before it
 * writes, a verifier when it reads.
 */
export class ScreenMessages {
  #width = 0
  #height = 0
  /** A byte for each pixel that the keyframe has painted; null when it is complete. */
  #painted: Uint8Array | null = null
  #expected: 'init' | 'cursor' | 'picture' = 'init'

  get width(): number {
    return this.#width
  }

  get height(): number {
    return this.#height
  }

  /**
   * A message of the keyframe; the rectangles of an update. Codes as rfb-message.ts has them, and content-keyframe for
   * what is out of its order.
   */
  keyframe(message: Buffer): Result<Rectangle[]> {
    if (this.#expected === 'init') return this.#init(message)
    if (message[0] !== SERVER.update)
      return fault('content-keyframe', `message ${message[0]} stands in a keyframe`)
    const update = readUpdate(message)
    if (!update.ok) return update
    if (this.#expected === 'cursor') {
      if (update.value.length !== 1 || update.value[0]?.encoding !== ENCODING.cursor)
        return fault('content-keyframe', 'the pointer does not follow ServerInit')
      this.#expected = 'picture'
      return update
    }
    for (const rectangle of update.value) {
      const problem = this.#inside(rectangle)
      if (problem) return problem
      if (!rectangle.paint)
        return fault('content-keyframe', `encoding ${rectangle.encoding} stands in a keyframe`)
      this.#paint(rectangle)
    }
    return update
  }

  /** Null when the keyframe restores the whole screen: only then may something follow it. */
  incomplete(): Fault | null {
    if (this.#expected !== 'picture') return fault('content-keyframe', 'a keyframe has no picture')
    if (this.#painted?.includes(0))
      return fault('content-keyframe', 'a keyframe leaves a part of the screen out')
    this.#painted = null
    return null
  }

  /** What changed after the keyframe; no rectangles for a bell or a marker. */
  change(message: Buffer): Result<Rectangle[]> {
    if (message[0] === SERVER.bell)
      return message.length === 1 ? good([]) : fault('content-message', 'something follows a bell')
    if (message[0] === SERVER.marker) {
      const marker = readMarker(message)
      return marker.ok ? good([]) : marker
    }
    if (message[0] !== SERVER.update)
      return fault('content-code', `message ${message[0]} of a server stands in the screen stream`)
    const update = readUpdate(message)
    if (!update.ok) return update
    for (const rectangle of update.value) {
      const problem =
        rectangle.encoding === ENCODING.desktopSize
          ? this.#resize(rectangle, update.value.length)
          : this.#inside(rectangle)
      if (problem) return problem
    }
    return update
  }

  #init(message: Buffer): Result<Rectangle[]> {
    const size = readServerInit(message)
    if (!size.ok) return size
    this.#width = size.value.width
    this.#height = size.value.height
    this.#painted = new Uint8Array(this.#width * this.#height)
    this.#expected = 'cursor'
    return good([])
  }

  #inside({ x, y, width, height, encoding, from }: Rectangle): Fault | null {
    if (encoding === ENCODING.cursor) return null
    const fits = (left: number, top: number) => left + width <= this.#width && top + height <= this.#height
    if (width === 0 || height === 0) return fault('content-rectangle', 'a rectangle is empty')
    return fits(x, y) && (!from || fits(from.x, from.y))
      ? null
      : fault('content-rectangle', 'a rectangle reaches over the edge of the screen')
  }

  #resize({ x, y, width, height }: Rectangle, count: number): Fault | null {
    if (count !== 1 || x !== 0 || y !== 0)
      return fault('content-message', 'a change of size does not stand alone in its update')
    if (!isScreenSize(width, height)) return fault('content-rectangle', `a screen of ${width} x ${height}`)
    this.#width = width
    this.#height = height
    return null
  }

  #paint({ x, y, width, height }: Rectangle): void {
    for (let row = y; row < y + height; row++) {
      const start = row * this.#width + x
      this.#painted?.fill(1, start, start + width)
    }
  }
}
