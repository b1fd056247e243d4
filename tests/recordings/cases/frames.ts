import { FLAG } from '../../../recordings/format/frame.ts'
import { FrameSealer } from '../../../recordings/format/frame-sealer.ts'
import { buildHeader } from '../../../recordings/format/header.ts'
import type { ManifestSegment } from '../../../recordings/format/manifest.ts'
import { exampleHeader } from '../../../recordings/format/testing/example-header.ts'
import { bytesOf } from '../fixture-keys.ts'
import { type Case, invalid } from './case.ts'
import { flipped, onSegment, overwritten, reframed, swapped } from './change.ts'

/** Frame 1 of another recording: same key, number, times and content, sealed under another header. */
function foreignFrame(): Buffer {
  const header = buildHeader(exampleHeader(bytesOf('foreign')))
  const sealer = new FrameSealer(
    bytesOf('foreign'),
    header.hh,
    (into) => void bytesOf('foreign nonce', 12).copy(into),
  )
  sealer.seal(Buffer.from('first\n'), { t0Ms: 0, t1Ms: 0, keyframe: true })
  return Buffer.concat(sealer.seal(Buffer.from('x'.repeat(98)), { t0Ms: 1_200, t1Ms: 2_000 }).parts)
}

/** A frame with other flags. */
function flagged(part: Buffer | undefined, flags: number): Buffer {
  const copy = Buffer.from(part ?? [])
  copy[8] = flags
  return copy
}

/** Check 3: frames inside a segment, and their chain. */
export const FRAMES: Case[] = [
  invalid(
    'chunk-altered',
    { chain: 'chunk-altered', anchors: 'anchor-head-missing' },
    reframed(0, (parts) => parts.with(2, flipped(parts[2], 60))),
  ),
  invalid(
    'chunk-missing',
    { chain: 'chunk-missing', anchors: 'anchor-head-missing' },
    reframed(0, (parts) => parts.toSpliced(2, 1)),
  ),
  invalid(
    'chunk-reordered',
    { chain: 'chunk-reordered', anchors: 'anchor-head-missing' },
    reframed(0, (parts) => swapped(parts, 2, 3)),
  ),
  invalid(
    'chunk-foreign',
    { chain: 'chunk-foreign', anchors: 'anchor-head-missing' },
    {
      ...reframed(0, (parts) => parts.with(2, foreignFrame())),
    },
  ),
  invalid(
    'frame-time',
    { chain: 'frame-time' },
    {
      segments: onSegment('input', 1, (plan) => {
        for (const chunk of plan.chunks) {
          chunk.t0 = Math.min(chunk.t0, 299_000)
          chunk.t1 = Math.min(chunk.t1, 299_000)
        }
      }),
    },
  ),
  invalid(
    'frame-body-length',
    { chain: 'frame-body-length', anchors: 'anchor-head-missing' },
    reframed(0, (parts) => parts.with(2, overwritten(parts[2], 0, 15))),
  ),
  invalid(
    'frame-unknown-flag',
    { chain: 'frame-unknown-flag', anchors: 'anchor-head-missing' },
    reframed(0, (parts) => parts.with(2, overwritten(parts[2], 5, 32))),
  ),
  invalid(
    'frame-plain-length',
    { chain: 'frame-plain-length', anchors: 'anchor-head-missing' },
    reframed(0, (parts) => parts.with(2, overwritten(parts[2], 25, 1))),
  ),
  invalid(
    'frame-gap',
    { chain: 'frame-gap', anchors: 'anchor-head-missing' },
    reframed(0, (parts) => parts.with(2, overwritten(parts[2], 5, 2))),
  ),
  invalid(
    'keyframe-missing',
    { chain: 'keyframe-missing', anchors: 'anchor-head-missing', gaps: 'gap-unfounded' },
    {
      segments: onSegment('screen', 1, (plan) => {
        const [first] = plan.chunks
        if (first) first.meta = {}
      }),
    },
  ),
  invalid(
    'bytes-after-final',
    { chain: 'bytes-after-final' },
    {
      ...reframed(1, (parts) => [...parts, Buffer.from('more')]),
      manifest: (m) => {
        ;(m.segments[1] as ManifestSegment).bytes += 4
      },
    },
  ),
  invalid(
    'frame-empty',
    { chain: 'frame-empty' },
    // The empty last chunk of segment 0 without its flag final.
    reframed(0, (parts) => parts.with(4, flagged(parts[4], 0))),
  ),
  invalid(
    'frame-empty-deflated',
    { chain: 'frame-empty' },
    reframed(0, (parts) => parts.with(4, flagged(parts[4], FLAG.final | FLAG.deflate))),
  ),
  invalid(
    'keyframe-misplaced',
    { chain: 'keyframe-misplaced' },
    {
      segments: onSegment('screen', 0, ({ chunks }) => {
        if (chunks[2]) chunks[2].meta = { keyframe: true }
      }),
    },
  ),
  invalid(
    'keyframe-misplaced-in-input',
    { chain: 'keyframe-misplaced' },
    {
      segments: onSegment('input', 0, ({ chunks }) => {
        if (chunks[1]) chunks[1].meta = { keyframe: true }
      }),
    },
  ),
]
