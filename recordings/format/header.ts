import { z } from 'zod'
import { sha256Hex, uuid } from '../../broker/contract/audit-entry.ts'
import { jcs, sha256 } from '../../broker/domain/canonical.ts'
import { complaint, count, hasUnknownField, stream, u32, word } from './fields.ts'
import { parseJson } from './json.ts'
import { fault, good, type Result } from './result.ts'

/**
 * The first part of a segment file: "SPR1" | u32 header_len | header JSON. The JSON is RFC 8785 canonical, so it has
 * one spelling; HH = SHA-256("sallyport/header/v1\0" || header JSON) binds every frame to it.
 */
export const SEGMENT_MAGIC = Buffer.from('SPR1', 'ascii')
export const HEADER_LIMIT = 16_384
const HEADER_DOMAIN = 'sallyport/header/v1\0'

export const targetIdentity = z.discriminatedUnion('kind', [
  /** `fingerprint` as OpenSSH prints it: SHA256:… */
  z.strictObject({ kind: z.literal('ssh-host-key'), algorithm: word(64), fingerprint: word(128) }),
  /** SHA-256 of the certificate's DER, lower-case hex. */
  z.strictObject({ kind: z.literal('certificate'), fingerprint: sha256Hex }),
  z.strictObject({ kind: z.literal('none') }),
])
export type TargetIdentity = z.infer<typeof targetIdentity>

const MEDIA = ['asciicast-v2', 'rfb-v1'] as const
export type Media = (typeof MEDIA)[number]

const headerFields = z.strictObject({
  v: z.literal(1),
  deployment: uuid,
  site: uuid,
  recording: uuid,
  session: uuid,
  stream,
  /** Counts from 0 in each stream. */
  segment: u32,
  /** The last C of this stream's previous segment (its HH when it holds no chunk); null in segment 0. */
  prev: sha256Hex.nullable(),
  /** SHA-256 of the compact JWS, as ASCII, of the grant that opened the session. */
  grant: sha256Hex,
  policy: sha256Hex,
  asset: sha256Hex,
  target: targetIdentity,
  /** The person's pseudonymous id; the printed name stands in chunk 0, sealed. */
  user: word(200),
  account: word(64),
  gateway: z.strictObject({ id: uuid, version: word(40), boot: uuid }),
  /** `wall_ms`: the gateway's wall clock at this segment's start; `t_ms`: the session's monotonic time then. */
  clock: z.strictObject({
    wall_ms: count,
    t_ms: count,
    source: word(40),
    /** Measured offset to the broker's clock, gateway minus broker; null when never measured. */
    offset_ms: z.number().int().min(-Number.MAX_SAFE_INTEGER).max(Number.MAX_SAFE_INTEGER).nullable(),
  }),
  media: z.enum(MEDIA),
  /** 0: not sampled (a terminal records every byte); desktops state 1 to 100, in both streams. */
  sampling_ms: z.number().int().min(0).max(100),
  /** HMAC-SHA256(data key, "sallyport/dek-commit/v1"). */
  dek_commitment: sha256Hex,
  /** Name of the object that holds the wrapped data key. */
  key_object: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9/._-]{0,199}$/),
})
export const segmentHeader = headerFields.refine(
  ({ media, sampling_ms }) => media === 'asciicast-v2' || sampling_ms > 0,
  { path: ['sampling_ms'], message: 'a desktop is sampled' },
)
export type SegmentHeader = z.infer<typeof segmentHeader>

export interface BuiltHeader {
  /** What the file begins with. */
  bytes: Buffer
  hh: Buffer
}

/** Builds the start of a segment file. Throws when `header` breaks its schema: that is a bug of the recorder. */
export function buildHeader(header: SegmentHeader): BuiltHeader {
  const json = jcs(segmentHeader.parse(header))
  if (json.length > HEADER_LIMIT) throw new RangeError('segment header is too long')
  const length = Buffer.alloc(4)
  length.writeUInt32BE(json.length)
  return { bytes: Buffer.concat([SEGMENT_MAGIC, length, json]), hh: headerHash(json) }
}

export function headerHash(json: Uint8Array): Buffer {
  return sha256(HEADER_DOMAIN, json)
}

/** Reads header JSON. Codes: header-malformed, header-unknown-field, header-not-canonical. */
export function parseHeader(json: Uint8Array): Result<SegmentHeader> {
  let value: unknown
  try {
    value = parseJson(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(json))
  } catch {
    return fault('header-malformed', 'the segment header is not JSON')
  }
  const parsed = segmentHeader.safeParse(value)
  if (!parsed.success) {
    const code = hasUnknownField(parsed.error) ? 'header-unknown-field' : 'header-malformed'
    return fault(code, `segment header, ${complaint(parsed.error)}`)
  }
  // One spelling only: otherwise two parsers could read two headers out of the same bytes (duplicate keys).
  if (Buffer.compare(jcs(parsed.data), json) !== 0) {
    return fault('header-not-canonical', 'the segment header is not RFC 8785 canonical JSON')
  }
  return good(parsed.data)
}
