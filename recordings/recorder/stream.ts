import { createHash, type Hash } from 'node:crypto'
import type { Stream } from '../../broker/domain/words.ts'
import type { AnchorHead } from '../format/anchor.ts'
import { AsciicastEncoder, type AsciicastHeader, type EventCode } from '../format/asciicast.ts'
import { dataKeyCommitment } from '../format/data-key.ts'
import { type ChunkMeta, FrameSealer } from '../format/frame-sealer.ts'
import { buildHeader, type SegmentHeader } from '../format/header.ts'
import type { ManifestSegment } from '../format/manifest.ts'
import { segmentFile } from '../spool/layout.ts'
import type { RecorderLimits } from './api.ts'
import { type KeySource, prepareSegmentKey, type SegmentKey } from './segment-key.ts'
import { SegmentQueue } from './segment-queue.ts'

/** A chunk above this was cut under load: deflating it would hold up the loop. */
const DEFLATE_LIMIT = 32 * 1024
/** Raw bytes of one line. Escaped they may be six times as many, which bounds what a session keeps for its lines. */
const PIECE = 8 * 1024

export interface StreamOptions {
  stream: Stream
  folder: string
  keys: KeySource
  limits: RecorderLimits
  now: () => number
  /** Fields of the header that this stream does not know itself. */
  header: () => Omit<SegmentHeader, 'stream' | 'segment' | 'prev' | 'dek_commitment' | 'key_object'>
  /** Whether the wall clock has jumped since the last chunk. */
  clockJumped: () => boolean
  onProgress: () => void
  onFailure: (error: unknown) => void
}

interface OpenSegment {
  number: number
  sealer: FrameSealer
  hh: Buffer
  sha256: Hash
  bytes: number
  /** Bytes of content, with those that wait to be sealed. */
  plain: number
  startedAtMs: number
}

/** Segments of one stream: lines in, sealed frames to the queue, the next key ready before it is needed. */
export class StreamRecorder {
  readonly segments: ManifestSegment[] = []
  readonly queue: SegmentQueue
  readonly #options: StreamOptions
  #open: OpenSegment | null = null
  #encoder: AsciicastEncoder
  #next: SegmentKey | null = null
  #preparing: Promise<void> = Promise.resolve()
  #nextNumber = 0
  #previous: string | null = null
  #t0: number | null = null
  #t1 = 0
  #lastEnd = 0
  #isClosed = false

  constructor(options: StreamOptions) {
    this.#options = options
    this.#encoder = newEncoder()
    const { keys, limits, now, onProgress, onFailure } = options
    this.queue = new SegmentQueue({
      disk: keys.disk,
      now,
      syncBytes: limits.syncBytes,
      onProgress,
      onFailure,
    })
  }

  /** Content of the open segment so far, bytes. */
  get segmentBytes(): number {
    return this.#open ? this.#open.plain + this.#encoder.length : 0
  }

  get segmentStartedAtMs(): number {
    return this.#open?.startedAtMs ?? 0
  }

  /** Whether the next segment could begin now: its wrapped key is on disk. */
  get isReady(): boolean {
    return this.#next !== null
  }

  /** Prepares the next segment's key; `isReady` says when it is done. */
  prepare(): Promise<void> {
    const number = this.#nextNumber
    this.#preparing = prepareSegmentKey(this.#options.keys, number).then((key) => {
      this.#next = key
      this.#options.onProgress()
    })
    // The rejection is reported here; who awaits the promise gets it too.
    this.#preparing.catch((error: unknown) => this.#options.onFailure(error))
    return this.#preparing
  }

  /** Begins a segment with its asciicast header, and the keyframe for a screen. Finishes the one before. */
  begin(cast: (segment: number) => AsciicastHeader, keyframe: Uint8Array | null, atMs: number): void {
    const key = this.#next
    if (!key) throw new Error('the next segment has no key yet')
    if (this.#open) this.#finish(atMs)
    this.#next = null
    const number = this.#nextNumber
    this.#nextNumber += 1
    const header = this.#options.header()
    const built = buildHeader({
      ...header,
      stream: this.#options.stream,
      segment: number,
      prev: this.#previous,
      dek_commitment: dataKeyCommitment(key.dataKey),
      key_object: key.object,
    })
    this.#open = {
      number,
      sealer: new FrameSealer(key.dataKey, built.hh),
      hh: built.hh,
      sha256: createHash('sha256').update(built.bytes),
      bytes: built.bytes.length,
      plain: 0,
      startedAtMs: atMs,
    }
    // The key lives on in the sealer alone.
    key.dataKey.fill(0)
    this.queue.open(segmentFile(this.#options.folder, this.#options.stream, number), built.bytes)
    this.#encoder = newEncoder()
    this.#encoder.header(cast(number))
    if (keyframe) this.#writeKeyframe(keyframe, atMs)
    else {
      // An input segment's frame 0 is the header line alone: every later one means that something was sent.
      this.#mark(atMs)
      this.#cut({ keyframe: true })
    }
    void this.prepare().catch(() => {})
  }

  /** One event from raw bytes; cuts a chunk when there is enough. */
  bytes(code: EventCode, atMs: number, data: Uint8Array): void {
    for (let at = 0; at < data.length; at += PIECE) {
      this.#encoder.bytes(code, micros(atMs), data.subarray(at, at + PIECE))
      this.#mark(atMs)
      if (this.#encoder.length >= this.#options.limits.chunkBytes) this.#cut({})
    }
  }

  text(code: EventCode, atMs: number, data: string): void {
    this.#encoder.text(code, micros(atMs), data)
    this.#mark(atMs)
  }

  /** Cuts what waits, and has it synced. */
  flush(): void {
    this.#cut({})
    this.queue.sync()
  }

  heads(recording: string): AnchorHead[] {
    const head = this.queue.durable
    if (!head) return []
    return [
      {
        recording,
        stream: this.#options.stream,
        segment: head.segment,
        seq: head.seq,
        c: head.c.toString('hex'),
      },
    ]
  }

  /** Finishes the open segment and removes the key that was prepared for nothing. */
  async close(atMs: number): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    if (this.#open) this.#finish(atMs)
    await this.#preparing.catch(() => {})
    const unused = this.#next
    this.#next = null
    if (unused) await this.#options.keys.disk.remove(unused.path).catch(() => {})
    await this.queue.settled()
  }

  #writeKeyframe(keyframe: Uint8Array, atMs: number): void {
    for (let at = 0; at < keyframe.length || at === 0; at += PIECE) {
      this.#encoder.bytes('o', micros(atMs), keyframe.subarray(at, at + PIECE))
      this.#mark(atMs)
      this.#cut({ keyframe: true })
    }
  }

  #finish(atMs: number): void {
    const open = this.#open
    if (!open) return
    this.#encoder.flush(micros(atMs))
    if (this.#encoder.length > this.#options.limits.chunkBytes) this.#cut({})
    this.#mark(atMs)
    this.#cut({ final: true })
    this.queue.close()
    const last = open.sealer.head.toString('hex')
    this.segments.push({
      stream: this.#options.stream,
      number: open.number,
      bytes: open.bytes,
      sha256: open.sha256.digest('hex'),
      hh: open.hh.toString('hex'),
      last_c: last,
      chunks: open.sealer.chunks,
      final: true,
      torn_bytes: 0,
    })
    this.#previous = last
    this.#open = null
  }

  #mark(atMs: number): void {
    const at = Math.max(Math.floor(micros(atMs) / 1000), this.#lastEnd)
    this.#t0 ??= at
    this.#t1 = Math.max(at, this.#t1)
  }

  #cut(kind: { final?: boolean; keyframe?: boolean }): void {
    const open = this.#open
    if (!open) return
    const plain = this.#encoder.view()
    if (plain.length === 0 && !kind.final) return
    const meta: ChunkMeta = {
      t0Ms: this.#t0 ?? this.#lastEnd,
      t1Ms: Math.max(this.#t1, this.#lastEnd),
      ...kind,
      clockAnomaly: this.#options.clockJumped(),
      deflate: plain.length <= DEFLATE_LIMIT,
    }
    const frame = open.sealer.seal(plain, meta)
    open.plain += plain.length
    this.#encoder.clear()
    this.#lastEnd = meta.t1Ms
    this.#t0 = null
    for (const part of frame.parts) open.sha256.update(part)
    open.bytes += frame.bytes
    this.queue.frame(open.number, frame)
  }
}

/** Whole microseconds, so that a frame's milliseconds are rounded as its lines' times are. */
function micros(atMs: number): number {
  return Math.floor(atMs * 1000)
}

/** Small at first: most sessions show less than a kilobyte a second, and nobody types that much. */
function newEncoder(): AsciicastEncoder {
  return new AsciicastEncoder(1024)
}
