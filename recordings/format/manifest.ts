import { z } from 'zod'
import { sha256Hex, uuid } from '../../broker/contract/audit-entry.ts'
import { SESSION_ENDS } from '../../broker/domain/words.ts'
import { count, stream, u32, word } from './fields.ts'

/** What a gateway signs when a recording is over (typ `sallyport-manifest+jws`). */
export const manifestSegment = z.strictObject({
  stream,
  number: u32,
  /** Verified bytes; `sha256` is over exactly these. The file is `bytes + torn_bytes` long. */
  bytes: count,
  sha256: sha256Hex,
  hh: sha256Hex,
  /** C of the last chunk; the segment's HH when it has none. */
  last_c: sha256Hex,
  chunks: u32,
  /** Whether the last chunk has the final flag. */
  final: z.boolean(),
  /** Bytes after the verified ones, left by a crash or a short write. 0 when final. */
  torn_bytes: count,
})

export const manifestGap = z.strictObject({
  stream,
  segment: u32,
  /** The gap frame's seq; for a segment that is not final the seq of the first chunk that is not there. */
  seq: u32,
  t0_ms: count,
  /** Equal to t0_ms when the end is unknown (a crash). */
  t1_ms: count,
  reason: word(200),
})

export const manifest = z.strictObject({
  v: z.literal(1),
  deployment: uuid,
  site: uuid,
  gateway: uuid,
  recording: uuid,
  session: uuid,
  ended: z.enum(['clean', 'recovered']),
  /** SHA-256 of the manifest JWS that this one replaces. */
  supersedes: sha256Hex.nullable(),
  session_end: z.enum(SESSION_ENDS),
  /** Wall clock of the gateway at signing, ms since the epoch. */
  signed_at_ms: count,
  /** Sorted: screen before input, then by number, without holes. */
  segments: z.array(manifestSegment).max(20_000),
  gaps: z.array(manifestGap).max(20_000),
  /** Segment files whose header never became whole: they hold nothing and are not in a package. */
  discarded: z.array(z.strictObject({ stream, number: u32, bytes: count })).max(64),
  hashes: z.strictObject({
    /** JWS hashes of the opening grant and of every later grant of the session, by serial. */
    grants: z.array(sha256Hex).min(1).max(256),
    /** Hashes of the approvals that the grants name. */
    approvals: z.array(sha256Hex).max(16_384),
    /** SHA-256 of the ticket snapshot's canonical JSON; null when the gateway was not told. */
    ticket: sha256Hex.nullable(),
    /** Transferred files. */
    files: z.array(z.strictObject({ name: word(500), bytes: count, sha256: sha256Hex })).max(1000),
  }),
})
export type Manifest = z.infer<typeof manifest>
export type ManifestSegment = z.infer<typeof manifestSegment>
export type ManifestGap = z.infer<typeof manifestGap>

/** The broker's answer to a manifest (typ `sallyport-receipt+jws`). */
export const receipt = z.strictObject({
  v: z.literal(1),
  deployment: uuid,
  recording: uuid,
  session: uuid,
  /** SHA-256 of the manifest's compact JWS. */
  manifest: sha256Hex,
  /** Log index of the session's `session.start` entry. */
  first_index: count,
  /** Log index of this manifest's `recording.manifest` entry. */
  last_index: count,
  signed_at_ms: count,
})
export type Receipt = z.infer<typeof receipt>

/** The list of a package's files (typ `sallyport-package+jws`), signed by the broker. */
export const packageList = z.strictObject({
  v: z.literal(1),
  deployment: uuid,
  recording: uuid,
  session: uuid,
  purpose: word(1000),
  /** Who the data keys are wrapped to; `kid` null when the package carries no keys. */
  recipient: z.strictObject({ name: word(200), kid: word(200).nullable() }),
  created_at_ms: count,
  /** Every file of the zip but package.jws, sorted by path. */
  files: z.array(z.strictObject({ path: word(200), bytes: count, sha256: sha256Hex })).max(50_000),
})
export type PackageList = z.infer<typeof packageList>
