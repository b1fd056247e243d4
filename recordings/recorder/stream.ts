import { createHash, type Hash } from 'node:crypto'
import type { Stream } from '../../broker/domain/words.ts'
import type { AnchorHead } from '../format/anchor.ts'
import { dataKeyCommitment } from '../format/data-key.ts'
import { CHUNK_LIMIT, type ChunkMeta, FrameSealer } from '../format/frame-sealer.ts'
import { buildHeader, type SegmentHeader } from '../format/header.ts'
import type { ManifestSegment } from '../format/manifest.ts'
import { segmentFile } from '../spool/layout.ts'
import type { RecorderLimits } from './api.ts'
import { type KeySource, prepareSegmentKey, type SegmentKey } from './segment-key.ts'
import { SegmentQueue } from './segment-queue.ts'

/** A chunk above this was cut under load: deflating it would hold up the loop. */
const DEFLATE_LIMIT = 32 * 1024

/** What a stream's chunks are made from: the lines of a terminal, the records of a desktop. */
export interface SegmentContent {
  /** Bytes that wait to become a chunk. */
  readonly length: number
  /** Writes what is held back: the segment ends here. */
  flush(micros: number): void
  /** The waiting bytes: a view, valid until the next call that adds. */
  view(): Buffer
  clear(): void
}

/** Writes the first content of a segment. */
export type SegmentStart<Content> = (
  content: Content,
  segment: number,
  micros: number,
  cut: () => void,
) => void

export interface StreamOptions<Content extends SegmentContent> {
  stream: Stream
  folder: string
  keys: KeySource
  /** Fresh content for each segment; small at first: most sessions show little, and nobody types much. */
  content: () => Content
  /** Whether small chunks are deflated; pictures are packed already. */
  deflate: boolean
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

/** Segments of one stream: content in, sealed frames to the queue, the next key ready before it is needed. */
export class StreamRecorder<Content extends SegmentContent> {
  readonly segments: ManifestSegment[] = []
  readonly queue: SegmentQueue
  readonly #options: StreamOptions<Content>
  #open: OpenSegment | null = null
  #content: Content
  #next: SegmentKey | null = null
  #preparing: Promise<void> = Promise.resolve()
  #nextNumber = 0
  #previous: string | null = null
  #t0: number | null = null
  #t1 = 0
  #lastEnd = 0
  #isClosed = false

  constructor(options: StreamOptions<Content>) {
    this.#options = options
    this.#content = options.content()
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
    return this.#open ? this.#open.plain + this.#content.length : 0
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

  /**
   * Begins a segment and finishes the one before. `write` gives its first content, which says what the segment is and,
   * for a screen, restores it, all at `micros`; what it gives between two calls of `cut` becomes a keyframe chunk.
   */
  begin(atMs: number, write: SegmentStart<Content>): void {
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
    this.#content = this.#options.content()
    const cut = () => {
      if (this.#content.length === 0) return
      this.#mark(atMs)
      this.#cut({ keyframe: true })
    }
    write(this.#content, number, micros(atMs), cut)
    cut()
    void this.prepare().catch(() => {})
  }

  /** Adds content of this moment, and cuts a chunk when there is enough. */
  add(atMs: number, write: (content: Content, micros: number) => void): void {
    write(this.#content, micros(atMs))
    this.#mark(atMs)
    if (this.#content.length >= this.#options.limits.chunkBytes) this.#cut({})
  }

  /** Makes room for so many bytes in one chunk. */
  room(bytes: number): void {
    if (this.#content.length + bytes > CHUNK_LIMIT) this.#cut({})
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

  #finish(atMs: number): void {
    const open = this.#open
    if (!open) return
    this.#content.flush(micros(atMs))
    if (this.#content.length > this.#options.limits.chunkBytes) this.#cut({})
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
    const plain = this.#content.view()
    if (plain.length === 0 && !kind.final) return
    const meta: ChunkMeta = {
      t0Ms: this.#t0 ?? this.#lastEnd,
      t1Ms: Math.max(this.#t1, this.#lastEnd),
      ...kind,
      clockAnomaly: this.#options.clockJumped(),
      deflate: this.#options.deflate && plain.length <= DEFLATE_LIMIT,
    }
    const frame = open.sealer.seal(plain, meta)
    open.plain += plain.length
    this.#content.clear()
    this.#lastEnd = meta.t1Ms
    this.#t0 = null
    for (const part of frame.parts) open.sha256.update(part)
    open.bytes += frame.bytes
    this.queue.frame(open.number, frame)
  }
}

/** Whole microseconds, so that a frame's milliseconds are rounded as the times in it are. */
function micros(atMs: number): number {
  return Math.floor(atMs * 1000)
}
