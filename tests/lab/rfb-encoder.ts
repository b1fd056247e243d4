import { constants, createDeflate, type Deflate } from 'node:zlib'

/** Builds what a VNC server says, piece by piece; written from the specification and apart from the decoder. */
export function joined(...parts: (Uint8Array | readonly number[])[]): Buffer {
  return Buffer.concat(parts.map((part) => Buffer.from(part as Uint8Array)))
}
export const u16 = (...values: number[]) => values.flatMap((value) => [(value >> 8) & 255, value & 255])
export const u32 = (...values: number[]) =>
  values.flatMap((value) => [value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255])

export interface Format {
  bits: 8 | 16 | 32
  depth: number
  bigEndian: boolean
  trueColour: boolean
  max: readonly [number, number, number]
  shift: readonly [number, number, number]
}
export const CANVAS: Format = {
  bits: 32,
  depth: 24,
  bigEndian: false,
  trueColour: true,
  max: [255, 255, 255],
  shift: [0, 8, 16],
}

export function serverInit(width: number, height: number, name = 'lab', format = CANVAS): Buffer {
  return joined(
    u16(width, height),
    [format.bits, format.depth, format.bigEndian ? 1 : 0, format.trueColour ? 1 : 0],
    u16(...format.max),
    [...format.shift, 0, 0, 0],
    u32(Buffer.byteLength(name)),
    Buffer.from(name),
  )
}

export const update = (...rects: Uint8Array[]) => joined([0, 0], u16(rects.length), ...rects)
export const rect = (
  x: number,
  y: number,
  width: number,
  height: number,
  encoding: number,
  ...data: (Uint8Array | readonly number[])[]
) => joined(u16(x, y, width, height), u32(encoding), ...data)

/** A pixel of the canvas's own format. */
export const pixel = (red: number, green: number, blue: number) => [red, green, blue, 0]

export function compactLength(length: number): number[] {
  if (length < 128) return [length]
  if (length < 16384) return [(length & 127) | 128, length >> 7]
  return [(length & 127) | 128, ((length >> 7) & 127) | 128, length >> 14]
}

/** A zlib stream that is flushed after every rectangle and never ended. */
export class Compressor {
  readonly #deflate: Deflate = createDeflate({ level: 6 })
  #parts: Buffer[] = []

  constructor() {
    this.#deflate.on('data', (part: Buffer) => this.#parts.push(part))
  }

  async compress(data: Uint8Array | readonly number[]): Promise<Buffer> {
    this.#deflate.write(Buffer.from(data as Uint8Array))
    await new Promise<void>((done) => this.#deflate.flush(constants.Z_SYNC_FLUSH, done))
    const result = Buffer.concat(this.#parts)
    this.#parts = []
    return result
  }
}
