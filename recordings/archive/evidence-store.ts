import type { Readable } from 'node:stream'

export type PutResult = 'stored' | 'same' | 'conflict' | 'mismatch'

/**
 * Where evidence is kept: put-once objects under keys that this product makes. A folder by default; a store with
 * Object Lock later. Nothing here overwrites or deletes.
 */
export interface EvidenceStore {
  /**
   * Keeps the bytes if they have this length and SHA-256 (hex), and only once: `same` when these very bytes are
   * there already, `conflict` when others are, `mismatch` when the bytes are not what was announced.
   */
  put(key: EvidenceKey, sha256: string, length: number, body: Readable): Promise<PutResult>
  /** Null when there is no such object. */
  size(key: EvidenceKey): Promise<number | null>
  /** SHA-256 (hex) of what is there now, read afresh; null when there is no such object. */
  hash(key: EvidenceKey): Promise<string | null>
  /** Throws when there is no such object. */
  read(key: EvidenceKey): Readable
  space(): Promise<{ freeBytes: number; reserveBytes: number; ok: boolean }>
}

/**
 * The name of an object: a recording's segment, the wrapped key of a segment, or its manifest or receipt. Made from a
 * UUID and numbers only, so no path of a client's making reaches the disk (threat 20).
 */
export type EvidenceKey = string & { readonly __evidenceKey: true }

const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}'
const KEY = new RegExp(
  `^${UUID}/((screen|input)/(0|[1-9][0-9]{0,5})\\.spr|keys/(screen|input)-(0|[1-9][0-9]{0,5})\\.jwe|manifest\\.jws|receipt\\.jws)$`,
)

export function evidenceKey(path: string): EvidenceKey | null {
  return KEY.test(path) ? (path as EvidenceKey) : null
}

export const segmentKey = (recording: string, stream: string, number: number): EvidenceKey =>
  checked(`${recording}/${stream}/${number}.spr`)
export const wrapKey = (recording: string, stream: string, number: number): EvidenceKey =>
  checked(`${recording}/keys/${stream}-${number}.jwe`)
export const manifestKey = (recording: string): EvidenceKey => checked(`${recording}/manifest.jws`)
export const receiptKey = (recording: string): EvidenceKey => checked(`${recording}/receipt.jws`)

function checked(path: string): EvidenceKey {
  const key = evidenceKey(path)
  if (!key) throw new TypeError('not the name of an evidence object')
  return key
}
