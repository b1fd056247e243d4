import type { Canvas, Cursor, Rect } from '../canvas.ts'
import { isDesktopSize, MAX_CURSOR_SIDE } from '../limits.ts'
import type { Copy } from './behind.ts'
import { Consumer, type ConsumerHandlers } from './consumer.ts'
import { Grid, TILE, TILE_PIXELS } from './grid.ts'
import { moveTiles } from './move-tiles.ts'

/** Copies of one `flush` that consumers are told of, at most; what is smaller than a tile is painted as quickly. */
const MAX_COPIES = 16
/** The fourth byte of a pixel, so that pixels compare as whole numbers. */
const OPAQUE = 0xff000000
/** How a tile was touched, beside 0 and 1: a copy was made in what is shown. */
const COPIED = 2

/**
 * The picture of one desktop session, between the source that paints it and everybody who looks. Sources paint into
 * one store; `flush` compares what was touched with the other, tile by tile, and copies what differs. Consumers see
 * only the second store, so they never see half of an update, and a tile painted with what already stood there costs
 * nobody anything.
 *
 * Each tile has a version, a number that is never used again for other pixels. What a source copies within the picture
 * (a text that scrolls) is done the same way in the second store before the two are compared, so consumers get the copy and
 * what changed beside it. What is kept for one is bounded, however slow it is and whatever is painted (Behind).
 *
 * The stores are this thread's own memory. Encoding threads get copies (TileEncoder says why).
 */
export class Screen implements Canvas {
  /** As painted: row by row. */
  #painted: Int32Array
  #paintedGrid: Grid
  #touched: Uint8Array
  /** Since the last `flush`, in order, and how many pixels may still be among them. */
  #copies: Copy[] = []
  #copyPixels: number
  #isResized = false
  #nextCursor: Cursor | null = null
  /** As shown: tile by tile, TILE_PIXELS each, rows as wide as the tile. */
  #shown: Int32Array
  #grid: Grid
  #versions: Float64Array
  #lastVersion = 0
  #cursor: Cursor | null = null
  #cursorVersion = 0
  #sizeVersion = 1
  readonly #consumers = new Set<Consumer>()

  /** Black. Throws RangeError for a size that no screen may have. */
  constructor(width: number, height: number) {
    this.#paintedGrid = gridFor(width, height)
    this.#grid = this.#paintedGrid
    this.#painted = new Int32Array(width * height).fill(OPAQUE)
    this.#copyPixels = width * height
    this.#touched = new Uint8Array(this.#grid.count)
    this.#shown = new Int32Array(this.#grid.count * TILE_PIXELS).fill(OPAQUE)
    this.#versions = this.#freshVersions()
  }

  /** What consumers see: its size and how it is cut. A new object after each change of size. */
  get grid(): Grid {
    return this.#grid
  }

  get sizeVersion(): number {
    return this.#sizeVersion
  }

  /** Null until the source has given one. */
  get pointer(): Cursor | null {
    return this.#cursor
  }

  get pointerVersion(): number {
    return this.#cursorVersion
  }

  /** Of each tile, by its number. */
  get versions(): Readonly<Float64Array> {
    return this.#versions
  }

  /** The shown pixels of a tile, rows as wide as the tile; a view that the next `flush` may change. */
  pixels(tile: number): Int32Array {
    const { width, height } = this.#grid.rect(tile)
    const at = tile * TILE_PIXELS
    return this.#shown.subarray(at, at + width * height)
  }

  consumer(handlers: ConsumerHandlers): Consumer {
    const consumer = new Consumer(this, handlers, () => this.#consumers.delete(consumer))
    this.#consumers.add(consumer)
    return consumer
  }

  resize(width: number, height: number): void {
    const old = this.#paintedGrid
    if (width === old.width && height === old.height) return
    const grid = gridFor(width, height)
    const painted = new Int32Array(width * height).fill(OPAQUE)
    const columns = Math.min(width, old.width)
    for (let y = 0; y < Math.min(height, old.height); y++)
      painted.set(this.#painted.subarray(y * old.width, y * old.width + columns), y * width)
    this.#painted = painted
    this.#paintedGrid = grid
    this.#touched = new Uint8Array(grid.count)
    this.#copies = []
    this.#copyPixels = 0
    this.#isResized = true
  }

  put(rect: Rect, pixels: Uint8Array): void {
    this.#check(rect)
    if (pixels.length !== rect.width * rect.height * 4)
      throw new RangeError(`${pixels.length} bytes are no ${rect.width}x${rect.height} pixels`)
    // Rows are copied as whole pixels where they lie on a whole address, which saves a second copy.
    const source =
      pixels.byteOffset % 4 === 0
        ? new Int32Array(pixels.buffer, pixels.byteOffset, rect.width * rect.height)
        : new Int32Array(pixels.slice().buffer)
    const stride = this.#paintedGrid.width
    for (let row = 0; row < rect.height; row++)
      this.#painted.set(
        source.subarray(row * rect.width, (row + 1) * rect.width),
        (rect.y + row) * stride + rect.x,
      )
    this.#touch(rect)
  }

  fill(rect: Rect, colour: number): void {
    this.#check(rect)
    const stride = this.#paintedGrid.width
    for (let row = rect.y; row < rect.y + rect.height; row++)
      this.#painted.fill(colour | OPAQUE, row * stride + rect.x, row * stride + rect.x + rect.width)
    this.#touch(rect)
  }

  copy(rect: Rect, fromX: number, fromY: number): void {
    this.#check(rect)
    this.#check({ ...rect, x: fromX, y: fromY })
    const stride = this.#paintedGrid.width
    // From below upwards when it moves down, so that no row is read after it was written.
    const isDown = rect.y > fromY
    for (let step = 0; step < rect.height; step++) {
      const row = isDown ? rect.height - 1 - step : step
      const from = (fromY + row) * stride + fromX
      this.#painted.copyWithin((rect.y + row) * stride + rect.x, from, from + rect.width)
    }
    if (rect.width * rect.height >= TILE_PIXELS) this.#noteCopy({ ...rect, fromX, fromY })
    this.#touch(rect)
  }

  cursor(cursor: Cursor): void {
    const { width, height, hotX, hotY, pixels } = cursor
    const fits = (value: number, below: number) => Number.isInteger(value) && value >= 0 && value < below
    if (!fits(width, MAX_CURSOR_SIDE + 1) || !fits(height, MAX_CURSOR_SIDE + 1))
      throw new RangeError(`a pointer of ${width}x${height} is too large`)
    if (pixels.length !== width * height * 4)
      throw new RangeError(`${pixels.length} bytes are no ${width}x${height} pointer`)
    const isHidden = width === 0 || height === 0
    if (!isHidden && !(fits(hotX, width) && fits(hotY, height)))
      throw new RangeError('the pointer points outside its picture')
    this.#nextCursor = isHidden
      ? { width: 0, height: 0, hotX: 0, hotY: 0, pixels: new Uint8Array(0) }
      : { width, height, hotX, hotY, pixels: pixels.slice() }
  }

  flush(): void {
    const isResized = this.#isResized
    if (isResized) this.#takeSize()
    const copies = this.#takeCopies()
    const areas: Rect[] = []
    for (let tile = 0; tile < this.#grid.count; tile++) {
      const touched = this.#touched[tile]
      if (touched === 0) continue
      this.#touched[tile] = 0
      const area = this.#takeTile(tile)
      if (area) areas.push(area)
      // What a copy brought is other pixels too.
      if (area || touched === COPIED) this.#versions[tile] = this.#newVersion()
    }
    const hasOtherPointer = this.#takePointer()
    if (!isResized && !hasOtherPointer && copies.length === 0 && areas.length === 0) return
    for (const consumer of this.#consumers) consumer.changed(isResized ? null : { copies, areas })
  }

  #takePointer(): boolean {
    const next = this.#nextCursor
    if (!next) return false
    const isOther = !this.#cursor || !isSamePicture(this.#cursor, next)
    if (isOther) this.#cursorVersion += 1
    this.#cursor = next
    this.#nextCursor = null
    return isOther
  }

  /**
   * A server needs a few bytes for a copy of the whole screen, and `flush` makes each of them at once: no more than the
   * pixels of one screen are copied. After one that is too much the later ones would move what is not there yet, so they
   * are painted as well.
   */
  #noteCopy(copy: Copy): void {
    const pixels = copy.width * copy.height
    if (pixels > this.#copyPixels || this.#copies.length === MAX_COPIES) {
      this.#copyPixels = 0
      return
    }
    this.#copyPixels -= pixels
    this.#copies.push(copy)
  }

  /** Makes the copies in what is shown. */
  #takeCopies(): Copy[] {
    const copies = this.#copies
    this.#copies = []
    this.#copyPixels = this.#grid.width * this.#grid.height
    for (const copy of copies) {
      moveTiles(this.#shown, this.#grid, copy)
      this.#touch(copy, COPIED)
    }
    return copies
  }

  #takeSize(): void {
    this.#isResized = false
    this.#grid = this.#paintedGrid
    this.#sizeVersion += 1
    this.#shown = new Int32Array(this.#grid.count * TILE_PIXELS).fill(OPAQUE)
    this.#versions = this.#freshVersions()
    this.#touched.fill(1)
  }

  /** Copies a tile from the painted store. The smallest rectangle of the screen that holds what differed, or null. */
  #takeTile(tile: number): Rect | null {
    const { x, y, width, height } = this.#grid.rect(tile)
    const stride = this.#grid.width
    const painted = this.#painted
    const shown = this.#shown
    let [left, top, right, bottom] = [width, height, 0, 0]
    let at = tile * TILE_PIXELS
    for (let row = 0; row < height; row++) {
      const from = (y + row) * stride + x
      let first = 0
      while (first < width && painted[from + first] === shown[at + first]) first++
      if (first < width) {
        let last = width - 1
        while (painted[from + last] === shown[at + last]) last--
        shown.set(painted.subarray(from + first, from + last + 1), at + first)
        left = Math.min(left, first)
        right = Math.max(right, last + 1)
        top = Math.min(top, row)
        bottom = row + 1
      }
      at += width
    }
    return bottom === 0 ? null : { x: x + left, y: y + top, width: right - left, height: bottom - top }
  }

  #touch({ x, y, width, height }: Rect, how = 1): void {
    if (width === 0 || height === 0) return
    const { columns } = this.#paintedGrid
    const right = Math.floor((x + width - 1) / TILE)
    const bottom = Math.floor((y + height - 1) / TILE)
    for (let row = Math.floor(y / TILE); row <= bottom; row++)
      this.#touched.fill(how, row * columns + Math.floor(x / TILE), row * columns + right + 1)
  }

  #check({ x, y, width, height }: Rect): void {
    const grid = this.#paintedGrid
    const isWhole = [x, y, width, height].every((value) => Number.isInteger(value) && value >= 0)
    if (!isWhole || x + width > grid.width || y + height > grid.height)
      throw new RangeError(`${width}x${height} at ${x},${y} is outside ${grid.width}x${grid.height}`)
  }

  #newVersion(): number {
    this.#lastVersion += 1
    return this.#lastVersion
  }

  #freshVersions(): Float64Array {
    return Float64Array.from({ length: this.#grid.count }, () => this.#newVersion())
  }
}

function gridFor(width: number, height: number): Grid {
  if (!isDesktopSize(width, height)) throw new RangeError(`no screen is ${width}x${height}`)
  return new Grid(width, height)
}

function isSamePicture(one: Cursor, other: Cursor): boolean {
  return (
    one.width === other.width &&
    one.height === other.height &&
    one.hotX === other.hotX &&
    one.hotY === other.hotY &&
    Buffer.compare(one.pixels, other.pixels) === 0
  )
}
