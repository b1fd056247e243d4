import type { JpegDecoder } from '../../gateway/desktop/vnc/decode/jpeg.ts'
import { decode } from '../gateway/vnc-decoder-support.ts'
import { everything } from '../gateway/vnc-stream.ts'

/** A small generator of its own (mulberry32), so that a seed names one run for ever. */
export function randomOf(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), state | 1)
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61)
    return Math.floor((((value ^ (value >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

/**
 * Decodes broken versions of a good connection. A decoder may end by a violation or by the end of its input; anything
 * else it throws, or a rectangle outside the screen, comes out of here with its seed. Returns how many rounds ran.
 */
export async function fuzzVnc(seed: number, jpeg: JpegDecoder, until: () => boolean): Promise<number> {
  const good = await everything()
  let rounds = 0
  for (let current = seed; !until(); current++) {
    const random = randomOf(current)
    const bytes = Buffer.from(good)
    const changes = 1 + random(6)
    for (let n = 0; n < changes; n++) {
      const at = random(bytes.length)
      const kind = random(4)
      if (kind === 0) bytes[at] = random(256)
      else if (kind === 1) bytes[at] = [0, 1, 127, 128, 255][random(5)] ?? 0
      else if (kind === 2) bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8))
      else bytes.copyWithin(at, random(bytes.length), random(bytes.length))
    }
    const cut = random(bytes.length)
    try {
      decode([bytes.subarray(0, cut), bytes.subarray(cut)], jpeg, random(2) === 1)
    } catch (error) {
      throw new Error(`seed ${current}: ${String(error)}`, { cause: error })
    }
    rounds++
  }
  return rounds
}
