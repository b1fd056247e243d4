import { Violation } from '../../violation.ts'

const RUN_LENGTH = 0x10
const NO_ALPHA = 0x20
/** Colour loss and chroma subsampling; never agreed on. */
const REDUCED = 0x0f
/** Planes stand in the order alpha, red, green, blue; a pixel is blue, green, red, alpha. */
const WITH_ALPHA = [3, 2, 1, 0]
const WITHOUT_ALPHA = [2, 1, 0]

/**
 * Decodes a bitmap of 32 bits in planes (MS-RDPEGDI 2.2.2.5.1). Gives rows from the bottom up, four bytes a pixel: blue,
 * green, red, and a fourth that means nothing. Throws Violation.
 */
export function decodePlanar(source: Uint8Array, width: number, height: number): Buffer {
  const out = Buffer.alloc(width * height * 4, 0xff)
  let from = 0
  const u8 = (): number => {
    const value = source[from++]
    if (value === undefined) throw new Violation('a planar bitmap that ends too soon')
    return value
  }
  const format = u8()
  if (format & REDUCED) throw new Violation('a planar bitmap of a kind that was not agreed on')
  const stride = width * 4
  for (const channel of format & NO_ALPHA ? WITHOUT_ALPHA : WITH_ALPHA) {
    if (format & RUN_LENGTH) decodePlane(out, channel, stride, height, u8)
    else for (let at = channel; at < out.length; at += 4) out[at] = u8()
  }
  return out
}

/** The first row as it is, each later one as its difference to the row before, in runs. */
function decodePlane(out: Buffer, channel: number, stride: number, height: number, u8: () => number): void {
  for (let y = 0; y < height; y++) {
    const end = (y + 1) * stride
    let at = y * stride + channel
    let value = 0
    const put = (count: number, next: () => number) => {
      for (let n = 0; n < count && at < end; n++, at += 4) {
        value = next()
        out[at] = y === 0 ? value : ((out[at - stride] ?? 0) + value) & 0xff
      }
    }
    while (at < end) {
      const control = u8()
      let raw = control >> 4
      let run = control & 0x0f
      // Runs of 16 and more borrow the other half.
      if (run === 1 || run === 2) {
        run = raw + run * 16
        raw = 0
      }
      put(raw, () => {
        const byte = u8()
        return y === 0 ? byte : byte & 1 ? -((byte >> 1) + 1) : byte >> 1
      })
      put(run, () => value)
      if (raw + run === 0) throw new Violation('a planar bitmap with an empty run')
    }
  }
}
