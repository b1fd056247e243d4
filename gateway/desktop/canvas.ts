/** A rectangle of pixels; always inside the screen when it comes from a checked place. */
export interface Rect {
  x: number
  y: number
  width: number
  height: number
}

/** The pointer's picture: RGBA rows, alpha 0 or 255. `width` 0 hides it. */
export interface Cursor {
  width: number
  height: number
  hotX: number
  hotY: number
  pixels: Uint8Array
}

/**
 * What a desktop source paints into. Pixels are four bytes each: red, green, blue, 255 (RFC 6143 section 7.4: 32 bits,
 * depth 24, little-endian, shifts 0, 8, 16). Calls paint in order; consumers see nothing before `flush`, so nobody is
 * shown half of an update.
 */
export interface Canvas {
  /** What stood there is kept where both sizes overlap, the rest is black. */
  resize(width: number, height: number): void
  /** `pixels`: rows of `rect.width * 4` bytes, copied before this returns. Throws RangeError outside the screen. */
  put(rect: Rect, pixels: Uint8Array): void
  /** One colour, as four bytes in a 32-bit number, red lowest. */
  fill(rect: Rect, colour: number): void
  /** From another place of the screen; the two may overlap. */
  copy(rect: Rect, fromX: number, fromY: number): void
  cursor(cursor: Cursor): void
  flush(): void
}
