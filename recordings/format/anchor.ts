import { z } from 'zod'
import { type AnchorHead, anchorLeaf } from '../../broker/contract/anchor.ts'
import { sha256Hex } from '../../broker/contract/audit-entry.ts'
import { inclusionPath, leafHash, merkleRoot, rootFromInclusion } from '../../broker/domain/merkle.ts'
import { count, stream, u32 } from './fields.ts'

export type { AnchorHead }

export interface AnchorTree {
  root: Buffer
  size: number
  /** The heads in tree order: sorted by their leaf bytes. */
  heads: AnchorHead[]
  /** The inclusion proof of the head at `index`. */
  proof(index: number): { index: number; size: number; path: Buffer[] }
}

/** The tree over all live heads; null when nothing is live (then there is no anchor). */
export function anchorTree(heads: readonly AnchorHead[]): AnchorTree | null {
  if (heads.length === 0) return null
  const sorted = heads
    .map((head) => ({ head, leaf: anchorLeaf(head) }))
    .sort((a, b) => Buffer.compare(a.leaf, b.leaf))
  const hashes = sorted.map((one) => leafHash(one.leaf))
  return {
    root: merkleRoot(hashes),
    size: hashes.length,
    heads: sorted.map((one) => one.head),
    proof: (index) => ({ index, size: hashes.length, path: inclusionPath(hashes, index) }),
  }
}

/** One line of `audit/anchors.ndjson`: a head, its place under an anchor, and that anchor's log entry. */
export const anchorProof = z.strictObject({
  /** Log index of the `recording.anchor` entry. */
  entry: count,
  stream,
  segment: u32,
  seq: u32,
  c: sha256Hex,
  index: count,
  size: count,
  /** From the leaf upwards. */
  path: z.array(sha256Hex).max(64),
})
export type AnchorProof = z.infer<typeof anchorProof>

/** The root that a proof leads to, hex; null when its path has the wrong length. */
export function anchorRoot(recording: string, proof: AnchorProof): string | null {
  const path = proof.path.map((node) => Buffer.from(node, 'hex'))
  const leaf = leafHash(anchorLeaf({ recording, ...proof }))
  return rootFromInclusion(leaf, proof.index, proof.size, path)?.toString('hex') ?? null
}
