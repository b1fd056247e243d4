import { z } from 'zod'
import { uuid } from '../../broker/contract/audit-entry.ts'
import { stream, u32, word } from './fields.ts'
import { fault, good, type Result } from './result.ts'

/**
 * Content of a desktop recording: a segment's chunks hold records `u64 t_us | u32 len | message`, and a record never
 * crosses chunks, so what a crash leaves is a file too. The first record of a segment is its facts (JSON); the others
 * are complete RFB messages.
 */
export const RECORD_HEADER_BYTES = 12
/** A larger picture is several messages: a record fits into one chunk as it is. */
export const MESSAGE_LIMIT = 1_000_000
/** The facts are names; this is more than the longest of them make. */
const FACTS_LIMIT = 16_384

/** What the clear header leaves out, as the asciicast header says it for terminals. */
export const desktopFacts = z.strictObject({
  v: z.literal(1),
  recording: uuid,
  stream,
  segment: u32,
  /** Seconds since the epoch at the session's start, for players. */
  timestamp: u32,
  person: z.strictObject({ name: word(200), company: word(200) }),
  asset: word(200),
  site: word(200),
})
export type DesktopFacts = z.infer<typeof desktopFacts>

/** The facts as a message. Throws when they break their schema: that is a bug of the recorder. */
export function factsMessage(facts: DesktopFacts): Buffer {
  const message = Buffer.from(JSON.stringify(desktopFacts.parse(facts)), 'utf8')
  if (message.length > FACTS_LIMIT) throw new RangeError('the facts of a segment are too long')
  return message
}

/** Whether a message may be the facts by its length; what stands in it is for the schema. */
export const fitsFacts = (message: Uint8Array) => message.length <= FACTS_LIMIT

export interface DesktopRecord {
  /** Microseconds since the session's start. */
  micros: number
  message: Buffer
}

/** Splits a chunk into its records, as views. Code: content-record. */
export function readRecords(chunk: Buffer): Result<DesktopRecord[]> {
  const records: DesktopRecord[] = []
  for (let at = 0; at < chunk.length; ) {
    if (chunk.length - at < RECORD_HEADER_BYTES)
      return fault('content-record', 'a chunk ends inside the head of a record')
    const micros = chunk.readBigUInt64BE(at)
    const length = chunk.readUInt32BE(at + 8)
    at += RECORD_HEADER_BYTES
    if (micros > BigInt(Number.MAX_SAFE_INTEGER))
      return fault('content-record', 'the time of a record is too large')
    if (length === 0 || length > MESSAGE_LIMIT)
      return fault('content-record', `a message has ${length} bytes, not 1 to ${MESSAGE_LIMIT}`)
    if (length > chunk.length - at) return fault('content-record', 'a record does not end with its chunk')
    records.push({ micros: Number(micros), message: chunk.subarray(at, at + length) })
    at += length
  }
  return good(records)
}

/** Builds the records of a chunk. Times never go back: an earlier one is raised to the last. */
export class RecordEncoder {
  #buffer: Buffer
  #length = 0
  #lastMicros = 0

  constructor(capacity = 1024) {
    this.#buffer = Buffer.allocUnsafeSlow(capacity)
  }

  /** Bytes waiting to become a chunk. */
  get length(): number {
    return this.#length
  }

  add(micros: number, message: Uint8Array): void {
    if (message.length === 0 || message.length > MESSAGE_LIMIT)
      throw new RangeError(`a message has 1 to ${MESSAGE_LIMIT} bytes`)
    this.#room(RECORD_HEADER_BYTES + message.length)
    this.#lastMicros = Math.max(this.#lastMicros, Math.floor(micros))
    this.#buffer.writeBigUInt64BE(BigInt(this.#lastMicros), this.#length)
    this.#buffer.writeUInt32BE(message.length, this.#length + 8)
    this.#buffer.set(message, this.#length + RECORD_HEADER_BYTES)
    this.#length += RECORD_HEADER_BYTES + message.length
  }

  /** Nothing is held back: a record is whole when it is added. */
  flush(): void {}

  /** The waiting bytes: a view, valid until the next call that adds. Seal it, then `clear()`. */
  view(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  clear(): void {
    this.#length = 0
  }

  /** Not from Node's pool: what lives as long as a session would keep a whole slab of it. */
  #room(more: number): void {
    if (this.#length + more <= this.#buffer.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#length + more))
    this.#buffer.copy(grown, 0, 0, this.#length)
    this.#buffer = grown
  }
}
