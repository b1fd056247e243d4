import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  inclusionPath,
  leafHash,
  merkleRoot,
  rootFromInclusion,
  verifyConsistency,
} from '../domain/merkle.ts'
import { append, consistencyPlan, frontier, inclusionPlan, type NodeAt, rootOf } from './tree.ts'

/** The leaves and roots of the certificate-transparency reference implementation (google/certificate-transparency). */
const LEAVES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
].map((hex) => leafHash(Buffer.from(hex, 'hex')))
const ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]

function store() {
  const nodes = new Map<string, Uint8Array>()
  let size = 0
  const at = ({ level, index }: NodeAt) => {
    const hash = nodes.get(`${level}/${index}`)
    if (!hash) throw new Error(`no node ${level}/${index}`)
    return hash
  }
  return {
    at,
    add(leaves: readonly Uint8Array[]) {
      const made = append(size, leaves, at)
      for (const node of made) nodes.set(`${node.level}/${node.index}`, node.hash)
      size += leaves.length
      return made.length
    },
  }
}

const leavesOf = (count: number) =>
  Array.from({ length: count }, (_, n) => leafHash(Buffer.from(`entry ${n}`)))

describe('merkle tree', () => {
  it('has the empty tree hash of RFC 6962', () => {
    const empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    expect(merkleRoot([]).toString('hex')).toBe(empty)
    expect(rootOf(0, store().at).toString('hex')).toBe(empty)
  })

  it('gives the reference roots, leaf by leaf', () => {
    const tree = store()
    LEAVES.forEach((leaf, n) => {
      tree.add([leaf])
      expect(rootOf(n + 1, tree.at).toString('hex')).toBe(ROOTS[n])
      expect(merkleRoot(LEAVES.slice(0, n + 1)).toString('hex')).toBe(ROOTS[n])
    })
  })

  it('gives the reference consistency proofs', () => {
    const tree = store()
    tree.add(LEAVES)
    const proof = (from: number, to: number) =>
      consistencyPlan(from, to)
        .path(tree.at)
        .map((hash) => hash.toString('hex'))
    expect(proof(1, 1)).toEqual([])
    expect(proof(1, 8)).toEqual([
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ])
    expect(proof(6, 8)).toEqual([
      '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ])
  })

  it('does not depend on how leaves are batched, and proves every leaf and every older size', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 6 }), (batches) => {
        const tree = store()
        const total = batches.reduce((sum, n) => sum + n, 0)
        const leaves = leavesOf(total)
        let done = 0
        for (const count of batches) {
          tree.add(leaves.slice(done, done + count))
          done += count
        }
        const root = rootOf(total, tree.at)
        expect(root).toEqual(merkleRoot(leaves))
        for (let n = 0; n < total; n++) {
          const path = inclusionPlan(n, total).path(tree.at)
          expect(path).toEqual(inclusionPath(leaves, n))
          expect(rootFromInclusion(leaves[n] as Uint8Array, n, total, path)).toEqual(root)
          const older = n + 1
          const proof = consistencyPlan(older, total).path(tree.at)
          expect(verifyConsistency(older, total, rootOf(older, tree.at), root, proof)).toBe(true)
        }
      }),
      { numRuns: 60 },
    )
  })

  it('proofs fail for another leaf, another place and another history', () => {
    const leaves = leavesOf(13)
    const tree = store()
    tree.add(leaves)
    const root = rootOf(13, tree.at)
    const path = inclusionPlan(4, 13).path(tree.at)
    expect(rootFromInclusion(leafHash(Buffer.from('other')), 4, 13, path)).not.toEqual(root)
    expect(rootFromInclusion(leaves[4] as Uint8Array, 5, 13, path)).not.toEqual(root)
    expect(rootFromInclusion(leaves[4] as Uint8Array, 4, 13, path.slice(1))).not.toEqual(root)
    const proof = consistencyPlan(7, 13).path(tree.at)
    const forged = merkleRoot(leavesOf(6).concat(leafHash(Buffer.from('other'))))
    expect(verifyConsistency(7, 13, forged, root, proof)).toBe(false)
    expect(verifyConsistency(8, 13, rootOf(7, tree.at), root, proof)).toBe(false)
  })

  it('needs no more nodes than twice the tree height', () => {
    for (const size of [1, 2, 3, 1000, 65_535, 1_000_003]) {
      const height = Math.ceil(Math.log2(size)) + 1
      expect(frontier(size).length).toBeLessThanOrEqual(height)
      expect(inclusionPlan(Math.floor(size / 3), size).needs.length).toBeLessThanOrEqual(2 * height)
      expect(consistencyPlan(Math.ceil(size / 3), size).needs.length).toBeLessThanOrEqual(2 * height)
    }
  })
})
