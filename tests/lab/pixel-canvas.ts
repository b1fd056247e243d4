import type { Canvas, Cursor, Rect } from '../../gateway/desktop/canvas.ts'

/** A plain canvas: what a source painted, as one array of RGBA bytes. */
export class PixelCanvas implements Canvas {
  width = 0
  height = 0
  pixels = new Uint8Array(0)
  shape: Cursor | null = null
  flushes = 0
  sizes: string[] = []
  calls = { put: 0, fill: 0, copy: 0 }

  resize(width: number, height: number): void {
    const before = { width: this.width, height: this.height, pixels: this.pixels }
    this.width = width
    this.height = height
    this.sizes.push(`${width}x${height}`)
    this.pixels = new Uint8Array(width * height * 4)
    for (let n = 3; n < this.pixels.length; n += 4) this.pixels[n] = 255
    const columns = Math.min(width, before.width)
    for (let y = 0; y < Math.min(height, before.height); y++)
      this.pixels.set(
        before.pixels.subarray(y * before.width * 4, (y * before.width + columns) * 4),
        y * width * 4,
      )
  }

  put(rect: Rect, pixels: Uint8Array): void {
    this.calls.put++
    this.#inside(rect)
    if (pixels.length !== rect.width * rect.height * 4) throw new RangeError('pixels of another length')
    for (let row = 0; row < rect.height; row++)
      this.pixels.set(
        pixels.subarray(row * rect.width * 4, (row + 1) * rect.width * 4),
        ((rect.y + row) * this.width + rect.x) * 4,
      )
  }

  fill(rect: Rect, colour: number): void {
    this.calls.fill++
    this.#inside(rect)
    const view = new DataView(this.pixels.buffer)
    for (let y = rect.y; y < rect.y + rect.height; y++)
      for (let x = rect.x; x < rect.x + rect.width; x++)
        view.setUint32((y * this.width + x) * 4, colour, true)
  }

  copy(rect: Rect, fromX: number, fromY: number): void {
    this.calls.copy++
    this.#inside(rect)
    this.#inside({ ...rect, x: fromX, y: fromY })
    const before = this.pixels.slice()
    for (let row = 0; row < rect.height; row++) {
      const from = ((fromY + row) * this.width + fromX) * 4
      this.pixels.set(
        before.subarray(from, from + rect.width * 4),
        ((rect.y + row) * this.width + rect.x) * 4,
      )
    }
  }

  cursor(cursor: Cursor): void {
    this.shape = { ...cursor, pixels: cursor.pixels.slice() }
  }

  flush(): void {
    this.flushes++
  }

  /** Red, green, blue of a place. */
  at(x: number, y: number): number[] {
    return [...this.pixels.subarray((y * this.width + x) * 4, (y * this.width + x) * 4 + 3)]
  }

  #inside({ x, y, width, height }: Rect): void {
    if (x < 0 || y < 0 || width < 1 || height < 1 || x + width > this.width || y + height > this.height)
      throw new RangeError('outside the screen')
  }
}

/** The first difference between two pictures of one size, or null; `within`: how far components may be apart. */
export function difference(canvas: PixelCanvas, picture: Uint8Array, within = 0): string | null {
  if (canvas.pixels.length !== picture.length)
    return `${canvas.pixels.length} bytes against ${picture.length}`
  for (let n = 0; n < picture.length; n++) {
    if (Math.abs((canvas.pixels[n] ?? 0) - (picture[n] ?? 0)) <= within) continue
    const pixel = n >> 2
    const x = pixel % canvas.width
    const y = Math.floor(pixel / canvas.width)
    return `at ${x},${y}: ${canvas.at(x, y)} against ${[...picture.subarray(pixel * 4, pixel * 4 + 3)]}`
  }
  return null
}
