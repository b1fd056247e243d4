import type { PackageReader } from '../../recordings/verify/package-reader.ts'

/** A package in memory, handed out in pieces of `step` bytes. */
export function mapReader(files: Map<string, Buffer>, step = 1000): PackageReader {
  return {
    files: () => [...files].map(([path, content]) => ({ path, size: content.length })),
    async *open(path) {
      const content = files.get(path)
      if (!content) throw new Error('no such file')
      for (let at = 0; at < content.length; at += step) yield content.subarray(at, at + step)
    },
  }
}
