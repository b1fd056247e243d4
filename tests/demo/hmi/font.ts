/**
 * A stroke font for the panel, drawn here: no font file. A glyph is a width and strokes of points, two base-36 digits
 * each (x, y); capitals reach from 0 to 12 (`c`), small letters from 4, descenders to 16 (`g`). A stroke that begins
 * with `~` is a curve through the middles of its edges.
 */
const GLYPHS: Record<string, readonly [width: number, strokes: string]> = {
  ' ': [4, ''],
  '0': [8, '~40808c0c0040'],
  '1': [8, '23505c'],
  '2': [8, '~030080850c 0c8c'],
  '3': [8, '~0200808636 ~36868c0c0a'],
  '4': [8, '6c600989'],
  '5': [8, '701006 ~0624848c0c0a'],
  '6': [8, '~600008 ~0804848c0c08'],
  '7': [8, '00803c'],
  '8': [8, '~407076161040 ~46868c0c0646'],
  '9': [8, '~848808008084 ~848c2c'],
  A: [8, '0c408c 1878'],
  B: [8, '000c 0040 ~40707646 0646 ~46868c4c 0c4c'],
  C: [8, '~8380000c8c89'],
  D: [8, '000c 0030 0c3c ~30808c3c'],
  E: [7, '70000c7c 0656'],
  F: [7, '70000c 0656'],
  G: [8, '~8380000c8c87 8757'],
  H: [8, '000c 808c 0686'],
  I: [0, '000c'],
  J: [6, '6068 ~686c0c09'],
  K: [8, '000c 8007 348c'],
  L: [7, '000c7c'],
  M: [8, '0c0048808c'],
  N: [8, '0c008c80'],
  O: [8, '~40808c0c0040'],
  P: [8, '000c 0040 ~40808747 0747'],
  Q: [8, '~40808c0c0040 598d'],
  R: [8, '000c 0040 ~40808747 0747 478c'],
  S: [8, '~8280000646 ~46868c0c0a'],
  T: [8, '0080 404c'],
  U: [8, '0007 ~070c8c87 8780'],
  V: [8, '004c80'],
  W: [10, '003c537ca0'],
  X: [8, '008c 800c'],
  Y: [8, '004680 464c'],
  Z: [8, '00800c8c'],
  a: [7, '~7874040c7c78 747c'],
  b: [7, '000c ~0804747c0c08'],
  c: [7, '~7674040c7c7a'],
  d: [7, '~7874040c7c78 707c'],
  e: [7, '0878 ~7874040c6c7a'],
  f: [5, '~502024 242c 0454'],
  g: [7, '~7874040c7c78 747d ~7d7g1g'],
  h: [7, '000c ~08047478 787c'],
  i: [0, '040c 0101'],
  j: [3, '343d ~3d3g0g 3131'],
  k: [7, '000c 7409 377c'],
  l: [0, '000c'],
  m: [10, '040c ~08045458 585c ~5854a4a8 a8ac'],
  n: [7, '040c ~08047478 787c'],
  o: [7, '~0804747c0c08'],
  p: [7, '040g ~0804747c0c08'],
  q: [7, '~7874040c7c78 747g'],
  r: [4, '040c ~080444'],
  s: [6, '~6564040838 ~38686c0c0b'],
  t: [5, '1119 ~191c5c 0454'],
  u: [7, '0408 ~080c7c78 747c'],
  v: [6, '043c64'],
  w: [10, '043c547ca4'],
  x: [6, '046c 640c'],
  y: [6, '043c 641g'],
  z: [6, '04640c6c'],
  '.': [0, '0c0c'],
  ',': [1, '1b0e'],
  ':': [0, '0505 0c0c'],
  '-': [5, '0757'],
  '+': [6, '0767 343a'],
  '/': [6, '600c'],
  '%': [9, '~020030340402 ~6a68989c6c6a 810b'],
  '°': [3, '~020030340402'],
  '(': [3, '~3003093d'],
  ')': [3, '~0033390d'],
}
/** Between two glyphs, in the same units. */
const GAP = 3.4
const CAPITAL = 12
const BELOW = 17

type Point = readonly [x: number, y: number]

/** How much of each pixel a glyph covers. `left`: pixels that it reaches left of its own origin. */
export interface GlyphMask {
  left: number
  top: number
  width: number
  height: number
  coverage: Float32Array
  advance: number
}

const masks = new Map<string, GlyphMask>()

/** A glyph of a size (height of capitals in pixels) and a stroke width; unknown characters are spaces. */
export function glyph(character: string, size: number, stroke: number): GlyphMask {
  const key = `${character} ${size} ${stroke}`
  const known = masks.get(key)
  if (known) return known
  const made = draw(character, size, stroke)
  masks.set(key, made)
  return made
}

export function textWidth(text: string, size: number): number {
  let width = 0
  for (const character of text) width += (widthOf(character) + GAP) * (size / CAPITAL)
  return text === '' ? 0 : width - GAP * (size / CAPITAL)
}

const widthOf = (character: string) => (GLYPHS[character] ?? GLYPHS[' '] ?? [4])[0]

function draw(character: string, size: number, stroke: number): GlyphMask {
  const [width, strokes] = GLYPHS[character] ?? [4, '']
  const scale = size / CAPITAL
  const margin = Math.ceil(stroke / 2 + 1)
  const mask: GlyphMask = {
    left: margin,
    top: margin,
    width: Math.ceil(width * scale) + 2 * margin + 1,
    height: Math.ceil(BELOW * scale) + 2 * margin,
    coverage: new Float32Array(0),
    advance: (width + GAP) * scale,
  }
  mask.coverage = new Float32Array(mask.width * mask.height)
  const lines = strokes.split(' ').filter(Boolean).map(pointsOf)
  for (let y = 0; y < mask.height; y++)
    for (let x = 0; x < mask.width; x++) {
      let nearest = Number.POSITIVE_INFINITY
      for (const line of lines)
        for (let n = 1; n < line.length; n++) {
          const [fromX, fromY] = line[n - 1] as Point
          const [toX, toY] = line[n] as Point
          nearest = Math.min(
            nearest,
            distanceTo(x - margin, y - margin, fromX * scale, fromY * scale, toX * scale, toY * scale),
          )
        }
      mask.coverage[y * mask.width + x] = Math.max(0, Math.min(1, stroke / 2 + 0.5 - nearest))
    }
  return mask
}

function pointsOf(stroke: string): Point[] {
  const isCurve = stroke.startsWith('~')
  const digits = isCurve ? stroke.slice(1) : stroke
  const points: Point[] = []
  for (let n = 0; n + 1 < digits.length; n += 2)
    points.push([Number.parseInt(digits[n] ?? '0', 36), Number.parseInt(digits[n + 1] ?? '0', 36)])
  return isCurve ? rounded(rounded(rounded(points))) : points
}

/** Cuts every corner at a quarter of its edges; the ends stay. */
function rounded(points: readonly Point[]): Point[] {
  const result: Point[] = [points[0] as Point]
  for (let n = 0; n + 1 < points.length; n++) {
    const [ax, ay] = points[n] as Point
    const [bx, by] = points[n + 1] as Point
    if (n > 0) result.push([ax + (bx - ax) / 4, ay + (by - ay) / 4])
    if (n + 2 < points.length) result.push([bx + (ax - bx) / 4, by + (ay - by) / 4])
  }
  result.push(points.at(-1) as Point)
  return result
}

/** From a place to a line between two others. */
export function distanceTo(x: number, y: number, ax: number, ay: number, bx: number, by: number): number {
  const dx = bx - ax
  const dy = by - ay
  const long = dx * dx + dy * dy
  const along = long === 0 ? 0 : Math.max(0, Math.min(1, ((x - ax) * dx + (y - ay) * dy) / long))
  return Math.hypot(x - ax - along * dx, y - ay - along * dy)
}
