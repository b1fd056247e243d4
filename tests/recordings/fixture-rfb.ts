import { crc32, deflateSync } from 'node:zlib'

/** RFB messages of a small desktop, written by hand from docs/evidence-format.md and by no encoder of the product. */
export const WIDTH = 40
export const HEIGHT = 30

const u16 = (value: number) => Buffer.from([value >> 8, value & 0xff])
const u32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}

export type Place = readonly [x: number, y: number, width: number, height: number]

export function serverInit(width = WIDTH, height = HEIGHT, name = 'Packaging PLC 4'): Buffer {
  const format = Buffer.from('2018000100ff00ff00ff000810000000', 'hex')
  const text = Buffer.from(name)
  return Buffer.concat([u16(width), u16(height), format, u32(text.length), text])
}

export function rect([x, y, width, height]: Place, encoding: number, ...body: Uint8Array[]): Buffer {
  return Buffer.concat([u16(x), u16(y), u16(width), u16(height), u32(encoding), ...body])
}

export const update = (...rects: Buffer[]) =>
  Buffer.concat([Buffer.from([0, 0]), u16(rects.length), ...rects])
export const fill = (place: Place, colour = [200, 200, 200]) => rect(place, 7, Buffer.from([0x8f, ...colour]))
export function cursor(width = 2, height = width): Buffer {
  const mask = Buffer.alloc(Math.ceil(width / 8) * height, 0xff)
  return rect([1, 0, width, height], -239, Buffer.alloc(width * height * 4, 0x40), mask)
}
export const copyRect = (place: Place, x: number, y: number) => rect(place, 1, u16(x), u16(y))
export const desktopSize = (width: number, height: number) => rect([0, 0, width, height], -223)

export function compact(data: Uint8Array): Buffer {
  const length = data.length
  const head = length < 128 ? [length] : [(length & 0x7f) | 0x80, (length >> 7) & 0x7f]
  if (length >= 1 << 14) head.splice(1, 1, ((length >> 7) & 0x7f) | 0x80, length >> 14)
  return Buffer.concat([Buffer.from(head), data])
}

/** Tight with three bytes a pixel; `size` bytes of them. */
export function copied(
  place: Place,
  data: Uint8Array = deflateSync(Buffer.alloc(place[2] * place[3] * 3, 9)),
) {
  return rect(place, 7, Buffer.from([0x0f]), compact(data))
}

/** Tight with a palette of so many colours. */
export function indexed(place: Place, colours: number, pixels: Uint8Array, control = 0x4f): Buffer {
  const palette = Buffer.from(Array.from({ length: colours * 3 }, (_, at) => (at * 37) & 0xff))
  const body = pixels.length < 12 ? pixels : compact(deflateSync(pixels))
  return rect(place, 7, Buffer.from([control, 1, colours - 1]), palette, body)
}

/** 8 x 6 pixels of one red. */
export const JPEG = Buffer.from(
  '/9j/4AAQSkZJRgABAQAAAQABAAD/2wCEAAMDAwMDAwQEBAQFBQUFBQcHBgYHBwsICQgJCAsRCwwLCwwLEQ8SDw4PEg8bFRMTFRsfGhkaHyYiIiYwLTA+PlQBAwMDAwMDBAQEBAUFBQUFBwcGBgcHCwgJCAkICxELDAsLDAsRDxIPDg8SDxsVExMVGx8aGRofJiIiJjAtMD4+VP/AABEIAAYACAMBEQACEQEDEQH/xABLAAEAAAAAAAAAAAAAAAAAAAAHEAEAAAAAAAAAAAAAAAAAAAAAAQEBAAAAAAAAAAAAAAAAAAAHCBEBAAAAAAAAAAAAAAAAAAAAAP/aAAwDAQACEQMRAD8AAhkuN//Z',
  'base64',
)
export const jpeg = (place: Place, data: Uint8Array = JPEG) =>
  rect(place, 7, Buffer.from([0x9f]), compact(data))

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  return Buffer.concat([u32(data.length), body, u32(crc32(body))])
}

/** A picture with a palette of two colours. */
export function pngFile(
  width: number,
  height: number,
  rows?: Uint8Array,
  more: Uint8Array = Buffer.alloc(0),
): Buffer {
  const row = 1 + Math.ceil(width / 8)
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', Buffer.concat([u32(width), u32(height), Buffer.from([1, 3, 0, 0, 0])])),
    chunk('PLTE', Buffer.from([255, 255, 255, 0, 0, 128])),
    chunk('IDAT', deflateSync(rows ?? Buffer.alloc(row * height))),
    more,
    chunk('IEND', Buffer.alloc(0)),
  ])
}
export const pngText = () => chunk('tEXt', Buffer.from('more\0than pixels'))
export const png = (place: Place, data: Uint8Array = pngFile(place[2], place[3])) =>
  rect(place, -260, Buffer.from([0xa0]), compact(data))

export function marker(text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([Buffer.from([77, 0, 0, 0]), u32(bytes.length), bytes])
}

export const key = (down: boolean, keysym: number) =>
  Buffer.concat([Buffer.from([4, down ? 1 : 0, 0, 0]), u32(keysym)])
export const scancode = (down: boolean, keysym: number, code: number) =>
  Buffer.concat([Buffer.from([255, 0, 0, down ? 1 : 0]), u32(keysym), u32(code)])
export const pointer = (buttons: number, x: number, y: number) =>
  Buffer.concat([
    Buffer.from([5, buttons]),
    u16(x),
    u16(y),
    buttons > 127 ? Buffer.from([1]) : Buffer.alloc(0),
  ])
export const cutText = (text: string) =>
  Buffer.concat([Buffer.from([6, 0, 0, 0]), u32(text.length), Buffer.from(text, 'latin1')])

/** Every form that a picture of a recording may have. */
export const changes = (): Buffer[] => [
  update(cursor(9)),
  update(copied([0, 0, 16, 8]), indexed([16, 0, 9, 5], 2, Buffer.alloc(10, 0xa5))),
  update(
    indexed([0, 8, 16, 8], 5, Buffer.alloc(128, 4), 0x6a | 0x04),
    indexed([16, 8, 16, 8], 2, Buffer.alloc(16, 3)),
  ),
  update(
    rect([39, 29, 1, 1], 7, Buffer.from([0x01, 1, 2, 3])),
    rect([38, 29, 1, 1], 7, Buffer.from([0x5f, 0, 4, 5, 6])),
  ),
  update(jpeg([24, 16, 8, 6]), png([8, 20, 12, 7]), copyRect([0, 0, 10, 10], 30, 20)),
  Buffer.from([2]),
  marker('operator Ola Vik watches — håller'),
]
