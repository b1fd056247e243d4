import { createHash } from 'node:crypto'
import type { SegmentHeader } from '../format/header.ts'
import { SegmentReader } from '../format/segment-reader.ts'

/** Length of one bucket of the timeline's activity, ms. */
export const ACTIVITY_BUCKET_MS = 1000

/**
 * A day and more of seconds in one segment. A gateway that was taken over puts each frame at another far time; what is
 * beyond this is in the recording, and not on the timeline.
 */
const ACTIVITY_LIMIT = 100_000

export interface SegmentScan {
  header: SegmentHeader
  /** Times of the first and last event, ms since the session's start. */
  t0Ms: number
  t1Ms: number
  chunks: number
  final: boolean
  hh: string
  lastC: string
  goodBytes: number
  /** SHA-256 over the verified bytes: what the manifest names. */
  sha256: string
  tornBytes: number
  /** [bucket number, plaintext bytes] for each bucket with something in it. A chunk counts at its end. */
  activity: [number, number][]
  /** When each chunk ends, ms since the session's start, by seq. */
  chunkEnds: number[]
}

/**
 * Verifies a segment's chain without any key and gathers what lists and timelines need. One pass, constant memory.
 * A string is the fault's code.
 */
export async function scanSegment(chunks: AsyncIterable<Buffer>): Promise<SegmentScan | string> {
  const reader = new SegmentReader()
  const hash = createHash('sha256')
  // The hash covers the verified prefix, which is known only as frames complete; what is beyond waits here. A frame
  // is at most 1 MiB and the reader itself holds no more either.
  let pending: Buffer[] = []
  let hashed = 0
  let total = 0
  const activity = new Map<number, number>()
  const chunkEnds: number[] = []
  let t0Ms: number | null = null
  let t1Ms = 0
  for await (const chunk of chunks) {
    reader.push(chunk)
    pending.push(chunk)
    total += chunk.length
    while (pending.length > 0 && hashed < reader.goodBytes) {
      const first = pending[0] as Buffer
      const take = Math.min(first.length, reader.goodBytes - hashed)
      hash.update(first.subarray(0, take))
      hashed += take
      if (take === first.length) pending.shift()
      else pending[0] = first.subarray(take)
    }
    for (const frame of reader.frames()) {
      t0Ms ??= frame.t0Ms
      t1Ms = Math.max(t1Ms, frame.t1Ms)
      chunkEnds.push(frame.t1Ms)
      const bucket = Math.floor(frame.t1Ms / ACTIVITY_BUCKET_MS)
      const known = activity.get(bucket)
      if (frame.plainLength > 0 && (known !== undefined || activity.size < ACTIVITY_LIMIT))
        activity.set(bucket, (known ?? 0) + frame.plainLength)
    }
    if (reader.fault) return reader.fault.code
  }
  pending = []
  reader.end()
  if (!reader.header || !reader.hh || !reader.head) return 'header-missing'
  return {
    header: reader.header,
    t0Ms: t0Ms ?? reader.header.clock.t_ms,
    t1Ms: Math.max(t1Ms, reader.header.clock.t_ms),
    chunks: reader.chunks,
    final: reader.final,
    hh: reader.hh.toString('hex'),
    lastC: reader.head.toString('hex'),
    goodBytes: reader.goodBytes,
    sha256: hash.digest('hex'),
    tornBytes: total - reader.goodBytes,
    activity: [...activity].sort((a, b) => a[0] - b[0]),
    chunkEnds,
  }
}
