import { isUtf8 } from 'node:buffer'

/**
 * Raw bytes to the inside of a JSON string, without decoding them first: the hot path of recording, byte for byte what
 * JSON.stringify gives for the decoded text. Control characters become \b \t \n \f \r or \u00xx, `"` and `\` are
 * escaped, all else is copied. Bytes that are no UTF-8 become U+FFFD, one for each maximal subpart (the WHATWG
 * decoder's and Unicode's recommended practice).
 */
const COPY = 0
const LONG = 1
const BACKSLASH = 0x5c
const ESCAPES = new Uint8Array(256)
ESCAPES.fill(LONG, 0, 0x20)
for (const [byte, letter] of [
  [0x08, 'b'],
  [0x09, 't'],
  [0x0a, 'n'],
  [0x0c, 'f'],
  [0x0d, 'r'],
  [0x22, '"'],
  [0x5c, '\\'],
] as const) {
  ESCAPES[byte] = letter.charCodeAt(0)
}
const HEX = Buffer.from('0123456789abcdef')

/** The most bytes that one input byte can become. */
export const ESCAPE_GROWTH = 6

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/**
 * Escapes `source` into `out` from `at`; returns the new end. `out` must have room for ESCAPE_GROWTH times the
 * source. The source's end is a hard end: an incomplete sequence there becomes U+FFFD (see `incompleteTail`).
 */
export function escapeJson(source: Uint8Array, out: Uint8Array, at: number): number {
  const text = isUtf8(source) ? source : new TextEncoder().encode(decoder.decode(source))
  const from = new DataView(text.buffer, text.byteOffset, text.length)
  const to = new DataView(out.buffer, out.byteOffset, out.length)
  let index = 0
  let end = at
  while (index < text.length) {
    // Four bytes at a time while none of them needs an escape.
    while (index + 4 <= text.length) {
      const word = from.getUint32(index, true)
      if (needsEscape(word)) break
      to.setUint32(end, word, true)
      index += 4
      end += 4
    }
    const stop = Math.min(text.length, index + 4)
    while (index < stop) {
      const byte = text[index++] as number
      const letter = ESCAPES[byte] as number
      if (letter === COPY) {
        out[end++] = byte
      } else if (letter === LONG) {
        end = longEscape(byte, out, end)
      } else {
        out[end++] = BACKSLASH
        out[end++] = letter
      }
    }
  }
  return end
}

/** Whether any of a word's four bytes is below 0x20, `"` or `\`: the "has a byte less than n" bit trick. */
function needsEscape(word: number): boolean {
  const quote = word ^ 0x22222222
  const backslash = word ^ 0x5c5c5c5c
  const hits =
    ((word - 0x20202020) & ~word) | ((quote - 0x01010101) & ~quote) | ((backslash - 0x01010101) & ~backslash)
  return (hits & 0x80808080) !== 0
}

function longEscape(byte: number, out: Uint8Array, at: number): number {
  out[at] = BACKSLASH
  out[at + 1] = 0x75
  out[at + 2] = 0x30
  out[at + 3] = 0x30
  out[at + 4] = HEX[byte >> 4] as number
  out[at + 5] = HEX[byte & 15] as number
  return at + 6
}

/** How many bytes at the end are the beginning of a UTF-8 sequence (0 to 3): they wait for the next piece. */
export function incompleteTail(bytes: Uint8Array): number {
  const reach = Math.min(3, bytes.length)
  for (let back = 1; back <= reach; back++) {
    const byte = bytes[bytes.length - back] as number
    if (byte < 0x80) return 0
    if (byte >= 0xc0) {
      const needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
      return byte < 0xf5 && needs > back ? back : 0
    }
  }
  return 0
}
