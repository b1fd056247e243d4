import { distanceTo, glyph, textWidth } from './font.ts'

/** 0xRRGGBB. */
export type Colour = number
type Point = readonly [x: number, y: number]

/** Draws smooth shapes into a picture of four bytes a pixel: red, green, blue, and one that is nothing. */
export class Painter {
  readonly width: number
  readonly height: number
  readonly pixels: Uint8Array

  constructor(width: number, height: number) {
    this.width = width
    this.height = height
    this.pixels = new Uint8Array(width * height * 4)
  }

  rect(x: number, y: number, width: number, height: number, colour: Colour): void {
    for (let row = Math.max(0, y); row < Math.min(this.height, y + height); row++)
      for (let column = Math.max(0, x); column < Math.min(this.width, x + width); column++)
        this.#blend(column, row, colour, 1)
  }

  /** A panel with round corners; with `border`, its edge in that colour. */
  panel(
    x: number,
    y: number,
    width: number,
    height: number,
    round: number,
    colour: Colour,
    border?: Colour,
  ): void {
    if (border !== undefined) {
      this.panel(x, y, width, height, round, border)
      this.panel(x + 1, y + 1, width - 2, height - 2, Math.max(0, round - 1), colour)
      return
    }
    this.shade(x, y, width, height, colour, insideOf(x, y, width, height, round))
  }

  line(ax: number, ay: number, bx: number, by: number, width: number, colour: Colour): void {
    const reach = width / 2 + 1
    const x = Math.min(ax, bx) - reach
    const y = Math.min(ay, by) - reach
    this.shade(
      x,
      y,
      Math.abs(ax - bx) + 2 * reach,
      Math.abs(ay - by) + 2 * reach,
      colour,
      (px, py) => width / 2 + 0.5 - distanceTo(px, py, ax, ay, bx, by),
    )
  }

  disc(x: number, y: number, radius: number, colour: Colour): void {
    this.shade(
      x - radius - 1,
      y - radius - 1,
      2 * radius + 2,
      2 * radius + 2,
      colour,
      (px, py) => radius + 0.5 - Math.hypot(px - x, py - y),
    )
  }

  /** Any simple shape of straight edges. */
  polygon(points: readonly Point[], colour: Colour): void {
    const xs = points.map(([x]) => x)
    const ys = points.map(([, y]) => y)
    const left = Math.min(...xs)
    const top = Math.min(...ys)
    this.shade(left - 1, top - 1, Math.max(...xs) - left + 2, Math.max(...ys) - top + 2, colour, (x, y) => {
      const edge = Math.min(
        ...points.map(([ax, ay], n) => {
          const [bx, by] = points[(n + 1) % points.length] as Point
          return distanceTo(x, y, ax, ay, bx, by)
        }),
      )
      return isInside(points, x, y) ? 0.5 + edge : 0.5 - edge
    })
  }

  /** `y` is the top of the capitals; `size` their height. `align` says what `x` is of the text. */
  text(
    text: string,
    x: number,
    y: number,
    size: number,
    colour: Colour,
    how: { bold?: boolean; align?: 'left' | 'middle' | 'right' } = {},
  ): void {
    const stroke = Math.max(1.25, size * (how.bold ? 0.17 : 0.115))
    const width = textWidth(text, size)
    let at = x - (how.align === 'right' ? width : how.align === 'middle' ? width / 2 : 0)
    for (const character of text) {
      const mask = glyph(character, size, stroke)
      const left = Math.round(at) - mask.left
      const top = Math.round(y) - mask.top
      for (let row = 0; row < mask.height; row++)
        for (let column = 0; column < mask.width; column++) {
          const coverage = mask.coverage[row * mask.width + column] ?? 0
          if (coverage > 0) this.#blend(left + column, top + row, colour, coverage)
        }
      at += mask.advance
    }
  }

  /** Colours a place as far as `coverage` (0 to 1, asked at the middle of each pixel) says. */
  shade(
    x: number,
    y: number,
    width: number,
    height: number,
    colour: Colour,
    coverage: (x: number, y: number) => number,
  ): void {
    const right = Math.min(this.width, Math.ceil(x + width))
    const bottom = Math.min(this.height, Math.ceil(y + height))
    for (let row = Math.max(0, Math.floor(y)); row < bottom; row++)
      for (let column = Math.max(0, Math.floor(x)); column < right; column++) {
        const part = coverage(column + 0.5, row + 0.5)
        if (part > 0) this.#blend(column, row, colour, Math.min(1, part))
      }
  }

  #blend(x: number, y: number, colour: Colour, part: number): void {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return
    const at = (y * this.width + x) * 4
    const { pixels } = this
    const red = pixels[at] as number
    const green = pixels[at + 1] as number
    const blue = pixels[at + 2] as number
    pixels[at] = red + ((colour >> 16) - red) * part + 0.5
    pixels[at + 1] = green + (((colour >> 8) & 255) - green) * part + 0.5
    pixels[at + 2] = blue + ((colour & 255) - blue) * part + 0.5
  }
}

/** How much of a pixel lies inside of a rectangle with round corners. */
export function insideOf(x: number, y: number, width: number, height: number, round: number) {
  const middleX = x + width / 2
  const middleY = y + height / 2
  return (px: number, py: number): number => {
    const dx = Math.abs(px - middleX) - (width / 2 - round)
    const dy = Math.abs(py - middleY) - (height / 2 - round)
    return 0.5 + round - Math.hypot(Math.max(dx, 0), Math.max(dy, 0)) - Math.min(0, Math.max(dx, dy))
  }
}

function isInside(points: readonly Point[], x: number, y: number): boolean {
  let inside = false
  for (let n = 0; n < points.length; n++) {
    const [ax, ay] = points[n] as Point
    const [bx, by] = points[(n + 1) % points.length] as Point
    if (ay > y !== by > y && x < ax + ((y - ay) * (bx - ax)) / (by - ay)) inside = !inside
  }
  return inside
}
