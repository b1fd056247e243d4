import type { GatewayEvent } from '../../broker/contract/link.ts'
import { type AnchorHead, anchorTree } from '../../recordings/format/anchor.ts'

/** A control message is 256 KiB at most; a head takes about 200 bytes of it. */
const HEADS_PER_ANCHOR = 1000

/** Anchor events over these heads: one, or more where they don't fit into one message. None when nothing is live. */
export function anchorEvents(
  heads: readonly AnchorHead[],
  at: number,
): (GatewayEvent & { kind: 'anchor' })[] {
  // Of each stream only the newest head: a recording that closes between two questions is answered for twice.
  const newest = new Map<string, AnchorHead>()
  for (const head of heads) {
    const key = `${head.recording}/${head.stream}`
    const former = newest.get(key)
    if (
      !former ||
      head.segment > former.segment ||
      (head.segment === former.segment && head.seq > former.seq)
    )
      newest.set(key, head)
  }
  const all = [...newest.values()]
  const events: (GatewayEvent & { kind: 'anchor' })[] = []
  for (let from = 0; from < all.length; from += HEADS_PER_ANCHOR) {
    const tree = anchorTree(all.slice(from, from + HEADS_PER_ANCHOR))
    if (tree)
      events.push({ kind: 'anchor', root: tree.root.toString('hex'), size: tree.size, heads: tree.heads, at })
  }
  return events
}
