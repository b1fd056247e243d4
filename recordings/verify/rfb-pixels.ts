import { crc32, inflateSync } from 'node:zlib'
import { type Fault, fault } from '../format/result.ts'
import type { Rectangle } from '../format/rfb-message.ts'

/**
 * Whether a rectangle's pixels can be drawn, each within a bound that its size gives: zlib streams that are whole and
 * inflate to exactly what they must, palettes that have every colour that is asked for, pictures of the rectangle's own
 * size. Null, or a fault with code content-pixels.
 */
export function checkPixels({ width, height, paint }: Rectangle): Fault | null {
  if (!paint || paint.kind === 'fill') return null
  if (paint.kind === 'jpeg') return checkJpeg(paint.data, width, height)
  if (paint.kind === 'png') return checkPng(paint.data, width, height)
  const pixels = paint.isDeflated ? inflated(paint.data, paint.size) : paint.data
  if (!pixels) return broken('a zlib stream is not whole, or not of the length that its rectangle needs')
  const { colours } = paint
  const isIndexed = colours > 2 && colours < 256
  return isIndexed && pixels.some((index) => index >= colours)
    ? broken('a pixel has a colour that its palette has not')
    : null
}

const broken = (message: string) => fault('content-pixels', message)

/** One zlib stream that ends exactly at the end of the data and gives exactly `length` bytes. */
function inflated(data: Buffer, length: number): Buffer | null {
  try {
    const { buffer, engine } = inflateSync(data, { info: true, maxOutputLength: length }) as unknown as {
      buffer: Buffer
      engine: { bytesWritten: number }
    }
    return buffer.length === length && engine.bytesWritten === data.length ? buffer : null
  } catch {
    return null
  }
}

/** Start of frame: baseline, extended sequential, progressive. */
const FRAMES = new Set([0xc0, 0xc1, 0xc2])

/** Markers up to the first scan; what the scans paint only a decoder can tell. */
function checkJpeg(data: Buffer, width: number, height: number): Fault | null {
  const isFramed =
    data.length >= 4 && data.readUInt16BE(0) === 0xffd8 && data.readUInt16BE(data.length - 2) === 0xffd9
  if (!isFramed) return broken('a JPEG picture is cut')
  let frames = 0
  for (let at = 2; at + 4 <= data.length; ) {
    const marker = data.readUInt8(at + 1)
    const length = data.readUInt16BE(at + 2)
    if (data[at] !== 0xff || marker < 0xc0 || marker === 0xff || (marker >= 0xd0 && marker <= 0xd9)) break
    if (length < 2 || at + 2 + length > data.length) break
    if (marker === 0xda)
      return frames === 1 ? null : broken('a JPEG picture has another number of frames than one')
    if (FRAMES.has(marker)) {
      frames += 1
      const isOurs =
        length >= 8 &&
        data[at + 4] === 8 &&
        data.readUInt16BE(at + 5) === height &&
        data.readUInt16BE(at + 7) === width &&
        (data[at + 9] === 1 || data[at + 9] === 3)
      if (!isOurs) return broken('a JPEG picture has another size than its rectangle')
    }
    at += 2 + length
  }
  return broken('a JPEG picture has no scan')
}

const PNG_SIGNATURE = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')
const CHUNK_OVERHEAD = 12

/** IHDR, PLTE for a palette, IDAT, IEND and nothing else: no gamma, no transparency, no interlacing. */
function checkPng(data: Buffer, width: number, height: number): Fault | null {
  const chunks = pngChunks(data)
  if (!chunks) return broken('a PNG picture is cut, or a chunk of it is damaged')
  const [first, ...rest] = chunks
  if (first?.type !== 'IHDR' || first.data.length !== 13) return broken('a PNG picture has no header')
  const depth = first.data.readUInt8(8)
  const isIndexed = first.data[9] === 3
  const isKnown = isIndexed ? [1, 2, 4, 8].includes(depth) : first.data[9] === 2 && depth === 8
  const isOurs =
    first.data.readUInt32BE(0) === width &&
    first.data.readUInt32BE(4) === height &&
    isKnown &&
    first.data.readUIntBE(10, 3) === 0
  if (!isOurs) return broken('a PNG picture is of another size or kind than its rectangle needs')
  if (isIndexed) {
    const palette = rest.shift()
    const colours = (palette?.data.length ?? 0) / 3
    if (palette?.type !== 'PLTE' || !Number.isInteger(colours) || colours < 1 || colours > 2 ** depth)
      return broken('a PNG picture has no palette')
  }
  const last = rest.pop()
  if (last?.type !== 'IEND' || last.data.length !== 0 || rest.some(({ type }) => type !== 'IDAT'))
    return broken('a PNG picture has other chunks than it may')
  const row = 1 + Math.ceil((width * (isIndexed ? depth : 24)) / 8)
  const pixels = inflated(Buffer.concat(rest.map((chunk) => chunk.data)), row * height)
  if (!pixels) return broken('a PNG picture is not one whole zlib stream of its size')
  for (let at = 0; at < pixels.length; at += row) {
    if ((pixels[at] as number) > 4) return broken('a PNG picture has a row filter that there is not')
  }
  return null
}

/** The chunks of a PNG; null when they are not whole, or a checksum is wrong. */
function pngChunks(data: Buffer): { type: string; data: Buffer }[] | null {
  if (!data.subarray(0, 8).equals(PNG_SIGNATURE)) return null
  const chunks: { type: string; data: Buffer }[] = []
  let at = 8
  while (at < data.length) {
    if (data.length - at < CHUNK_OVERHEAD) return null
    const length = data.readUInt32BE(at)
    if (length > data.length - at - CHUNK_OVERHEAD) return null
    const end = at + 8 + length
    if (crc32(data.subarray(at + 4, end)) !== data.readUInt32BE(end)) return null
    chunks.push({ type: data.toString('latin1', at + 4, at + 8), data: data.subarray(at + 8, end) })
    at = end + 4
  }
  return chunks
}
