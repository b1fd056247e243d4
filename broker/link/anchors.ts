import { type AnchorHead, anchorLeaf } from '../contract/anchor.ts'
import type { GatewayEvent } from '../contract/link.ts'
import { inclusionPath, leafHash, merkleRoot } from '../domain/merkle.ts'
import type { Tx } from '../store/sql.ts'

export type AnchorEvent = GatewayEvent & { kind: 'anchor' }

export interface PlacedHead {
  head: AnchorHead
  index: number
  path: Buffer[]
}

/**
 * Rebuilds an anchor's tree from its heads. Null when the root is another, the size is wrong, or a stream has two
 * heads: then it proves nothing and is not logged as an anchor.
 */
export function checkAnchor(event: AnchorEvent): { root: Buffer; size: number; placed: PlacedHead[] } | null {
  if (event.size !== event.heads.length || event.heads.length === 0) return null
  const streams = new Set(event.heads.map((head) => `${head.recording}/${head.stream}`))
  if (streams.size !== event.heads.length) return null
  const sorted = event.heads
    .map((head) => ({ head, leaf: anchorLeaf(head) }))
    .sort((a, b) => Buffer.compare(a.leaf, b.leaf))
  const hashes = sorted.map((one) => leafHash(one.leaf))
  const root = merkleRoot(hashes)
  if (root.toString('hex') !== event.root) return null
  return {
    root,
    size: hashes.length,
    placed: sorted.map((one, index) => ({ head: one.head, index, path: inclusionPath(hashes, index) })),
  }
}

/** Keeps each head's proof beside the audit entry that holds the root. */
export async function keepProofs(
  tx: Tx,
  anchor: { root: Buffer; size: number; placed: PlacedHead[] },
  entry: string,
  at: Date,
): Promise<void> {
  for (const { head, index, path } of anchor.placed) {
    const nodes = path.map((node) => node.toString('hex'))
    await tx`
      INSERT INTO anchor_head (recording_id, stream, segment, seq, c, root, leaf_index, size, path, entry, at)
      VALUES (${head.recording}, ${head.stream}, ${head.segment}, ${head.seq}, ${Buffer.from(head.c, 'hex')},
        ${anchor.root}, ${index}, ${anchor.size}, ${tx.json(nodes)}, ${entry}, ${at})
      ON CONFLICT DO NOTHING`
  }
}
