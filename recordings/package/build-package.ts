import type { Readable } from 'node:stream'
import type { ApprovalRecord } from '../../broker/contract/approval-record.ts'
import { approvalHash } from '../../broker/contract/approval-record.ts'
import type { Stream } from '../../broker/domain/words.ts'
import type { AnchorProof } from '../format/anchor.ts'
import type { Manifest, PackageList } from '../format/manifest.ts'
import {
  approvalPath,
  type CustodyLine,
  type EarlierLine,
  type EntryLine,
  keyPath,
  laterGrantPath,
  PACKAGE_FILES,
  segmentPath,
} from '../format/package-layout.ts'
import type { KeyWrap } from '../format/wrap.ts'
import { README } from './readme.ts'
import { fromBytes, fromLines, type PackageSource, writePackage } from './write-zip.ts'

/** What a package is made of. Each part comes from the module that holds it; none is read before its turn. */
export interface PackageParts {
  manifest: Manifest
  /** Compact JWS. */
  manifestJws: string
  receiptJws: string
  /** The opening grant, then later ones, with their serials. */
  grants: { serial: number; jws: string }[]
  approvals: ApprovalRecord[]
  /** Canonical JSON, the bytes that were hashed. */
  ticket: Uint8Array
  policy: Uint8Array
  asset: Uint8Array
  segment(stream: Stream, number: number): AsyncIterable<Uint8Array>
  /** The data key, wrapped to the package's recipient; null for a stream that stays sealed. */
  wrap(stream: Stream, number: number): Promise<KeyWrap | null>
  log: {
    /** Ascending by index, proven under `checkpoint`. */
    entries: AsyncIterable<EntryLine> | Iterable<EntryLine>
    anchors: AsyncIterable<AnchorProof> | Iterable<AnchorProof>
    checkpoint: string
    earlier: EarlierLine[]
    /** Signature lines of witnesses; null when there is none. */
    cosignatures: string | null
  }
  custody: CustodyLine[]
}

export interface PackagePurpose {
  purpose: string
  /** `kid` of the key that the wraps are for; null when the package carries none. */
  recipient: { name: string; kid: string | null }
  createdAtMs: number
}

/** The evidence package as a zip stream. `sign` makes package.jws (typ `sallyport-package+jws`, a broker key). */
export async function buildPackage(
  parts: PackageParts,
  purpose: PackagePurpose,
  sign: (list: PackageList) => Promise<string>,
): Promise<Readable> {
  const { manifest, log } = parts
  const [opening, ...later] = parts.grants
  if (!opening) throw new TypeError('a session has a grant')
  const sources: PackageSource[] = [
    fromBytes(PACKAGE_FILES.readme, README),
    fromBytes(PACKAGE_FILES.manifest, parts.manifestJws),
    fromBytes(PACKAGE_FILES.receipt, parts.receiptJws),
    fromBytes(PACKAGE_FILES.grant, opening.jws),
    ...later.map(({ serial, jws }) => fromBytes(laterGrantPath(serial), jws)),
    fromBytes(PACKAGE_FILES.ticket, parts.ticket),
    fromBytes(PACKAGE_FILES.policy, parts.policy),
    fromBytes(PACKAGE_FILES.asset, parts.asset),
    ...parts.approvals.map((record) =>
      fromBytes(approvalPath(approvalHash(record.document)), JSON.stringify(record)),
    ),
    fromLines(PACKAGE_FILES.entries, log.entries),
    fromLines(PACKAGE_FILES.anchors, log.anchors),
    fromBytes(PACKAGE_FILES.checkpoint, log.checkpoint),
    ...(log.earlier.length > 0 ? [fromLines(PACKAGE_FILES.earlier, log.earlier)] : []),
    ...(log.cosignatures === null ? [] : [fromBytes(PACKAGE_FILES.cosignatures, log.cosignatures)]),
    fromLines(PACKAGE_FILES.custody, parts.custody),
  ]
  for (const { stream, number } of manifest.segments) {
    sources.push({ path: segmentPath(stream, number), open: () => parts.segment(stream, number) })
    const wrap = await parts.wrap(stream, number)
    if (wrap) sources.push(fromBytes(keyPath(stream, number), JSON.stringify(wrap)))
  }
  return writePackage(
    sources,
    (files) =>
      sign({
        v: 1,
        deployment: manifest.deployment,
        recording: manifest.recording,
        session: manifest.session,
        purpose: purpose.purpose,
        recipient: purpose.recipient,
        created_at_ms: purpose.createdAtMs,
        files,
      }),
    purpose.createdAtMs,
  )
}
