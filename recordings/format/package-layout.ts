import { z } from 'zod'
import { instant, sha256Hex } from '../../broker/contract/audit-entry.ts'
import { STREAMS, type Stream } from '../../broker/domain/words.ts'
import { count, word } from './fields.ts'

/** Names and limits of the files in an evidence package. */
export const PACKAGE_FILES = {
  readme: 'README.txt',
  manifest: 'manifest.jws',
  receipt: 'receipt.jws',
  grant: 'grant.jws',
  ticket: 'ticket.json',
  policy: 'policy.json',
  asset: 'asset.json',
  custody: 'custody.ndjson',
  package: 'package.jws',
  entries: 'audit/entries.ndjson',
  anchors: 'audit/anchors.ndjson',
  checkpoint: 'audit/checkpoint',
  earlier: 'audit/earlier.ndjson',
  cosignatures: 'audit/cosignatures',
} as const

export const segmentPath = (stream: Stream, number: number) => `segments/${stream}-${number}.spr`
export const keyPath = (stream: Stream, number: number) => `keys/${stream}-${number}.jwe`
export const approvalPath = (hash: string) => `approvals/${hash}.json`
export const laterGrantPath = (serial: number) => `grants/${serial}.jws`

const MEBIBYTE = 1024 * 1024
const U32_MAX = 0xffff_ffff
const SERIAL_MAX = 10_000
const FIXED = new Set<string>(Object.values(PACKAGE_FILES))
const NUMBER = '(?:0|[1-9][0-9]{0,9})'
const SEGMENT = new RegExp(`^segments/(${STREAMS.join('|')})-(${NUMBER})\\.spr$`)
const KEY = new RegExp(`^keys/(${STREAMS.join('|')})-(${NUMBER})\\.jwe$`)
const APPROVAL = /^approvals\/[0-9a-f]{64}\.json$/
const GRANT = /^grants\/([1-9][0-9]{0,4})\.jws$/

/** The largest size of a package file by its name; null when no file of that name belongs in a package. */
export function sizeLimit(path: string): number | null {
  if (segmentOf(path)) return 72 * MEBIBYTE
  if (path.endsWith('.ndjson') && FIXED.has(path)) return 64 * MEBIBYTE
  if (path === PACKAGE_FILES.manifest || path === PACKAGE_FILES.package) return 16 * MEBIBYTE
  if (path.endsWith('.jws') && (FIXED.has(path) || grantSerialOf(path) !== null)) return 8 * MEBIBYTE
  if (FIXED.has(path) || numbered(KEY, path) || APPROVAL.test(path)) return MEBIBYTE
  return null
}

/** Stream and number of a segment's path, or null. */
export function segmentOf(path: string): { stream: Stream; number: number } | null {
  return numbered(SEGMENT, path)
}

function numbered(pattern: RegExp, path: string): { stream: Stream; number: number } | null {
  const match = pattern.exec(path)
  const number = Number(match?.[2])
  return match && number <= U32_MAX ? { stream: match[1] as Stream, number } : null
}

/** Serial of a later grant's path, or null. */
export function grantSerialOf(path: string): number | null {
  const serial = Number(GRANT.exec(path)?.[1])
  return serial <= SERIAL_MAX ? serial : null
}

/** No line of an .ndjson file is longer. */
export const LINE_LIMIT = MEBIBYTE

/** No .ndjson file has more lines: short ones cost far more to judge than their bytes to read. */
export function lineCountLimit(path: string): number {
  return path === PACKAGE_FILES.earlier ? 10_000 : 100_000
}

/** One line of audit/entries.ndjson: the entry's exact text, and its audit path to audit/checkpoint. */
export const entryLine = z.strictObject({
  index: count,
  entry: z.string().max(65_536),
  path: z.array(sha256Hex).max(64),
})
export type EntryLine = z.infer<typeof entryLine>

/** One line of audit/earlier.ndjson: an earlier signed checkpoint and the consistency proof to audit/checkpoint. */
export const earlierLine = z.strictObject({ note: word(65_536), path: z.array(sha256Hex).max(128) })
export type EarlierLine = z.infer<typeof earlierLine>

/** One line of custody.ndjson: who had the evidence in hand. For people; the audit log is the proof. */
export const custodyLine = z.strictObject({
  v: z.literal(1),
  at: instant,
  event: word(60),
  by: word(300),
  note: word(1000).nullable(),
})
export type CustodyLine = z.infer<typeof custodyLine>
