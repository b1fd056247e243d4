import { sha256 } from '../../../broker/domain/canonical.ts'
import type { ManifestSegment } from '../../../recordings/format/manifest.ts'
import { hashHex, idOf } from '../fixture-keys.ts'
import { type Case, invalid } from './case.ts'

/** Check 4: what the log anchored. */
export const ANCHORS: Case[] = [
  invalid(
    'anchor-malformed',
    { anchors: 'anchor-malformed' },
    { anchors: (lines) => void Object.assign(lines[0] as object, { stream: 'sound' }) },
  ),
  invalid(
    'anchor-of-another-gateway',
    { anchors: 'anchor-root' },
    {
      entries: (entries) => {
        const entry = entries.find(({ action }) => action === 'recording.anchor')
        if (entry) entry.object = { kind: 'gateway', id: idOf('another gateway') }
      },
    },
  ),
  invalid(
    'anchor-denied',
    { anchors: 'anchor-entry-missing' },
    {
      entries: (entries) => {
        const entry = entries.find(({ action }) => action === 'recording.anchor')
        if (entry) entry.result = 'denied'
      },
    },
  ),
  invalid(
    'anchor-of-another-chain',
    { anchors: 'anchor-root' },
    {
      anchors: (lines) => {
        ;(lines[0] as { c: string }).c = hashHex('another chain')
      },
    },
  ),
  invalid(
    'anchor-entry-missing',
    { anchors: 'anchor-entry-missing' },
    {
      anchors: (lines) => {
        ;(lines[0] as { entry: number }).entry = 0
      },
    },
  ),
  invalid(
    'anchored-chunk-cut-off',
    { anchors: 'anchor-head-missing' },
    {
      // The gateway's key signs, as if after a crash, a recording shorter than the one that was anchored.
      frames(parts, header) {
        if (header.stream !== 'screen' || header.segment !== 1) return parts
        cut = parts.slice(0, -2)
        return cut
      },
      manifest(m) {
        const file = Buffer.concat(cut)
        const last = m.segments[1] as ManifestSegment
        m.ended = 'recovered'
        Object.assign(last, {
          bytes: file.length,
          sha256: sha256(file).toString('hex'),
          last_c: file.subarray(-32).toString('hex'),
          chunks: last.chunks - 1,
          final: false,
        })
        const at = { t0_ms: 325_500, t1_ms: 325_500 }
        m.gaps.push({ stream: 'screen', segment: 1, seq: last.chunks, ...at, reason: 'gateway stopped' })
      },
    },
  ),
  invalid(
    'anchored-chain-replaced',
    { anchors: 'anchor-head-mismatch' },
    {
      // The log took in another chain than the one that was recorded over it.
      anchored: (own) => {
        const [heads] = own
        if (heads?.[0]) heads[0] = { ...heads[0], c: hashHex('the chain before') }
      },
    },
  ),
]

let cut: Buffer[] = []
