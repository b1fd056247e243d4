import { createHash } from 'node:crypto'
import { parseJson } from '../format/json.ts'
import { LINE_LIMIT, lineCountLimit, sizeLimit } from '../format/package-layout.ts'
import { fault, good, type Result } from '../format/result.ts'

/** Where a package's files come from: a zip on disk, a browser's file, a store. The verifier does no I/O itself. */
export interface PackageReader {
  files(): { path: string; size: number }[]
  /** The file's bytes, in pieces. Throws or breaks off when they cannot be read. */
  open(path: string): AsyncIterable<Uint8Array>
}

export interface Digest {
  bytes: number
  sha256: string
}

/**
 * A package that has been read once, from end to end. So a file that is damaged gives nothing to any check: what a
 * streaming reader would see of it before the damage shows depends on the reader.
 */
export interface IndexedPackage extends PackageReader {
  /** Null when there is no such file. */
  size(path: string): number | null
  /** Length and SHA-256; null when there is no such file, or it cannot be read whole. */
  digest(path: string): Digest | null
}

export async function indexPackage(reader: PackageReader): Promise<IndexedPackage> {
  const files = reader.files()
  const sizes = new Map(files.map((file) => [file.path, file.size]))
  const digests = new Map<string, Digest>()
  for (const { path, size } of files) {
    const digest = size > (sizeLimit(path) ?? -1) ? null : await digestOf(reader, path)
    if (digest) digests.set(path, digest)
  }
  return {
    files: () => files,
    size: (path) => sizes.get(path) ?? null,
    digest: (path) => digests.get(path) ?? null,
    open: (path) => (digests.has(path) ? reader.open(path) : damaged(path)),
  }
}

// biome-ignore lint/correctness/useYield: the reading breaks off before the first byte
async function* damaged(path: string): AsyncGenerator<Uint8Array> {
  throw new Error(`${path} cannot be read whole`)
}

/** A whole small file as text. Codes: package-file-missing, package-size, package-unreadable. */
export async function readText(reader: IndexedPackage, path: string): Promise<Result<string>> {
  const size = reader.size(path)
  if (size === null) return fault('package-file-missing', 'the file is missing')
  if (size > (sizeLimit(path) ?? 0)) return fault('package-size', 'the file is larger than allowed')
  const pieces: Uint8Array[] = []
  try {
    for await (const piece of reader.open(path)) pieces.push(piece)
    return good(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(pieces)))
  } catch (error) {
    return fault('package-unreadable', `the file cannot be read: ${messageOf(error)}`)
  }
}

/** The lines of an .ndjson file, parsed; a line that is none comes as undefined, and ends the reading. */
export async function* readLines(
  reader: PackageReader,
  path: string,
): AsyncGenerator<{ line: number; value: unknown }> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let rest: Buffer = Buffer.alloc(0)
  let line = 0
  let given = 0
  const most = lineCountLimit(path)
  try {
    for await (const piece of reader.open(path)) {
      rest = Buffer.concat([rest, piece])
      for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
        line += 1
        if (end > LINE_LIMIT) throw new RangeError('the line is too long')
        if (line > most) throw new RangeError('too many lines')
        yield { line, value: parseJson(decoder.decode(rest.subarray(0, end))) }
        given = line
        rest = rest.subarray(end + 1)
      }
      if (rest.length > LINE_LIMIT) break
    }
  } catch {
    yield { line: given + 1, value: undefined }
    return
  }
  if (rest.length > 0) yield { line: line + 1, value: undefined }
}

async function digestOf(reader: PackageReader, path: string): Promise<Digest | null> {
  const hash = createHash('sha256')
  let bytes = 0
  try {
    for await (const piece of reader.open(path)) {
      hash.update(piece)
      bytes += piece.length
    }
  } catch {
    return null
  }
  return { bytes, sha256: hash.digest('hex') }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
