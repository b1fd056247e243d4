import type { Painter } from '../../child/paint-writer.ts'
import { isDesktopSize } from '../../limits.ts'
import { Violation } from '../../violation.ts'

interface Picture {
  data: Uint8ClampedArray
  width: number
  height: number
}

/** What IronRDP makes of a piece of its picture. `data` is a view of its memory, good for the call alone. */
export class ImageData implements Picture {
  readonly data: Uint8ClampedArray
  readonly width: number
  readonly height: number

  constructor(data: Uint8ClampedArray, width: number, height = data.length / 4 / width) {
    this.data = data
    this.width = width
    this.height = height
  }
}

/** The one way in which IronRDP draws. */
export class CanvasRenderingContext2D {
  readonly #draw: (picture: Picture, x: number, y: number, from: Piece) => void

  constructor(draw: (picture: Picture, x: number, y: number, from: Piece) => void) {
    this.#draw = draw
  }

  putImageData(
    picture: Picture,
    x: number,
    y: number,
    fromX = 0,
    fromY = 0,
    width = picture.width,
    height = picture.height,
  ): void {
    this.#draw(picture, x + fromX, y + fromY, { x: fromX, y: fromY, width, height })
  }
}

interface Piece {
  x: number
  y: number
  width: number
  height: number
}

/** The canvas that IronRDP draws on: what it draws goes to the session. */
export class DrawnCanvas {
  readonly #painter: Painter
  readonly #context = new CanvasRenderingContext2D((...words) => this.#put(...words))
  #width: number
  #height: number
  #announced = ''
  #isOver = false
  /** Something was drawn since the last look. */
  isDirty = false

  constructor(painter: Painter, width: number, height: number) {
    this.#painter = painter
    this.#width = width
    this.#height = height
  }

  get width(): number {
    return this.#width
  }

  set width(value: number) {
    this.#size(value, this.#height)
  }

  get height(): number {
    return this.#height
  }

  set height(value: number) {
    this.#size(this.#width, value)
  }

  getContext(kind: string): CanvasRenderingContext2D | null {
    return kind === '2d' ? this.#context : null
  }

  /** Both sides are said one after the other, so the size in between is one that nobody wants. */
  announce(): void {
    if (this.#isOver) return
    if (!isDesktopSize(this.#width, this.#height)) throw new Violation('an impossible desktop size')
    const size = `${this.#width}x${this.#height}`
    if (size === this.#announced) return
    this.#announced = size
    this.#painter.size(this.#width, this.#height)
  }

  /** Of a connection that is over: what is still drawn there is of another size than the screen has now. */
  close(): void {
    this.#isOver = true
  }

  #size(width: number, height: number): void {
    if (width === this.#width && height === this.#height) return
    this.#width = width
    this.#height = height
    queueMicrotask(() => this.announce())
  }

  #put(picture: Picture, x: number, y: number, from: Piece): void {
    const width = Math.min(from.width, picture.width - from.x, this.#width - x)
    const height = Math.min(from.height, picture.height - from.y, this.#height - y)
    if (this.#isOver || width <= 0 || height <= 0 || x < 0 || y < 0) return
    const pixels = new Uint8Array(width * height * 4)
    for (let row = 0; row < height; row++) {
      const at = ((from.y + row) * picture.width + from.x) * 4
      pixels.set(picture.data.subarray(at, at + width * 4), row * width * 4)
    }
    const words = new Uint32Array(pixels.buffer)
    for (let n = 0; n < words.length; n++) words[n] = (words[n] ?? 0) | 0xff000000
    this.#painter.put({ x, y, width, height }, pixels)
    this.isDirty = true
  }
}
