import { createHash } from 'node:crypto'
import { fault, good, type Result } from './result.ts'

/**
 * A frame of a segment file:  fh | nonce(12) | body | C
 *     fh   = u32 body_len | u32 seq | u8 flags | u64 t0_ms | u64 t1_ms | u32 plain_len
 *     body = AES-256-GCM ciphertext || tag(16)
 *     P[i] = "sallyport/chunk/v1\0" || HH || C[i-1] || fh || nonce,  AAD = P[i],  C[i] = SHA-256(P[i] || body)
 */
export const FRAME_HEADER_BYTES = 29
export const NONCE_BYTES = 12
export const TAG_BYTES = 16
export const CHAIN_BYTES = 32
export const BODY_LIMIT = 1024 * 1024
export const PLAIN_LIMIT = 4 * 1024 * 1024
/** What deflates better than this is stored as it is: a reader's memory is bounded by what it has read. */
export const INFLATE_RATIO = 100

export const FLAG = { final: 1, gap: 2, clockAnomaly: 4, keyframe: 8, deflate: 16 } as const
const KNOWN_FLAGS = 31

const CHUNK_DOMAIN = Buffer.from('sallyport/chunk/v1\0', 'ascii')
/** Offsets inside P. */
export const P = {
  hh: CHUNK_DOMAIN.length,
  previous: CHUNK_DOMAIN.length + CHAIN_BYTES,
  fh: CHUNK_DOMAIN.length + 2 * CHAIN_BYTES,
  nonce: CHUNK_DOMAIN.length + 2 * CHAIN_BYTES + FRAME_HEADER_BYTES,
  length: CHUNK_DOMAIN.length + 2 * CHAIN_BYTES + FRAME_HEADER_BYTES + NONCE_BYTES,
} as const

export interface FrameHeader {
  /** Length of ciphertext and tag. */
  bodyLength: number
  seq: number
  flags: number
  /** Milliseconds since the session's start, monotonic: first and last event in the chunk. */
  t0Ms: number
  t1Ms: number
  /** Length after decryption and inflating. */
  plainLength: number
}

/** A buffer for P with domain and HH in place; previous C, fh and nonce are written into it for each frame. */
export function framePrefix(hh: Uint8Array): Buffer {
  const p = Buffer.alloc(P.length)
  CHUNK_DOMAIN.copy(p)
  p.set(hh, P.hh)
  return p
}

export function writeFrameHeader(header: FrameHeader, into: Buffer, at: number): void {
  into.writeUInt32BE(header.bodyLength, at)
  into.writeUInt32BE(header.seq, at + 4)
  into.writeUInt8(header.flags, at + 8)
  writeU64(into, header.t0Ms, at + 9)
  writeU64(into, header.t1Ms, at + 17)
  into.writeUInt32BE(header.plainLength, at + 25)
}

/**
 * Reads and checks one fh. Codes: frame-body-length, frame-unknown-flag, frame-plain-length, frame-empty,
 * frame-gap, frame-time. Nothing is allocated by a length that has not passed here.
 */
export function readFrameHeader(bytes: Buffer, at: number): Result<FrameHeader> {
  const bodyLength = bytes.readUInt32BE(at)
  const flags = bytes.readUInt8(at + 8)
  const plainLength = bytes.readUInt32BE(at + 25)
  if (bodyLength < TAG_BYTES || bodyLength > BODY_LIMIT) {
    return fault('frame-body-length', `body_len is ${bodyLength}, allowed are 16 to ${BODY_LIMIT}`)
  }
  if ((flags & ~KNOWN_FLAGS) !== 0)
    return fault('frame-unknown-flag', `flags are ${flags}, known are 1 to 31`)
  const problem = lengthProblem(bodyLength, flags, plainLength)
  if (problem) return problem
  const t0Ms = readU64(bytes, at + 9)
  const t1Ms = readU64(bytes, at + 17)
  if (t0Ms === null || t1Ms === null || t0Ms > t1Ms) {
    return fault('frame-time', 't0 is after t1, or a time is above 2^53-1 ms')
  }
  return good({ bodyLength, seq: bytes.readUInt32BE(at + 4), flags, t0Ms, t1Ms, plainLength })
}

/** Empty means: nothing but the tag. Only a final or a gap frame may be empty, and a gap frame always is. */
function lengthProblem(bodyLength: number, flags: number, plainLength: number) {
  const empty = bodyLength === TAG_BYTES
  if (flags & FLAG.deflate) {
    if (empty || plainLength === 0) return fault('frame-empty', 'an empty frame has the deflate flag')
    if (plainLength > PLAIN_LIMIT || plainLength > INFLATE_RATIO * bodyLength) {
      return fault('frame-plain-length', `plain_len ${plainLength} is above 4 MiB or 100 times body_len`)
    }
  } else if (plainLength !== bodyLength - TAG_BYTES) {
    return fault('frame-plain-length', `plain_len is ${plainLength}, body_len says ${bodyLength - TAG_BYTES}`)
  }
  if (empty && !(flags & (FLAG.final | FLAG.gap))) {
    return fault('frame-empty', 'an empty frame is neither final nor a gap')
  }
  if (flags & FLAG.gap && !empty) return fault('frame-gap', 'a gap frame has content')
  return null
}

/** C[i] for a complete P and body (in one or more parts). */
export function chainHash(p: Uint8Array, ...body: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256').update(p)
  for (const part of body) hash.update(part)
  return hash.digest()
}

function writeU64(into: Buffer, value: number, at: number): void {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError('a frame time is a whole number of milliseconds')
  into.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at)
  into.writeUInt32BE(value % 0x1_0000_0000, at + 4)
}

function readU64(from: Buffer, at: number): number | null {
  const high = from.readUInt32BE(at)
  return high > 0x1f_ffff ? null : high * 0x1_0000_0000 + from.readUInt32BE(at + 4)
}
