import { isUtf8 } from 'node:buffer'
import { SOURCE_LIMIT, simdEscaper } from './escape-simd.ts'

/** The most bytes that one input byte can become. */
export const ESCAPE_GROWTH = 6

const escapePiece = simdEscaper()
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/**
 * Raw bytes to the inside of a JSON string, without decoding them first: the hot path of recording, byte for byte what
 * JSON.stringify gives for the decoded text. Control characters become \b \t \n \f \r or \u00xx, `"` and `\` are
 * escaped, all else is copied. Bytes that are no UTF-8 become U+FFFD, one for each maximal subpart (the WHATWG
 * decoder's and Unicode's recommended practice).
 *
 * Escapes `source` into `out` from `at`; returns the new end. `out` must have room for ESCAPE_GROWTH times the
 * source. The source's end is a hard end: an incomplete sequence there becomes U+FFFD (see `incompleteTail`).
 */
export function escapeJson(source: Uint8Array, out: Uint8Array, at: number): number {
  const text = isUtf8(source) ? source : encoder.encode(decoder.decode(source))
  let end = at
  for (let index = 0; index < text.length; index += SOURCE_LIMIT) {
    const escaped = escapePiece(text.subarray(index, index + SOURCE_LIMIT))
    out.set(escaped, end)
    end += escaped.length
  }
  return end
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
