import { ByteQueue } from './byte-queue.ts'
import {
  CHAIN_BYTES,
  chainHash,
  FLAG,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  framePrefix,
  NONCE_BYTES,
  P,
  readFrameHeader,
} from './frame.ts'
import { HEADER_LIMIT, headerHash, parseHeader, SEGMENT_MAGIC, type SegmentHeader } from './header.ts'

export interface ReadFrame extends FrameHeader {
  nonce: Buffer
  body: Buffer
  /** P of this frame: the AAD. A copy. */
  p: Buffer
  c: Buffer
  /** Where the frame begins in the file. */
  offset: number
}

export interface SegmentFault {
  code: string
  message: string
  offset: number
  seq: number
  /** Set when nothing followed the altered chunk that could tell an alteration from a foreign chunk. */
  undecided?: { stored: Buffer; computed: Buffer }
}

/**
 * Reads a segment file as it arrives and verifies header and chain: `push` bytes, take `frames()`, `end()` at the
 * end. Holds one frame at most. Only frames whose chain holds come out; after the first fault none do, but bytes
 * are still scanned to name the fault (missing or moved, altered or foreign). No key is needed.
 *
 * Codes: bad-magic, header-*, frame-*, chunk-missing, chunk-reordered, chunk-altered, chunk-foreign,
 * bytes-after-final, keyframe-missing, keyframe-misplaced.
 */
export class SegmentReader {
  header: SegmentHeader | null = null
  hh: Buffer | null = null
  /** The chain's head: last good C, or HH. */
  head: Buffer | null = null
  chunks = 0
  final = false
  fault: SegmentFault | null = null
  /** Length of the verified prefix: header and every good frame. A recovery cuts here. */
  goodBytes = 0
  lastT1Ms = 0

  readonly #queue = new ByteQueue()
  #headerLength: number | null = null
  #frame: FrameHeader | null = null
  #p: Buffer = Buffer.alloc(0)
  #ready: ReadFrame[] = []
  #keyframes = true
  #offset = 0
  /** After a chain or sequence fault: what is needed to name it. */
  #suspect: { stored: Buffer; computed: Buffer } | null = null
  #missing: number | null = null
  #stopped = false

  push(bytes: Uint8Array): void {
    if (this.#stopped || bytes.length === 0) return
    this.#queue.push(bytes)
    while (!this.#stopped && this.#step()) {
      // Each step consumes one part of the file.
    }
  }

  /** Takes the frames verified since the last call. */
  frames(): ReadFrame[] {
    const ready = this.#ready
    this.#ready = []
    return ready
  }

  /** Bytes after the last good frame that form no complete frame: a torn tail. Call after the last push. */
  end(): { tornBytes: number } {
    if (this.#suspect && this.fault) this.fault.undecided = this.#suspect
    return { tornBytes: this.fault ? 0 : this.#queue.length + (this.#offset - this.goodBytes) }
  }

  #step(): boolean {
    if (this.header === null) return this.#readStart()
    if (this.#frame === null) return this.#readFrameStart()
    return this.#readFrameRest(this.#frame)
  }

  #readStart(): boolean {
    if (this.#headerLength === null) {
      const start = this.#take(8)
      if (!start) return false
      if (!start.subarray(0, 4).equals(SEGMENT_MAGIC))
        return this.#fail('bad-magic', 'the file does not begin with SPR1')
      const length = start.readUInt32BE(4)
      if (length < 2 || length > HEADER_LIMIT) {
        return this.#fail('header-length', `header_len is ${length}, allowed are 2 to ${HEADER_LIMIT}`)
      }
      this.#headerLength = length
    }
    const json = this.#take(this.#headerLength)
    if (!json) return false
    const parsed = parseHeader(json)
    if (!parsed.ok) return this.#fail(parsed.code, parsed.message)
    this.header = parsed.value
    this.hh = headerHash(json)
    this.head = this.hh
    this.#p = framePrefix(this.hh)
    this.goodBytes = this.#offset
    return true
  }

  #readFrameStart(): boolean {
    if (this.final && !this.fault) {
      return this.#queue.length > 0 && this.#fail('bytes-after-final', 'bytes follow the final chunk')
    }
    const start = this.#take(FRAME_HEADER_BYTES + NONCE_BYTES)
    if (!start) return false
    const frame = readFrameHeader(start, 0)
    if (!frame.ok) return this.#fail(frame.code, frame.message)
    if (!this.fault) this.#p.set(this.head ?? [], P.previous)
    this.#p.set(start, P.fh)
    this.#frame = frame.value
    return true
  }

  #readFrameRest(frame: FrameHeader): boolean {
    const rest = this.#take(frame.bodyLength + CHAIN_BYTES)
    if (!rest) return false
    this.#frame = null
    const body = rest.subarray(0, frame.bodyLength)
    const stored = rest.subarray(frame.bodyLength)
    if (this.fault) return this.#explain(frame, body, stored)
    const computed = chainHash(this.#p, body)
    if (frame.seq !== this.chunks) return this.#outOfSequence(frame, body, stored)
    if (!computed.equals(stored)) {
      this.fault = this.#faultHere('chunk-altered', `chunk ${this.chunks} does not match its chain value`)
      this.#suspect = { stored: Buffer.from(stored), computed }
      return true
    }
    return this.#accept(frame, body, computed)
  }

  #accept(frame: FrameHeader, body: Buffer, c: Buffer): boolean {
    const problem = this.#ruleProblem(frame)
    if (problem) return this.#fail(...problem)
    this.#ready.push({
      ...frame,
      nonce: Buffer.from(this.#p.subarray(P.nonce)),
      body,
      p: Buffer.from(this.#p),
      c,
      offset: this.goodBytes,
    })
    this.chunks += 1
    this.head = c
    this.final = (frame.flags & FLAG.final) !== 0
    this.goodBytes = this.#offset
    this.lastT1Ms = frame.t1Ms
    return true
  }

  /** Rules over frames that the chain alone does not hold. */
  #ruleProblem(frame: FrameHeader): [string, string] | null {
    if (frame.t1Ms < this.lastT1Ms) return ['frame-time', `chunk ${frame.seq} ends before the one before it`]
    const keyframe = (frame.flags & FLAG.keyframe) !== 0
    if (frame.seq === 0 && !keyframe)
      return ['keyframe-missing', 'the segment does not begin with a keyframe']
    const belongs = frame.seq === 0 || (this.header?.stream === 'screen' && this.#keyframes)
    if (keyframe && !belongs) {
      return ['keyframe-misplaced', `chunk ${frame.seq} is a keyframe where none belongs`]
    }
    this.#keyframes = keyframe
    return null
  }

  #outOfSequence(frame: FrameHeader, body: Buffer, stored: Buffer): boolean {
    const expected = this.chunks
    const asExpected = Buffer.from(this.#p)
    asExpected.writeUInt32BE(expected, P.fh + 4)
    if (chainHash(asExpected, body).equals(stored)) {
      return this.#fail('chunk-altered', `chunk ${expected} carries the number ${frame.seq}`)
    }
    if (frame.seq < expected) {
      return this.#fail('chunk-reordered', `chunk ${frame.seq} stands where ${expected} belongs`)
    }
    this.fault = this.#faultHere('chunk-missing', `chunk ${expected} is missing, ${frame.seq} follows`)
    this.#missing = expected
    return true
  }

  /** Looks past the first fault, only to name it. */
  #explain(frame: FrameHeader, body: Buffer, stored: Buffer): boolean {
    const found = this.fault
    if (!found) return false
    if (this.#missing !== null) {
      if (frame.seq !== this.#missing) return true
      this.fault = {
        ...found,
        code: 'chunk-reordered',
        message: `chunk ${this.#missing} stands at the wrong place`,
      }
      return this.#stop()
    }
    if (!this.#suspect) return this.#stop()
    const chains = [this.#suspect.stored, this.#suspect.computed].some((previous) => {
      this.#p.set(previous, P.previous)
      return chainHash(this.#p, body).equals(stored)
    })
    this.#suspect = null
    if (!chains) {
      this.fault = {
        ...found,
        code: 'chunk-foreign',
        message: `chunk ${found.seq} does not belong to this chain`,
      }
    }
    return this.#stop()
  }

  #take(length: number): Buffer | null {
    const bytes = this.#queue.take(length)
    if (bytes) this.#offset += length
    return bytes
  }

  #faultHere(code: string, message: string): SegmentFault {
    return { code, message, offset: this.goodBytes, seq: this.chunks }
  }

  #fail(code: string, message: string): boolean {
    this.fault ??= this.#faultHere(code, message)
    return this.#stop()
  }

  #stop(): boolean {
    this.#stopped = true
    this.#queue.clear()
    return false
  }
}
