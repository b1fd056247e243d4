import { crc32 } from 'node:zlib'
import { type Entry, openPromise, type ZipFile } from 'yauzl'
import { sizeLimit } from '../format/package-layout.ts'
import { fault, good, type Result } from '../format/result.ts'
import { messageOf, type PackageReader } from '../verify/package-reader.ts'

const ENTRY_LIMIT = 50_000
/** Sizes are compared here: yauzl would do it before anybody can say that the file is encrypted. */
const OPTIONS = { lazyEntries: true, autoClose: false, decodeStrings: false, validateEntrySizes: false }
/** Encrypted, strongly encrypted, and with a masked local header. */
const ENCRYPTED = 0x0001 | 0x0040 | 0x2000
/** A local header without its name and extra field. */
const LOCAL_HEADER_BYTES = 30

export interface OpenPackage extends PackageReader {
  close(): void
}

/**
 * Opens an evidence package on disk. The file may come from an attacker: only known names, each once, stored and not
 * encrypted, each within its limit; nothing is ever written by a name from the zip. Names are taken raw, so that no
 * extra field renames a file for one reader and not for another. Codes: package-unreadable, package-name,
 * package-size, package-compressed.
 */
export async function openPackage(path: string): Promise<Result<OpenPackage>> {
  let zip: ZipFile
  try {
    zip = await openPromise(path, OPTIONS)
  } catch (error) {
    return fault('package-unreadable', `not a zip file: ${messageOf(error)}`)
  }
  if (zip.comment.length > 0) {
    // A comment may itself look like the end of a zip: two readers would see two zips.
    zip.close()
    return fault('package-unreadable', 'the zip has a comment')
  }
  const entries = new Map<string, Entry>()
  const problem = await readDirectory(zip, entries)
  if (problem) {
    zip.close()
    return problem
  }
  const files = [...entries].map(([name, entry]) => ({ path: name, size: entry.uncompressedSize }))
  return good({
    files: () => files,
    open: (name) => contentOf(zip, entries.get(name)),
    close: () => zip.close(),
  })
}

async function readDirectory(zip: ZipFile, entries: Map<string, Entry>) {
  if (zip.entryCount > ENTRY_LIMIT) return fault('package-unreadable', 'the zip has too many files')
  try {
    for await (const entry of zip.eachEntry()) {
      const name = entry.fileNameRaw.toString('latin1')
      if (name.endsWith('/')) return fault('package-unreadable', `${JSON.stringify(name)} is a directory`)
      const limit = sizeLimit(name)
      if (limit === null) return fault('package-name', `no file ${JSON.stringify(name)} belongs in a package`)
      if (entries.has(name)) return fault('package-unreadable', `${name} stands twice in the zip`)
      if (entry.compressionMethod !== 0 || (entry.generalPurposeBitFlag & ENCRYPTED) !== 0) {
        return fault('package-compressed', `${name} is compressed or encrypted; files are stored as they are`)
      }
      if (entry.compressedSize !== entry.uncompressedSize)
        return fault('package-unreadable', `${name} is stored, with two different sizes`)
      if (entry.uncompressedSize > limit)
        return fault('package-size', `${name} is larger than ${limit} bytes`)
      entries.set(name, entry)
    }
  } catch (error) {
    // yauzl looks at this flag itself, and shows no entry that has it.
    if (messageOf(error) === 'strong encryption is not supported')
      return fault('package-compressed', 'a file is encrypted; files are stored as they are')
    return fault('package-unreadable', `the zip's directory is broken: ${messageOf(error)}`)
  }
  return overlap(entries, zip.fileSize)
}

/** Bytes that two files share would be read for each of them: a small zip could hold terabytes. */
function overlap(entries: Map<string, Entry>, fileSize: number) {
  let end = 0
  const sorted = [...entries.values()].sort(
    (a, b) => a.relativeOffsetOfLocalHeader - b.relativeOffsetOfLocalHeader,
  )
  for (const entry of sorted) {
    const start = entry.relativeOffsetOfLocalHeader
    if (start < end) return fault('package-unreadable', 'two files share bytes of the zip')
    end = start + LOCAL_HEADER_BYTES + entry.fileNameRaw.length + entry.compressedSize
    if (end > fileSize) return fault('package-unreadable', 'a file reaches past the end of the zip')
  }
  return null
}

async function* contentOf(zip: ZipFile, entry: Entry | undefined): AsyncGenerator<Uint8Array> {
  if (!entry) throw new Error('no such file in the package')
  let crc = 0
  for await (const piece of await zip.openReadStreamPromise(entry)) {
    crc = crc32(piece as Buffer, crc)
    yield piece as Buffer
  }
  if (crc !== entry.crc32) throw new Error('CRC-32 differs')
}
