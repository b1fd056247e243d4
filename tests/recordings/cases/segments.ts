import type { ManifestSegment } from '../../../recordings/format/manifest.ts'
import { segmentPath } from '../../../recordings/format/package-layout.ts'
import { hashHex, idOf } from '../fixture-keys.ts'
import { type Case, invalid } from './case.ts'
import { flipped, onSegment, reframed, reworded } from './change.ts'

const SCREEN0 = segmentPath('screen', 0)
const SCREEN1 = segmentPath('screen', 1)

/** Check 3: segment files, their headers and what the manifest says of them. */
export const SEGMENTS: Case[] = [
  invalid(
    'segment-foreign',
    { chain: 'segment-foreign', content: 'wrap-wrong-segment', authority: 'grant-mismatch' },
    {
      header: (header) => {
        if (header.stream === 'screen') header.recording = idOf('another recording')
      },
    },
  ),
  invalid(
    'segment-link',
    { chain: 'segment-link' },
    {
      header: (header) => {
        if (header.segment === 1 && header.stream === 'screen') header.prev = hashHex('another chain')
      },
    },
  ),
  invalid(
    'segment-left-out',
    { chain: 'segment-number', anchors: 'anchor-head-missing' },
    {
      manifest: (m) => {
        m.segments = m.segments.filter((segment) => segment.stream !== 'screen' || segment.number !== 0)
      },
      files: (files) => files.delete(SCREEN0),
    },
  ),
  invalid(
    'segment-undeclared',
    { chain: 'segment-undeclared' },
    {
      files: (files) => files.set(segmentPath('input', 2), files.get(segmentPath('input', 1)) as Buffer),
    },
  ),
  invalid(
    'segment-missing',
    { chain: 'segment-missing', anchors: 'anchor-head-missing', gaps: 'gap-unfounded' },
    {
      files: (files) => files.delete(SCREEN1),
    },
  ),
  invalid(
    'final-missing',
    { chain: 'final-missing' },
    {
      segments: onSegment('screen', 1, (plan) => {
        const last = plan.chunks.at(-1)
        if (last) last.meta = { ...last.meta, final: false }
      }),
    },
  ),
  invalid(
    'final-claimed',
    { chain: 'final-missing', gaps: 'gap-unfounded' },
    {
      recovered: true,
      manifest: (m) => {
        for (const segment of m.segments) segment.final = true
        for (const segment of m.segments) segment.torn_bytes = 0
      },
      frames: (parts) => parts.slice(0, -1),
    },
  ),
  invalid(
    'torn-bytes-undeclared',
    { chain: 'segment-length' },
    {
      recovered: true,
      manifest: (m) => {
        for (const segment of m.segments) segment.torn_bytes = 0
      },
    },
  ),
  invalid(
    'segment-cut',
    { chain: 'segment-cut' },
    {
      recovered: true,
      manifest: (m) => {
        const torn = m.segments.find((segment) => segment.torn_bytes > 0)
        if (torn) {
          torn.bytes += 5
          torn.torn_bytes -= 5
        }
      },
    },
  ),
  invalid(
    'segment-hash',
    { chain: 'segment-hash' },
    {
      manifest: (m) => {
        ;(m.segments[0] as { sha256: string }).sha256 = hashHex('other')
      },
    },
  ),
  invalid(
    'segment-last-chain',
    { chain: 'segment-last-chain' },
    {
      manifest: (m) => {
        ;(m.segments[3] as { last_c: string }).last_c = hashHex('other')
      },
    },
  ),
  invalid(
    'segment-inconsistent',
    { chain: 'segment-inconsistent' },
    {
      header: (header) => {
        if (header.stream === 'input') header.account = 'root'
      },
    },
  ),
  invalid(
    'header-unknown-field',
    { chain: 'header-unknown-field', anchors: 'anchor-head-missing', gaps: 'gap-unfounded' },
    reframed(1, (parts) => {
      const json = (parts[0] as Buffer).subarray(8).toString().replace(/\}$/, ',"zz":1}')
      const length = Buffer.alloc(4)
      length.writeUInt32BE(json.length)
      return parts.with(0, Buffer.concat([Buffer.from('SPR1'), length, Buffer.from(json)]))
    }),
  ),
  invalid(
    'bad-magic',
    { chain: 'bad-magic', anchors: 'anchor-head-missing', gaps: 'gap-unfounded' },
    reframed(1, (parts) => parts.with(0, flipped(parts[0], 3))),
  ),
  invalid(
    'header-length',
    { chain: 'header-length', anchors: 'anchor-head-missing', gaps: 'gap-unfounded' },
    reframed(1, (parts) => parts.with(0, flipped(parts[0], 4))),
  ),
  invalid(
    'header-malformed',
    { chain: 'header-malformed', anchors: 'anchor-head-missing', gaps: 'gap-unfounded' },
    reframed(1, (parts) => parts.with(0, reworded(parts[0], '"v":1}', '"v":2}'))),
  ),
  invalid(
    'header-not-canonical',
    { chain: 'header-not-canonical', anchors: 'anchor-head-missing', gaps: 'gap-unfounded' },
    reframed(1, (parts) => parts.with(0, reworded(parts[0], '"v":1}', '"v": 1}'))),
  ),
  invalid(
    'segment-cut-in-header',
    { chain: 'segment-cut', anchors: 'anchor-head-missing', gaps: 'gap-unfounded' },
    {
      ...reframed(1, (parts) => [(parts[0] as Buffer).subarray(0, 6)]),
      manifest: (m) => {
        ;(m.segments[1] as ManifestSegment).bytes = 6
      },
    },
  ),
  invalid(
    'segment-header-hash',
    { chain: 'segment-header-hash' },
    {
      manifest: (m) => {
        ;(m.segments[0] as ManifestSegment).hh = hashHex('other')
      },
    },
  ),
  invalid(
    'segment-chunks',
    { chain: 'segment-chunks' },
    {
      manifest: (m) => {
        ;(m.segments[0] as ManifestSegment).chunks += 1
      },
    },
  ),
  invalid(
    'segment-torn',
    { chain: 'segment-torn' },
    {
      ...reframed(0, (parts) => [...parts, Buffer.from('torn')]),
      manifest: (m) => {
        ;(m.segments[0] as ManifestSegment).torn_bytes = 4
      },
    },
  ),
]
