import { crc32 } from 'node:zlib'

/** What a zip says of its files beside what they are. Left out: the truth. */
export interface ZipLies {
  /** General purpose flags; 1 is "encrypted". */
  flags?: number
  /** 8 is deflate. */
  method?: number
  /** Every file's size as the directory says it. */
  size?: number
  /** Sizes and offsets stand in Zip64 fields. */
  zip64?: boolean
  /** CRC-32 and sizes follow the content; the local header says 0. */
  descriptors?: boolean
  /** Names in the local headers. */
  localName?: string
  before?: Buffer
  between?: Buffer
  after?: Buffer
  comment?: Buffer
  /** Files as the end record counts them. */
  count?: number
  /** Every record leads to the first file. */
  oneOffset?: boolean
}

const FULL = 0xffff_ffff

/** A zip writer that checks nothing: names, sizes and counts are written as told. */
export function lyingZip(files: Iterable<readonly [string, Buffer]>, lies: ZipLies = {}): Buffer {
  const { flags = 0, method = 0, zip64 = false, descriptors = false } = lies
  const out: Buffer[] = []
  let length = 0
  const put = (...parts: Buffer[]) => {
    for (const part of parts) {
      out.push(part)
      length += part.length
    }
  }
  if (lies.before) put(lies.before)
  const first = length
  const records: Buffer[] = []
  for (const [path, content] of files) {
    const name = Buffer.from(path)
    const offset = lies.oneOffset ? first : length
    const crc = crc32(content)
    const localName = Buffer.from(lies.localName ?? path)
    const localSize = descriptors ? 0 : content.length
    put(
      fields('PK\u0003\u0004', [2, 45], [2, flags | (descriptors ? 8 : 0)], [2, method], [4, 0]),
      fields('', [4, descriptors ? 0 : crc], [4, localSize], [4, localSize], [2, localName.length], [2, 0]),
      localName,
      content,
    )
    if (descriptors) put(fields('PK\u0007\u0008', [4, crc], [4, content.length], [4, content.length]))
    if (lies.between) put(lies.between)
    const size = lies.size ?? content.length
    const extra = zip64 ? fields('', [2, 1], [2, 24], [8, size], [8, size], [8, offset]) : Buffer.alloc(0)
    const short = (value: number) => (zip64 ? FULL : value)
    records.push(
      fields('PK\u0001\u0002', [2, 45], [2, 45], [2, flags], [2, method], [4, 0], [4, crc]),
      fields('', [4, short(size)], [4, short(size)], [2, name.length], [2, extra.length], [2, 0]),
      fields('', [2, 0], [2, 0], [4, 0], [4, short(offset)]),
      name,
      extra,
    )
  }
  const directory = length
  for (const record of records) put(record)
  const directorySize = length - directory
  const count = lies.count ?? records.length / 5
  if (zip64) {
    const end = length
    put(
      fields('PK\u0006\u0006', [8, 44], [2, 45], [2, 45], [4, 0], [4, 0], [8, count], [8, count]),
      fields('', [8, directorySize], [8, directory]),
      fields('PK\u0006\u0007', [4, 0], [8, end], [4, 1]),
    )
  }
  const short = (value: number, full: number) => (zip64 ? full : Math.min(value, full))
  const comment = lies.comment ?? Buffer.alloc(0)
  put(
    fields('PK\u0005\u0006', [2, 0], [2, 0], [2, short(count, 0xffff)], [2, short(count, 0xffff)]),
    fields('', [4, short(directorySize, FULL)], [4, short(directory, FULL)], [2, comment.length]),
    comment,
  )
  if (lies.after) put(lies.after)
  return Buffer.concat(out)
}

/** Little-endian integers of so many bytes each, behind a mark. */
function fields(mark: string, ...values: [width: 2 | 4 | 8, value: number][]): Buffer {
  const bytes = Buffer.alloc(mark.length + values.reduce((sum, [width]) => sum + width, 0))
  let at = bytes.write(mark, 'latin1')
  for (const [width, value] of values) {
    if (width === 2) bytes.writeUInt16LE(value, at)
    else if (width === 4) bytes.writeUInt32LE(value, at)
    else bytes.writeBigUInt64LE(BigInt(value), at)
    at += width
  }
  return bytes
}
