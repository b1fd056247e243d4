import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { ZipFile } from 'yazl'
import { PACKAGE_FILES, sizeLimit } from '../format/package-layout.ts'

/** One file of a package to be written. */
export interface PackageSource {
  path: string
  open(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>
}

export interface WrittenFile {
  path: string
  bytes: number
  sha256: string
}

export function fromBytes(path: string, content: Uint8Array | string): PackageSource {
  return { path, open: () => [typeof content === 'string' ? Buffer.from(content, 'utf8') : content] }
}

/** A source of JSON lines, made while it is read. */
export function fromLines(path: string, lines: AsyncIterable<unknown> | Iterable<unknown>): PackageSource {
  return {
    path,
    async *open() {
      for await (const line of lines) yield Buffer.from(`${JSON.stringify(line)}\n`, 'utf8')
    },
  }
}

/**
 * Writes a package: each source stored as it is, hashed on its way; then package.jws, which `seal` makes of the
 * sorted list. One file is read at a time, at the reader's pace. The stream errors when a source or `seal` fails:
 * a package is whole or it is none.
 */
export function writePackage(
  sources: readonly PackageSource[],
  seal: (files: WrittenFile[]) => Promise<string>,
  madeAtMs: number,
): Readable {
  const zip = new ZipFile()
  const options = { compress: false, mtime: new Date(madeAtMs), mode: 0o100644 }
  const written: WrittenFile[] = []
  const out = zip.outputStream as Readable
  const add = (path: string, open: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>) => {
    zip.addReadStreamLazy(path, options, (done) => {
      const stream = Readable.from(open(), { objectMode: false })
      stream.on('error', (error) => out.destroy(error))
      done(null, stream)
    })
  }
  const seen = new Set<string>()
  for (const source of sources) {
    if (sizeLimit(source.path) === null || source.path === PACKAGE_FILES.package || seen.has(source.path)) {
      throw new TypeError(`${source.path} does not belong in a package, or stands there already`)
    }
    seen.add(source.path)
    add(source.path, () => hashed(source, written))
  }
  add(PACKAGE_FILES.package, async function* () {
    const sorted = written.toSorted((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)))
    yield Buffer.from(await seal(sorted), 'ascii')
  })
  zip.on('error', (error: Error) => out.destroy(error))
  zip.end()
  return out
}

async function* hashed(source: PackageSource, written: WrittenFile[]): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256')
  const limit = sizeLimit(source.path) ?? 0
  let bytes = 0
  for await (const piece of source.open()) {
    bytes += piece.length
    if (bytes > limit) throw new RangeError(`${source.path} is larger than a package allows`)
    hash.update(piece)
    yield piece
  }
  written.push({ path: source.path, bytes, sha256: hash.digest('hex') })
}
