import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { checkHeader, type JpegDecoder, loadJpeg } from '../../gateway/desktop/vnc/decode/jpeg.ts'
import { CANVAS_FORMAT, Pixels } from '../../gateway/desktop/vnc/decode/pixel-format.ts'
import {
  Compressor,
  compactLength,
  type Format,
  joined,
  pixel,
  rect,
  serverInit,
  u16,
  u32,
  update,
} from '../lab/rfb-encoder.ts'
import { decode } from './vnc-decoder-support.ts'
import { everything } from './vnc-stream.ts'

let jpeg: JpegDecoder
beforeAll(async () => {
  jpeg = await loadJpeg()
})
const RED = pixel(255, 0, 0)
const start = serverInit(64, 48)
const violationOf = (...parts: Uint8Array[]) => decode([joined(...parts)], jpeg).violation

describe('vnc decoder', () => {
  it('paints the same whatever the borders of what arrives: split at every position, and byte by byte', async () => {
    const bytes = await everything()
    const whole = decode([bytes], jpeg)
    expect(whole.violation).toBeNull()
    expect(whole.facts).toEqual(['opened', 'resizable 7 3', 'scancodes'])
    expect(whole.clipboard).toEqual(['gr\u00fc\u00df'])
    expect(whole.bells).toBe(1)
    for (let at = 1; at < bytes.length; at++) {
      const split = decode([bytes.subarray(0, at), bytes.subarray(at)], jpeg)
      if (Buffer.compare(split.canvas.pixels, whole.canvas.pixels) !== 0 || split.violation !== null)
        throw new Error(`split at ${at} differs: ${split.violation}`)
    }
    const single = decode(
      Array.from(bytes, (byte) => Uint8Array.of(byte)),
      jpeg,
    )
    expect(single).toEqual(whole)
  })

  it('ends quietly wherever the stream is cut', async () => {
    const bytes = await everything()
    for (let at = 0; at < bytes.length; at += 11)
      expect(decode([bytes.subarray(0, at)], jpeg).violation).toBeNull()
  })

  it('reads pixels of every shape', () => {
    const shapes: [Format, number[], number[]][] = [
      [
        { bits: 32, depth: 24, bigEndian: true, trueColour: true, max: [255, 255, 255], shift: [16, 8, 0] },
        [0, 10, 20, 30],
        [10, 20, 30],
      ],
      [
        { bits: 32, depth: 24, bigEndian: false, trueColour: true, max: [255, 255, 255], shift: [8, 16, 24] },
        [0, 10, 20, 30],
        [10, 20, 30],
      ],
      [
        { bits: 16, depth: 16, bigEndian: false, trueColour: true, max: [31, 63, 31], shift: [11, 5, 0] },
        [0x1f, 0xf8],
        [255, 0, 255],
      ],
      [
        { bits: 16, depth: 15, bigEndian: true, trueColour: true, max: [31, 31, 31], shift: [10, 5, 0] },
        [0x7c, 0x1f],
        [255, 0, 255],
      ],
      [
        { bits: 8, depth: 8, bigEndian: false, trueColour: true, max: [7, 7, 3], shift: [0, 3, 6] },
        [0b11000111],
        [255, 0, 255],
      ],
    ]
    for (const [format, bytes, expected] of shapes) {
      const init = serverInit(1, 1, '', format)
      const { canvas, violation } = decode([joined(init, update(rect(0, 0, 1, 1, 0, bytes)))], jpeg, true)
      expect(violation).toBeNull()
      expect(canvas.at(0, 0)).toEqual(expected)
    }
  })

  it('reads compressed pixels from the bytes that carry colour', () => {
    const base = { ...CANVAS_FORMAT }
    const cases: [Partial<typeof base>, number[]][] = [
      [{ redShift: 0, greenShift: 8, blueShift: 16 }, [1, 2, 3]],
      [{ redShift: 16, greenShift: 8, blueShift: 0 }, [3, 2, 1]],
      [{ redShift: 8, greenShift: 16, blueShift: 24 }, [1, 2, 3]],
      [{ redShift: 16, greenShift: 8, blueShift: 0, bigEndian: true }, [1, 2, 3]],
      [{ redShift: 24, greenShift: 16, blueShift: 8, bigEndian: true }, [1, 2, 3]],
    ]
    for (const [change, bytes] of cases) {
      const pixels = new Pixels({ ...base, ...change })
      expect(pixels.compressedSize).toBe(3)
      expect(pixels.compressedColour(Uint8Array.from(bytes), 0)).toBe(0xff030201)
    }
  })

  it('holds servers to the screen and to sane lengths', async () => {
    const bomb = await new Compressor().compress(new Uint8Array(8 * 1024 * 1024))
    const short = await new Compressor().compress([1])
    const cases: Record<string, [Uint8Array, string]> = {
      'no size': [serverInit(0, 10), 'a screen of an impossible size'],
      'too large': [serverInit(9000, 10), 'a screen of an impossible size'],
      'too many pixels': [serverInit(8000, 8000), 'a screen of an impossible size'],
      'a name without an end': [
        serverInit(10, 10).fill(255, 20, 24),
        'a desktop name of an impossible length',
      ],
      'an unknown message': [joined(start, [99]), 'a message of unknown type'],
      'an extended clipboard nobody asked for': [
        joined(start, [3, 0, 0, 0], u32(-8)),
        'a clipboard text of an impossible length',
      ],
      'a clipboard of 1 GB': [
        joined(start, [3, 0, 0, 0], u32(2 ** 30)),
        'a clipboard text of an impossible length',
      ],
      'outside, raw': [joined(start, update(rect(60, 0, 10, 1, 0))), 'a rectangle outside the screen'],
      'outside, copy': [
        joined(start, update(rect(0, 0, 10, 10, 1, u16(60, 0)))),
        'a copy from outside the screen',
      ],
      'an unknown encoding': [joined(start, update(rect(0, 0, 1, 1, 2))), 'a rectangle of unknown encoding'],
      'an empty rectangle': [joined(start, update(rect(0, 0, 0, 5, 7))), 'an empty rectangle'],
      'a size out of nowhere': [
        joined(start, update(rect(0, 0, 65535, 65535, -223))),
        'a screen of an impossible size',
      ],
      'a cursor like a wall': [
        joined(start, update(rect(0, 0, 385, 1, -239))),
        'a cursor of an impossible size',
      ],
      'hextile: kind': [joined(start, update(rect(0, 0, 16, 16, 5, [32]))), 'a Hextile tile of unknown kind'],
      'hextile: subrectangle': [
        joined(start, update(rect(0, 0, 4, 4, 5, [8, 1, 0x00, 0xff]))),
        'a Hextile subrectangle outside its tile',
      ],
      'zrle: length': [
        joined(start, update(rect(0, 0, 4, 4, 16, u32(2 ** 31)))),
        'ZRLE data of an impossible length',
      ],
      'zrle: bomb': [
        joined(start, update(rect(0, 0, 64, 48, 16, u32(bomb.length), bomb))),
        'more compressed data than the rectangle holds',
      ],
      'zrle: too little': [
        joined(start, update(rect(0, 0, 4, 4, 16, u32(short.length), short))),
        'compressed data ends before the rectangle is complete',
      ],
      'zrle: no zlib': [
        joined(start, update(rect(0, 0, 4, 4, 16, u32(4), [1, 2, 3, 4]))),
        'compressed data that is none',
      ],
      'tight: kind': [
        joined(start, update(rect(0, 0, 4, 4, 7, [0xa0]))),
        'a Tight rectangle of unknown kind',
      ],
      'tight: filter': [
        joined(start, update(rect(0, 0, 4, 4, 7, [0x40, 9]))),
        'a Tight filter of unknown kind',
      ],
      'tight: bomb': [
        joined(start, update(rect(0, 0, 4, 4, 7, [0], compactLength(bomb.length), bomb))),
        'more compressed data than the rectangle holds',
      ],
      'tight: no jpeg': [
        joined(start, update(rect(0, 0, 4, 4, 7, [0x90, 3, 1, 2, 3]))),
        'a JPEG that is none',
      ],
    }
    for (const [name, [bytes, violation]] of Object.entries(cases))
      expect({ name, violation: decode([bytes], jpeg).violation }).toEqual({ name, violation })
    const run = await new Compressor().compress([128, 1, 2, 3, 255, 255, 0])
    expect(violationOf(start, update(rect(0, 0, 4, 4, 16, u32(run.length), run)))).toBe(
      'a ZRLE run past its tile',
    )
    const palette = await new Compressor().compress([130, 1, 2, 3, 4, 5, 6, 9])
    expect(violationOf(start, update(rect(0, 0, 4, 4, 16, u32(palette.length), palette)))).toBe(
      'a colour outside the palette',
    )
  })

  it('ends an update that never ends', () => {
    const rects = Buffer.concat(Array.from({ length: 65535 }, () => rect(0, 0, 1, 1, 0, RED)))
    expect(violationOf(start, joined([0, 0], u16(65535)), rects)).toBe('an update without an end')
    const closed = joined([0, 0], u16(65535), rect(1, 1, 1, 1, 0, RED), rect(0, 0, 0, 0, -224), [2])
    expect(decode([start, closed], jpeg)).toMatchObject({ violation: null, bells: 1 })
  })

  it('reads past a clipboard text that is too long, and keeps nothing of it', () => {
    const long = joined(start, [3, 0, 0, 0], u32(3 * 1024 * 1024), new Uint8Array(3 * 1024 * 1024), [2])
    expect(decode([long], jpeg)).toMatchObject({ violation: null, clipboard: [], bells: 1 })
  })

  it('decodes a JPEG of the right size and looks at its header before anything else', () => {
    const data = readFileSync(new URL('./vectors/quarters.jpg', import.meta.url))
    const picture = jpeg(data, 32, 16)
    expect(picture.length).toBe(32 * 16 * 4)
    const at = (x: number, y: number) => [...picture.subarray((y * 32 + x) * 4, (y * 32 + x) * 4 + 4)]
    for (const [x, y, expected] of [
      [3, 3, [255, 0, 0, 255]],
      [28, 3, [0, 255, 0, 255]],
      [3, 12, [0, 0, 255, 255]],
      [28, 12, [255, 255, 255, 255]],
    ] as const)
      for (const [n, part] of at(x, y).entries()) expect(Math.abs(part - (expected[n] ?? 0))).toBeLessThan(12)
    expect(() => checkHeader(data, 33, 16)).toThrow('a JPEG of another size than its rectangle')
    expect(() => checkHeader(data, 4096, 4096)).toThrow('a JPEG of too many pixels')
    expect(() => checkHeader(data.subarray(0, 60), 32, 16)).toThrow('a JPEG without a scan')
    const frame = data.indexOf(Buffer.from([0xff, 0xc0]))
    const progressive = Buffer.from(data)
    progressive[frame + 1] = 0xc2
    expect(() => checkHeader(progressive, 32, 16)).toThrow('a JPEG that is not sequential')
    const scan = data.indexOf(Buffer.from([0xff, 0xda]))
    const scans = Buffer.from(data)
    scans[scan + 4] = 1
    expect(() => checkHeader(scans, 32, 16)).toThrow('a JPEG of more than one scan')
  })
})
