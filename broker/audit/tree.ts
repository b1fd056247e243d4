import { sha256 } from '../domain/canonical.ts'
import { nodeHash, splitPoint } from '../domain/merkle.ts'

/**
 * The log's Merkle tree over stored hashes of complete subtrees: node (level, index) is the root over the leaves
 * [index * 2^level, (index + 1) * 2^level). Appending and proving touch O(log n) of them.
 */
export interface NodeAt {
  level: number
  index: number
}

export interface TreeNode extends NodeAt {
  hash: Uint8Array
}

/** The stored hash of a complete subtree. */
export type Lookup = (node: NodeAt) => Uint8Array

/** The complete subtrees that make up a tree of `size` leaves, left to right: one for each 1 bit of `size`. */
export function frontier(size: number): NodeAt[] {
  const nodes: NodeAt[] = []
  let start = 0
  for (let level = Math.floor(Math.log2(Math.max(1, size))); level >= 0; level--) {
    const width = 2 ** level
    if (size - start >= width) {
      nodes.push({ level, index: start / width })
      start += width
    }
  }
  return nodes
}

/** The tree hash of the first `size` leaves. Needs `frontier(size)`. */
export function rootOf(size: number, at: Lookup): Buffer {
  if (size === 0) return sha256(new Uint8Array())
  const hashes = frontier(size).map((node): Buffer => Buffer.from(at(node)))
  return hashes.reduceRight((right, left) => nodeHash(left, right))
}

/** All nodes that appending `leaves` to a tree of `size` completes, leaves included. Needs `frontier(size)`. */
export function append(size: number, leaves: readonly Uint8Array[], at: Lookup): TreeNode[] {
  const made: TreeNode[] = []
  // The right-most complete subtree of every level that still waits for its sibling.
  const waiting = new Map<number, Buffer>()
  for (const node of frontier(size)) waiting.set(node.level, Buffer.from(at(node)))
  leaves.forEach((leaf, offset) => {
    let index = size + offset
    let hash: Buffer = Buffer.from(leaf)
    let level = 0
    made.push({ level, index, hash })
    while (index % 2 === 1) {
      const left = waiting.get(level)
      if (!left) throw new Error(`node ${level}/${index - 1} is missing`)
      waiting.delete(level)
      hash = nodeHash(left, hash)
      index = (index - 1) / 2
      level++
      made.push({ level, index, hash })
    }
    waiting.set(level, hash)
  })
  return made
}

/** A range of leaves whose hash stands in a proof. */
interface Range {
  start: number
  end: number
}

/** RFC 6962 section 2.1.1: the ranges whose hashes make up the audit path, from the leaf upwards. */
function inclusionRanges(index: number, size: number): Range[] {
  const ranges: Range[] = []
  let start = 0
  let end = size
  while (end - start > 1) {
    const middle = start + splitPoint(end - start)
    if (index < middle) {
      ranges.push({ start: middle, end })
      end = middle
    } else {
      ranges.push({ start, end: middle })
      start = middle
    }
  }
  return ranges.reverse()
}

/** RFC 6962 section 2.1.2: PROOF(m, D[n]) = SUBPROOF(m, D[n], true). */
function consistencyRanges(oldSize: number, newSize: number): Range[] {
  const ranges: Range[] = []
  let start = 0
  let end = newSize
  // `whole`: the old tree ends exactly at `end`, and is still the old tree itself (b in the RFC).
  let whole = true
  while (oldSize !== end) {
    const middle = start + splitPoint(end - start)
    if (oldSize <= middle) {
      ranges.push({ start: middle, end })
      end = middle
    } else {
      ranges.push({ start, end: middle })
      start = middle
      whole = false
    }
  }
  if (!whole) ranges.push({ start, end })
  return ranges.reverse()
}

/** The hash of the leaves [start, end), where `start` is a multiple of the next power of two (as in proofs). */
function rangeNodes({ start, end }: Range): NodeAt[] {
  return frontier(end - start).map(({ level, index }) => ({ level, index: index + start / 2 ** level }))
}

function rangeHash(range: Range, at: Lookup): Buffer {
  return rangeNodes(range)
    .map((node): Buffer => Buffer.from(at(node)))
    .reduceRight((right, left) => nodeHash(left, right))
}

export interface ProofPlan {
  /** What to read from the store first. */
  needs: NodeAt[]
  path(at: Lookup): Buffer[]
}

function plan(ranges: Range[]): ProofPlan {
  return { needs: ranges.flatMap(rangeNodes), path: (at) => ranges.map((range) => rangeHash(range, at)) }
}

/** Audit path of leaf `index` in the tree of the first `size` leaves (RFC 6962 section 2.1.1). */
export function inclusionPlan(index: number, size: number): ProofPlan {
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) throw new RangeError('no such entry')
  return plan(inclusionRanges(index, size))
}

/** Consistency proof between two sizes (RFC 6962 section 2.1.2). Empty for equal sizes and from the empty tree. */
export function consistencyPlan(oldSize: number, newSize: number): ProofPlan {
  if (oldSize < 0 || oldSize > newSize) throw new RangeError('the old tree is larger than the new one')
  return plan(oldSize === 0 ? [] : consistencyRanges(oldSize, newSize))
}
