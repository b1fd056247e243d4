import { readFileSync } from 'node:fs'
import {
  Compressor,
  compactLength,
  joined,
  pixel,
  rect,
  serverInit,
  u16,
  u32,
  update,
} from '../lab/rfb-encoder.ts'

/** One connection's worth of everything that the decoder knows: each encoding in each of its kinds, and each message. */
export async function everything(): Promise<Buffer> {
  const zrle = new Compressor()
  const tight = [new Compressor(), new Compressor(), new Compressor()]
  const rgb = (n: number) => [(n * 37) & 255, (n * 91) & 255, (n * 13) & 255]
  const range = <T>(count: number, make: (n: number) => T[]) =>
    Array.from({ length: count }, (_, n) => make(n)).flat()
  const inZrle = async (data: number[]) => {
    const bytes = await zrle.compress(data)
    return joined(u32(bytes.length), bytes)
  }
  const inTight = async (stream: number, data: number[]) => {
    const bytes = await (tight[stream] as Compressor).compress(data)
    return joined(compactLength(bytes.length), bytes)
  }
  const jpeg = readFileSync(new URL('./vectors/quarters.jpg', import.meta.url))
  return joined(
    serverInit(70, 48),
    // Colour maps mean nothing to true colour, and are read past.
    [1, 0, ...u16(0, 1), ...u16(1, 2, 3)],
    update(
      rect(
        0,
        0,
        70,
        48,
        0,
        range(70 * 48, (n) => pixel(n & 255, (n >> 4) & 255, 7)),
      ),
      rect(5, 6, 20, 7, 1, u16(30, 1)),
      rect(0, 0, 0, 0, 0),
    ),
    update(
      rect(
        1,
        1,
        36,
        20,
        5,
        // Raw; background alone; background kept with one-coloured parts; own-coloured parts; the small tiles below.
        [1, ...range(256, (n) => pixel(...(rgb(n) as [number, number, number])))],
        [2, ...pixel(1, 2, 3)],
        [4 + 8, ...pixel(9, 8, 7), 2, 0x00, 0x11, 0x12, 0x10],
        [8 + 16, 1, ...pixel(200, 100, 50), 0x30, 0x22],
        [0],
        [2, ...pixel(4, 4, 4)],
      ),
    ),
    update(
      rect(0, 0, 70, 20, 16, await inZrle([0, ...range(64 * 20, rgb), 1, 5, 6, 7])),
      rect(2, 20, 10, 3, 16, await inZrle([2, ...rgb(1), ...rgb(2), ...range(3, () => [0xaa, 0x80])])),
      rect(2, 23, 10, 1, 16, await inZrle([3, ...rgb(1), ...rgb(2), ...rgb(3), 0x18, 0x06, 0x90])),
      rect(2, 24, 5, 2, 16, await inZrle([5, ...range(5, rgb), 0x01, 0x23, 0x40, 0x43, 0x21, 0x00])),
      rect(2, 26, 30, 10, 16, await inZrle([128, ...rgb(4), 255, 20, ...rgb(5), 23])),
      rect(2, 36, 10, 4, 16, await inZrle([131, ...rgb(6), ...rgb(7), ...rgb(8), 0, 129, 30, 2, 0x80, 6])),
    ),
    update(
      rect(30, 30, 8, 8, 7, [0x80, 1, 2, 3]),
      rect(30, 30, 2, 1, 7, [0x00, 1, 2, 3, 4, 5, 6]),
      rect(32, 30, 20, 10, 7, [0x00], await inTight(0, range(200, rgb))),
      rect(32, 30, 20, 4, 7, [0x00], await inTight(0, range(80, rgb))),
      rect(
        0,
        0,
        20,
        10,
        7,
        [0x50, 1, 1, 9, 9, 9, 8, 8, 8],
        await inTight(
          1,
          range(30, (n) => [n * 7]),
        ),
      ),
      rect(
        0,
        12,
        9,
        5,
        7,
        [0x50, 1, 3, ...range(4, rgb)],
        await inTight(
          1,
          range(45, (n) => [n & 3]),
        ),
      ),
      rect(
        40,
        0,
        16,
        8,
        7,
        [0x60, 2],
        await inTight(
          2,
          range(128, (n) => [n & 3, 255, n & 1]),
        ),
      ),
      rect(38, 32, 32, 16, 7, [0x90], compactLength(jpeg.length), jpeg),
    ),
    joined(
      [0, 0],
      u16(65535),
      rect(
        1,
        2,
        3,
        3,
        -239,
        range(9, () => pixel(255, 255, 255)),
        [0x40, 0xe0, 0x40],
      ),
      rect(0, 0, 0, 0, -224),
    ),
    [2],
    [3, 0, 0, 0, ...u32(4), 0x67, 0x72, 0xfc, 0xdf],
    update(rect(0, 0, 60, 50, -308, [1, 0, 0, 0], u32(7), u16(0, 0, 60, 50), u32(3)), rect(0, 0, 0, 0, -258)),
    update(rect(1, 3, 99, 99, -308, [0, 0, 0, 0])),
    update(rect(0, 0, 44, 33, -223), rect(0, 0, 1, 1, 0, pixel(1, 1, 1))),
  )
}
