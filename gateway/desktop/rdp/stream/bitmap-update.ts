import { isDesktopSize } from '../../limits.ts'
import { Violation } from '../../violation.ts'
import { decodeInterleaved } from './interleaved-rle.ts'
import { decodePlanar } from './planar.ts'

/** TS_BITMAP_DATA (MS-RDPBCGR 2.2.9.1.1.3.1.2.2). */
interface BitmapData {
  left: number
  top: number
  right: number
  bottom: number
  width: number
  height: number
  bits: number
  isCompressed: boolean
  data: Buffer
}

const COMPRESSED = 0x0001
const NO_COMPRESSION_HEADER = 0x0400
const COMPRESSION_HEADER = 8
const RECTANGLE = 18
const UPDATE_TYPE_BITMAP = 1
const FASTPATH_BITMAP = 1
/** A fast-path packet's length has 15 bits; one of these stays well below. */
const MAX_DATA = 16_000
const MAX_COLUMNS = 1024

/**
 * Servers pad a bitmap to a multiple of four pixels and say in its rectangle how much of it is meant; one may also reach
 * over the desktop's edge. IronRDP 0.7 draws both sheared, or panics. Such an update is taken apart here and said again
 * in raw bitmaps of exactly their rectangles.
 *
 * `update` begins with the update's type. Null: it can go on as it is. Throws Violation.
 */
export function exactBitmaps(update: Buffer, desktop: { width: number; height: number }): Buffer[] | null {
  const bitmaps = [...readBitmaps(update)]
  const isExact = (one: BitmapData) =>
    one.width > 0 &&
    one.height > 0 &&
    one.width === one.right - one.left + 1 &&
    one.height === one.bottom - one.top + 1 &&
    one.right < desktop.width &&
    one.bottom < desktop.height
  if (bitmaps.every(isExact)) return null
  return bitmaps.flatMap((one) => [...exactly(one, desktop)])
}

function* readBitmaps(update: Buffer): Iterable<BitmapData> {
  if (update.length < 4) throw new Violation('a bitmap update that ends too soon')
  let at = 4
  for (let left = update.readUInt16LE(2); left > 0; left--) {
    if (at + RECTANGLE > update.length) throw new Violation('a bitmap update that ends too soon')
    const word = (n: number) => update.readUInt16LE(at + n * 2)
    const flags = word(7)
    const end = at + RECTANGLE + word(8)
    if (end > update.length) throw new Violation('a bitmap that is longer than its update')
    const isCompressed = (flags & COMPRESSED) !== 0
    const skip = isCompressed && (flags & NO_COMPRESSION_HEADER) === 0 ? COMPRESSION_HEADER : 0
    yield {
      left: word(0),
      top: word(1),
      right: word(2),
      bottom: word(3),
      width: word(4),
      height: word(5),
      bits: word(6),
      isCompressed,
      data: update.subarray(Math.min(end, at + RECTANGLE + skip), end),
    }
    at = end
  }
}

function* exactly(one: BitmapData, desktop: { width: number; height: number }): Iterable<Buffer> {
  const { left, top, width, height, bits } = one
  const meantWidth = Math.min(width, one.right - left + 1, desktop.width - left)
  const meantHeight = Math.min(height, one.bottom - top + 1, desktop.height - top)
  if (meantWidth <= 0 || meantHeight <= 0) return
  if (!isDesktopSize(width, height)) throw new Violation('a bitmap of an impossible size')
  const bytes = bits === 32 ? 4 : bits === 24 ? 3 : bits === 8 ? 1 : 2
  const rows = one.isCompressed
    ? bits === 32
      ? decodePlanar(one.data, width, height)
      : decodeInterleaved(one.data, width, height, bits)
    : one.data
  // Raw rows are padded to four bytes, decoded ones are not.
  const stride = one.isCompressed ? width * bytes : padded(width * bytes)
  if (rows.length < stride * height) throw new Violation('a bitmap that is shorter than its size')
  for (let x = 0; x < meantWidth; x += MAX_COLUMNS) {
    const columns = Math.min(MAX_COLUMNS, meantWidth - x)
    const rowBytes = padded(columns * bytes)
    const most = Math.floor(MAX_DATA / rowBytes)
    for (let y = 0; y < meantHeight; y += most) {
      const count = Math.min(most, meantHeight - y)
      const data = Buffer.alloc(count * rowBytes)
      // From the bottom up, there and here.
      for (let n = 0; n < count; n++) {
        const at = (height - 1 - (y + count - 1 - n)) * stride + x * bytes
        rows.copy(data, n * rowBytes, at, at + columns * bytes)
      }
      yield fastPathBitmap({ left: left + x, top: top + y, width: columns, height: count, bits }, data)
    }
  }
}

const padded = (length: number) => (length + 3) & ~3

function fastPathBitmap(
  { left, top, width, height, bits }: Pick<BitmapData, 'left' | 'top' | 'width' | 'height' | 'bits'>,
  data: Buffer,
): Buffer {
  const updateLength = 4 + RECTANGLE + data.length
  const length = 3 + 3 + updateLength
  const packet = Buffer.alloc(length)
  packet.writeUInt16BE(0x8000 | length, 1)
  packet.writeUInt8(FASTPATH_BITMAP, 3)
  packet.writeUInt16LE(updateLength, 4)
  const words = [
    ...[UPDATE_TYPE_BITMAP, 1],
    ...[left, top, left + width - 1, top + height - 1, width, height, bits, 0, data.length],
  ]
  words.forEach((word, n) => {
    packet.writeUInt16LE(word, 6 + n * 2)
  })
  packet.set(data, 6 + words.length * 2)
  return packet
}
