import { Violation } from '../../violation.ts'

/** Commands of a surface update (MS-RDPBCGR 2.2.9.2). */
const SET = 1
const FRAME_MARKER = 4
const STREAM = 6
const FRAME_LENGTH = 8
/** Command, rectangle, and the bitmap's head. */
const BITS_LENGTH = 22
const EXTRA_HEADER = 24
const HAS_EXTRA_HEADER = 1

/** IronRDP 0.7 panics over a rectangle that ends before it begins. Throws Violation. */
export function checkSurface(update: Buffer): void {
  for (let at = 0; at + 2 <= update.length; ) {
    const command = update.readUInt16LE(at)
    if (command === FRAME_MARKER) {
      at += FRAME_LENGTH
      continue
    }
    // IronRDP says no to others by itself.
    if (command !== SET && command !== STREAM) return
    if (at + BITS_LENGTH > update.length) throw new Violation('a surface command that ends too soon')
    const word = (n: number) => update.readUInt16LE(at + n * 2)
    const [left, top, right, bottom] = [word(1), word(2), word(3), word(4)]
    if (right <= left || bottom <= top) throw new Violation('a surface that ends before it begins')
    const extra = (update[at + 11] ?? 0) & HAS_EXTRA_HEADER ? EXTRA_HEADER : 0
    at += BITS_LENGTH + extra + update.readUInt32LE(at + 18)
  }
}
