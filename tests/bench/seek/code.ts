/** A number in the picture: squares in a row, white for one, the highest bit first. */
export const CODE = { x: 0, y: 640, width: 16, height: 16 }
export const CODE_BITS = 20

const WHITE = 0xffffff

export function codeColours(number: number): number[] {
  return Array.from({ length: CODE_BITS }, (_, bit) => ((number >> (CODE_BITS - 1 - bit)) & 1 ? WHITE : 0))
}
