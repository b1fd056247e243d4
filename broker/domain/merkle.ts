import { sha256 } from './canonical.ts'

/**
 * Merkle tree hashes as in RFC 6962 section 2.1: a leaf is hashed with a 0x00 prefix and a node with 0x01, so a
 * node can never be passed off as a leaf.
 */
const LEAF = Uint8Array.of(0)
const NODE = Uint8Array.of(1)

export function leafHash(entry: Uint8Array): Buffer {
  return sha256(LEAF, entry)
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  return sha256(NODE, left, right)
}

/** The root over leaf *hashes*, in order. The empty tree's root is SHA-256 of nothing. */
export function merkleRoot(leaves: readonly Uint8Array[]): Buffer {
  if (leaves.length === 0) return sha256(new Uint8Array())
  if (leaves.length === 1) return Buffer.from(leaves[0] as Uint8Array)
  const split = splitPoint(leaves.length)
  return nodeHash(merkleRoot(leaves.slice(0, split)), merkleRoot(leaves.slice(split)))
}

/** The audit path of leaf `index` (RFC 6962 section 2.1.1), from the leaf upwards. */
export function inclusionPath(leaves: readonly Uint8Array[], index: number): Buffer[] {
  if (index < 0 || index >= leaves.length) throw new RangeError('no such leaf')
  if (leaves.length === 1) return []
  const split = splitPoint(leaves.length)
  return index < split
    ? [...inclusionPath(leaves.slice(0, split), index), merkleRoot(leaves.slice(split))]
    : [...inclusionPath(leaves.slice(split), index - split), merkleRoot(leaves.slice(0, split))]
}

/** The root that `path` leads to (RFC 9162 section 2.1.3.2), or null when the path has the wrong length. */
export function rootFromInclusion(
  leaf: Uint8Array,
  index: number,
  size: number,
  path: readonly Uint8Array[],
): Buffer | null {
  if (index < 0 || index >= size) return null
  let fn = index
  let sn = size - 1
  let hash: Buffer = Buffer.from(leaf)
  for (const sibling of path) {
    if (sn === 0) return null
    if (fn % 2 === 1 || fn === sn) {
      hash = nodeHash(sibling, hash)
      while (fn % 2 === 0 && fn !== 0) {
        fn = Math.floor(fn / 2)
        sn = Math.floor(sn / 2)
      }
    } else {
      hash = nodeHash(hash, sibling)
    }
    fn = Math.floor(fn / 2)
    sn = Math.floor(sn / 2)
  }
  return sn === 0 ? hash : null
}

/** Whether `path` proves that the tree of `oldSize` is a prefix of the tree of `newSize` (RFC 9162 section 2.1.4.2). */
export function verifyConsistency(
  oldSize: number,
  newSize: number,
  oldRoot: Uint8Array,
  newRoot: Uint8Array,
  path: readonly Uint8Array[],
): boolean {
  if (oldSize > newSize || oldSize < 0) return false
  if (oldSize === newSize) return path.length === 0 && Buffer.compare(oldRoot, newRoot) === 0
  if (oldSize === 0) return path.length === 0
  const steps = [...path]
  const powerOfTwo = Number.isInteger(Math.log2(oldSize))
  if (powerOfTwo) steps.unshift(oldRoot)
  let fn = oldSize - 1
  let sn = newSize - 1
  while (fn % 2 === 1) {
    fn = Math.floor(fn / 2)
    sn = Math.floor(sn / 2)
  }
  const first = steps.shift()
  if (!first) return false
  let fr: Buffer = Buffer.from(first)
  let sr: Buffer = Buffer.from(first)
  for (const step of steps) {
    if (sn === 0) return false
    if (fn % 2 === 1 || fn === sn) {
      fr = nodeHash(step, fr)
      sr = nodeHash(step, sr)
      while (fn % 2 === 0 && fn !== 0) {
        fn = Math.floor(fn / 2)
        sn = Math.floor(sn / 2)
      }
    } else {
      sr = nodeHash(sr, step)
    }
    fn = Math.floor(fn / 2)
    sn = Math.floor(sn / 2)
  }
  return sn === 0 && Buffer.compare(fr, oldRoot) === 0 && Buffer.compare(sr, newRoot) === 0
}

/** The largest power of two smaller than `size` (RFC 6962's k). */
export function splitPoint(size: number): number {
  let k = 1
  while (k * 2 < size) k *= 2
  return k
}
