import type { ByteFlow } from './byte-flow.ts'
import type { Area } from './desktop-way.ts'

const PIXEL_BYTES = 4
/** What stands for a size, a pointer, a name, and paints nothing. */
const LAST_RECT = -224

/**
 * Reads one FramebufferUpdate after its type: what it paints. Nothing is unpacked, on any way alike, because only the
 * lengths are needed. Encodings are those that noVNC 1.7 asks for and that TigerVNC or we send.
 */
export function* readUpdate(flow: ByteFlow): Generator<void, Area[], void> {
  yield* flow.take(1)
  const areas: Area[] = []
  for (let left = yield* flow.u16(); left > 0; left--) {
    const head = yield* flow.take(12)
    const area = {
      x: head.readUInt16BE(0),
      y: head.readUInt16BE(2),
      width: head.readUInt16BE(4),
      height: head.readUInt16BE(6),
    }
    const encoding = head.readInt32BE(8)
    if (encoding === LAST_RECT) return areas
    if (yield* readBody(flow, area, encoding)) areas.push(area)
  }
  return areas
}

/** Whether it paints. */
function* readBody(flow: ByteFlow, area: Area, encoding: number): Generator<void, boolean, void> {
  const { width, height } = area
  switch (encoding) {
    case 0:
      yield* flow.take(width * height * PIXEL_BYTES)
      return true
    case 1:
      yield* flow.take(4)
      return true
    case 6:
    case 16:
      yield* flow.take(yield* flow.u32())
      return true
    case 7:
    case -260:
      yield* readTight(flow, area)
      return true
    case -239:
      yield* flow.take(width * height * PIXEL_BYTES + Math.ceil(width / 8) * height)
      return false
    case 0x574d5664: {
      const isAlpha = (yield* flow.take(2)).readUInt8(0) === 1
      yield* flow.take(width * height * PIXEL_BYTES * (isAlpha ? 1 : 2))
      return false
    }
    case -308:
      yield* flow.take(3 + 16 * (yield* flow.u8()))
      return false
    case -307:
      yield* flow.take(yield* flow.u32())
      return false
    case -261:
      yield* flow.take(1)
      return false
    case -223:
    case -258:
    case -316:
      return false
    default:
      throw new Error(`a server sent encoding ${encoding}`)
  }
}

function* readTight(flow: ByteFlow, { width, height }: Area): Generator<void, void, void> {
  const kind = (yield* flow.u8()) >> 4
  if (kind === 8) {
    yield* flow.take(3)
    return
  }
  // JPEG or PNG.
  if (kind > 8) {
    yield* flow.take(yield* compactLength(flow))
    return
  }
  let row = width * 3
  if ((kind & 4) !== 0 && (yield* flow.u8()) === 1) {
    const colours = (yield* flow.u8()) + 1
    yield* flow.take(colours * 3)
    row = colours === 2 ? Math.ceil(width / 8) : width
  }
  yield* flow.take(row * height < 12 ? row * height : yield* compactLength(flow))
}

function* compactLength(flow: ByteFlow): Generator<void, number, void> {
  let length = 0
  for (let place = 0; place < 3; place++) {
    const byte = yield* flow.u8()
    length |= (place < 2 ? byte & 0x7f : byte) << (7 * place)
    if ((byte & 0x80) === 0) break
  }
  return length
}
