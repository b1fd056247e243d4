import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bitmapUpdate } from '../../testing/rdp-server.ts'
import { Violation } from '../../violation.ts'
import { exactBitmaps } from './bitmap-update.ts'
import { decodeInterleaved } from './interleaved-rle.ts'
import { decodePlanar } from './planar.ts'

const DESKTOP = { width: 1013, height: 771 }
const words = (...values: number[]) => Buffer.from(Uint16Array.from(values).buffer)

/** The rectangles and rows of raw bitmaps in fast-path packets, top row first. */
function drawn(packets: readonly Buffer[]): { at: number[]; rows: string[] }[] {
  return packets.map((packet) => {
    expect(packet.length).toBe(packet.readUInt16BE(1) & 0x7fff)
    const word = (n: number) => packet.readUInt16LE(10 + n * 2)
    const [left, top, right, bottom, width, height, bits] = [0, 1, 2, 3, 4, 5, 6].map(word) as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ]
    expect([right - left + 1, bottom - top + 1, word(7)]).toEqual([width, height, 0])
    const data = packet.subarray(28)
    const stride = ((width * bits) / 8 + 3) & ~3
    expect(data.length).toBe(stride * height)
    const rows = Array.from({ length: height }, (_, y) =>
      data
        .subarray((height - 1 - y) * stride, (height - 1 - y) * stride + (width * bits) / 8)
        .toString('hex'),
    )
    return { at: [left, top], rows }
  })
}

describe('interleaved run-length encoding', () => {
  it('decodes each order', () => {
    const decode = (bytes: number[], width: number, height: number) => [
      ...new Uint16Array(new Uint8Array(decodeInterleaved(Buffer.from(bytes), width, height, 16)).buffer),
    ]
    // A colour run of 4, then a row of the same: a background run above the first row's pixels.
    expect(decode([0x64, 0x34, 0x12, 0x04], 4, 2)).toEqual(Array(8).fill(0x1234))
    // Foreground is white at first; over a row of black it is itself.
    expect(decode([0x24], 4, 1)).toEqual(Array(4).fill(0xffff))
    // Set foreground run, dithered run, white, black.
    expect(decode([0xc2, 0x01, 0x00, 0xe1, 0x0a, 0x00, 0x0b, 0x00, 0xfd, 0xfe], 6, 1)).toEqual([
      1, 1, 0x0a, 0x0b, 0xffff, 0,
    ])
    // A colour image, and a foreground image of eight pixels by a mask.
    expect(decode([0x82, 0x07, 0x00, 0x08, 0x00], 2, 1)).toEqual([7, 8])
    expect(decode([0x41, 0b0000_0101], 8, 1)).toEqual([0xffff, 0, 0xffff, 0, 0, 0, 0, 0])
    // Two background runs in a row: the second begins with a foreground pixel.
    expect(decode([0x02, 0x02], 4, 1)).toEqual([0, 0, 0xffff, 0])
    // Runs longer than a byte tells.
    expect(decode([0xf3, 0x2c, 0x01, 0x05, 0x00], 300, 1)).toEqual(Array(300).fill(5))
    // The special orders.
    expect(decode([0xf9, 0xfa], 16, 1)).toEqual(
      [1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0].map((bit) => bit * 0xffff),
    )
  })

  it('refuses what reads or writes past an end', () => {
    for (const bytes of [[0x61], [0x65, 1, 0], [0x82, 1], [0xf5]])
      expect(() => decodeInterleaved(Buffer.from(bytes), 2, 2, 16)).toThrow(Violation)
    expect(() => decodeInterleaved(Buffer.from([0x61, 0, 0]), 2, 2, 12)).toThrow(Violation)
  })

  it('never does worse with any bytes', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 40 }),
        fc.constantFrom(8, 15, 16, 24),
        (bytes, width, height, bits) =>
          violationOrNothing(() => decodeInterleaved(bytes, width, height, bits)),
      ),
    )
  })
})

describe('planes', () => {
  it('decodes raw planes and runs, with and without alpha', () => {
    // Red, green, blue, one after the other; no alpha, no runs.
    const raw = decodePlanar(Buffer.from([0x20, 1, 2, 3, 4, 5, 6]), 2, 1)
    expect([...raw]).toEqual([5, 3, 1, 255, 6, 4, 2, 255])
    // Runs: a raw pixel and three more of it; the second row differs by 2, by -1, and twice by nothing.
    const row = [0x13, 9]
    const difference = [0x20, 4, 1, 0x20, 0, 0]
    const plane = [...row, ...difference]
    const run = decodePlanar(Buffer.from([0x30, ...plane, ...plane, ...plane]), 4, 2)
    expect([...run].filter((_, n) => n % 4 === 0)).toEqual([9, 9, 9, 9, 11, 8, 9, 9])
    // A long run: 16 and more borrow the raw half.
    const long = decodePlanar(Buffer.from([0x30, ...Array(3).fill([0x10, 7, 0xf1]).flat()]), 32, 1)
    expect([...long].filter((_, n) => n % 4 === 2)).toEqual(Array(32).fill(7))
  })

  it('refuses other kinds, and what ends too soon', () => {
    expect(() => decodePlanar(Buffer.from([0x21, 1, 1, 1]), 1, 1)).toThrow(Violation)
    expect(() => decodePlanar(Buffer.from([0x20, 1, 1]), 1, 1)).toThrow(Violation)
    expect(() => decodePlanar(Buffer.from([0x30, 0x00]), 1, 1)).toThrow(Violation)
    expect(() => decodePlanar(Buffer.alloc(0), 1, 1)).toThrow(Violation)
  })

  it('never does worse with any bytes', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 40 }),
        (bytes, width, height) => violationOrNothing(() => decodePlanar(bytes, width, height)),
      ),
    )
  })
})

describe('bitmap updates', () => {
  const row = (first: number) => [first, first + 1, first + 2, first + 3]

  it('leaves exact ones alone', () => {
    const exact = {
      left: 0,
      top: 0,
      right: 3,
      bottom: 0,
      width: 4,
      height: 1,
      bits: 16,
      flags: 0,
      data: words(...row(1)),
    }
    expect(exactBitmaps(bitmapUpdate([exact]), DESKTOP)).toBeNull()
  })

  it('says a padded one again in its own size, rows in their order', () => {
    const padded = {
      left: 10,
      top: 20,
      right: 12,
      bottom: 21,
      width: 4,
      height: 2,
      bits: 16,
      flags: 0,
      // From the bottom up.
      data: words(...row(5), ...row(1)),
    }
    const said = drawn(exactBitmaps(bitmapUpdate([padded]), DESKTOP) ?? [])
    expect(said).toEqual([{ at: [10, 20], rows: ['010002000300', '050006000700'] }])
  })

  it('cuts one at the edge of the desktop, and drops one beyond it', () => {
    const wide = {
      left: 1011,
      top: 770,
      right: 1014,
      bottom: 771,
      width: 4,
      height: 2,
      bits: 16,
      flags: 0,
      data: words(...row(5), ...row(1)),
    }
    expect(drawn(exactBitmaps(bitmapUpdate([wide]), DESKTOP) ?? [])).toEqual([
      { at: [1011, 770], rows: ['01000200'] },
    ])
    expect(exactBitmaps(bitmapUpdate([{ ...wide, left: 1013, right: 1016 }]), DESKTOP)).toEqual([])
  })

  it('decodes compressed ones on the way, whatever their header', () => {
    const run = Buffer.from([0x68, 0x34, 0x12])
    const one = { left: 0, top: 0, right: 2, bottom: 1, width: 4, height: 2, bits: 16 }
    const rows = ['341234123412', '341234123412']
    for (const [flags, data] of [
      [0x0401, run],
      [0x0001, Buffer.concat([Buffer.alloc(8), run])],
    ] as const)
      expect(drawn(exactBitmaps(bitmapUpdate([{ ...one, flags, data }]), DESKTOP) ?? [])).toEqual([
        { at: [0, 0], rows },
      ])
  })

  it('splits what no packet holds', () => {
    const width = 1500
    const height = 40
    const data = Buffer.alloc(width * height * 4, 7)
    const large = { left: 0, top: 0, right: width - 1, bottom: height - 1, width, height, bits: 32, flags: 0 }
    // Only its length's field would not hold it: two strips, as a server sends them.
    const strips = [0, 10, 20, 30].map((top) => ({
      ...large,
      top,
      bottom: top + 9,
      height: 10,
      data: data.subarray(0, width * 10 * 4),
    }))
    const update = bitmapUpdate(strips.map((one) => ({ ...one, data: one.data.subarray(0, 60_000) })))
    const said = exactBitmaps(update, { width: 1400, height: 38 }) ?? []
    const shown = drawn(said)
    expect(said.every((packet) => packet.length < 0x7fff)).toBe(true)
    const area = shown.reduce((sum, { rows }) => sum + rows.length * ((rows[0]?.length ?? 0) / 8), 0)
    expect(area).toBe(1400 * 38)
  })

  it('drops what covers nothing, and refuses what no screen is large enough for', () => {
    const none = { left: 20, top: 20, right: 19, bottom: 19, width: 0, height: 0, bits: 32, flags: 0 }
    expect(exactBitmaps(bitmapUpdate([{ ...none, data: words(1, 2) }]), DESKTOP)).toEqual([])
    const huge = { ...none, right: 30, bottom: 30, width: 65535, height: 65535, flags: 0x401 }
    expect(() => exactBitmaps(bitmapUpdate([{ ...huge, data: words(1, 2) }]), DESKTOP)).toThrow(Violation)
  })

  it('refuses what is longer or shorter than it says', () => {
    const one = { left: 0, top: 0, right: 2, bottom: 1, width: 4, height: 2, bits: 16, flags: 0 }
    expect(() => exactBitmaps(bitmapUpdate([{ ...one, data: words(1) }]), DESKTOP)).toThrow(Violation)
    const update = bitmapUpdate([{ ...one, data: words(...row(5), ...row(1)) }])
    expect(() => exactBitmaps(update.subarray(0, update.length - 1), DESKTOP)).toThrow(Violation)
    expect(() => exactBitmaps(update.subarray(0, 3), DESKTOP)).toThrow(Violation)
  })

  it('never does worse with any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) =>
        violationOrNothing(() => exactBitmaps(Buffer.concat([Buffer.from([1, 0, 2, 0]), bytes]), DESKTOP)),
      ),
    )
  })
})

function violationOrNothing(run: () => unknown): void {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(Violation)
  }
}
