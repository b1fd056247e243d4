import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { STREAMS, type Stream } from '../../broker/domain/words.ts'
import type { SegmentHeader } from '../format/header.ts'
import type { Manifest, ManifestGap, ManifestSegment } from '../format/manifest.ts'
import { SegmentReader } from '../format/segment-reader.ts'
import { segmentFile, segmentNumber } from './layout.ts'

export interface Salvaged {
  parts: Pick<Manifest, 'segments' | 'gaps' | 'discarded'>
  /** A header of the recording, to name it when session.json is gone. */
  header: SegmentHeader | null
  /** Last moment that verifies, ms since the session's start. */
  lastMs: number
  /** What doesn't fit a crash: altered chunks, a missing segment. The manifest covers what stands before it. */
  problems: string[]
}

export interface SalvageOptions {
  /** Why the recording stops, for the gap. */
  reason: string
  /** End of the gap, ms since the session's start; null when unknown (a crash). */
  endedAtMs: number | null
}

/**
 * Verifies the chains of a recording's segments without decrypting, up to each file's last whole frame. Files are
 * never changed: what follows the last whole frame is counted as torn.
 */
export async function salvage(folder: string, options: SalvageOptions): Promise<Salvaged> {
  const found: Salvaged = {
    parts: { segments: [], gaps: [], discarded: [] },
    header: null,
    lastMs: 0,
    problems: [],
  }
  for (const stream of STREAMS) await salvageStream(folder, stream, options, found)
  return found
}

async function salvageStream(
  folder: string,
  stream: Stream,
  options: SalvageOptions,
  found: Salvaged,
): Promise<void> {
  const numbers = (await namesIn(join(folder, stream)))
    .map(segmentNumber)
    .filter((number) => number !== null)
    .sort((a, b) => a - b)
  let lastMs = 0
  let previous: string | null = null
  for (const [index, number] of numbers.entries()) {
    if (number !== index) {
      found.problems.push(`${stream}: segment ${index} is missing`)
      break
    }
    const path = segmentFile(folder, stream, number)
    const { reader, size } = await verify(path)
    const { header, hh, head } = reader
    if (!header || !hh || !head) {
      found.parts.discarded.push({ stream, number, bytes: size })
      if (index < numbers.length - 1) found.problems.push(`${stream}: segment ${number} has no header`)
      break
    }
    if (reader.fault) found.problems.push(`${stream}: segment ${number}: ${reader.fault.code}`)
    if (header.prev !== previous || header.segment !== number || header.stream !== stream) {
      found.problems.push(`${stream}: segment ${number} does not follow the one before it`)
    }
    found.header ??= header
    lastMs = Math.max(lastMs, reader.lastT1Ms)
    previous = head.toString('hex')
    found.parts.segments.push({
      stream,
      number,
      bytes: reader.goodBytes,
      sha256: await hashOfPrefix(path, reader.goodBytes),
      hh: hh.toString('hex'),
      last_c: previous,
      chunks: reader.chunks,
      final: reader.final,
      torn_bytes: size - reader.goodBytes,
    })
    if (!reader.final) found.parts.gaps.push(gapAfter(stream, number, reader, options))
  }
  found.lastMs = Math.max(found.lastMs, lastMs)
  declareEnd(stream, found.parts)
}

/**
 * A stream that was never closed goes on after its last whole segment, and the manifest must say so: the next number
 * holds nothing, whether its file was made or not. A segment that breaks off says it by its gap, a file without a whole
 * header by being discarded.
 */
function declareEnd(stream: Stream, { segments, discarded }: Salvaged['parts']): void {
  const last = segments.findLast((segment) => segment.stream === stream)
  if ((last && !last.final) || discarded.some((one) => one.stream === stream)) return
  discarded.push({ stream, number: last ? last.number + 1 : 0, bytes: 0 })
}

function gapAfter(
  stream: Stream,
  segment: number,
  reader: SegmentReader,
  options: SalvageOptions,
): ManifestGap {
  const t0 = reader.lastT1Ms
  return {
    stream,
    segment,
    seq: reader.chunks,
    t0_ms: t0,
    t1_ms: Math.max(t0, options.endedAtMs ?? t0),
    reason: options.reason,
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    // A folder that is there and does not open is no empty one.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

async function verify(path: string): Promise<{ reader: SegmentReader; size: number }> {
  const reader = new SegmentReader()
  const { size } = await stat(path)
  if (size > 0) {
    for await (const piece of createReadStream(path, { end: size - 1, highWaterMark: 1024 * 1024 })) {
      reader.push(piece as Buffer)
      reader.frames()
    }
  }
  reader.end()
  return { reader, size }
}

async function hashOfPrefix(path: string, bytes: number): Promise<ManifestSegment['sha256']> {
  const hash = createHash('sha256')
  for await (const piece of createReadStream(path, { end: bytes - 1, highWaterMark: 1024 * 1024 })) {
    hash.update(piece as Buffer)
  }
  return hash.digest('hex')
}
