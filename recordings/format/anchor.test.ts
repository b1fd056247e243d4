import { expect, it } from 'vitest'
import { type AnchorHead, anchorLeaf } from '../../broker/contract/anchor.ts'
import { anchorProof, anchorRoot, anchorTree } from './anchor.ts'

const head = (n: number): AnchorHead => ({
  recording: `0193333${n % 10}-3333-7333-8333-333333333333`,
  stream: n % 2 === 0 ? 'screen' : 'input',
  segment: n,
  seq: n * 7,
  c: n.toString(16).padStart(64, '0'),
})

it('has one root whatever the order, and a proof for each head', () => {
  const heads = Array.from({ length: 13 }, (_, n) => head(n))
  const tree = anchorTree(heads)
  const reversed = anchorTree([...heads].reverse())
  if (!tree || !reversed) throw new Error('no tree')
  expect(reversed.root.equals(tree.root)).toBe(true)
  tree.heads.forEach((one, at) => {
    const { index, size, path } = tree.proof(at)
    const { recording, ...rest } = one
    const proof = anchorProof.parse({
      entry: 5,
      ...rest,
      index,
      size,
      path: path.map((node) => node.toString('hex')),
    })
    expect(anchorRoot(recording, proof)).toBe(tree.root.toString('hex'))
    expect(anchorRoot(recording, { ...proof, seq: proof.seq + 1 })).not.toBe(tree.root.toString('hex'))
  })
})

it('has no tree when nothing is live, and a leaf of 77 bytes', () => {
  expect(anchorTree([])).toBeNull()
  expect(anchorLeaf(head(1))).toHaveLength(20 + 16 + 9 + 32)
})
