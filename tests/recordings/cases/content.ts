import { deflateRawSync } from 'node:zlib'
import { keyPath } from '../../../recordings/format/package-layout.ts'
import { type ChunkPlan, keys } from '../fixture.ts'
import { bytesOf, hashHex, idOf } from '../fixture-keys.ts'
import { type Case, invalid } from './case.ts'
import { onLastChunk, onSegment, wrapInput } from './change.ts'

/** A gateway's chunk that says it is deflated. */
const deflated = (name: string, forge: NonNullable<ChunkPlan['forge']>): Case =>
  invalid(
    name,
    { content: 'inflate-failed' },
    {
      segments: onLastChunk((chunk) => {
        chunk.forge = forge
      }),
    },
  )

/** Check 7: keys and content. */
export const CONTENT: Case[] = [
  invalid(
    'wrap-missing',
    { content: 'wrap-missing' },
    { files: (files) => files.delete(keyPath('screen', 1)) },
  ),
  invalid(
    'wrap-of-another-segment',
    { content: 'wrap-wrong-segment' },
    { wrapName: (_, segment) => segment + 1 },
  ),
  invalid(
    'wrap-broken',
    { content: 'wrap-failed' },
    {
      files: (files) => {
        const wrap = JSON.parse((files.get(keyPath('screen', 0)) as Buffer).toString()) as { tag: string }
        wrap.tag = Buffer.alloc(16).toString('base64url')
        files.set(keyPath('screen', 0), Buffer.from(JSON.stringify(wrap)))
      },
    },
  ),
  invalid(
    'commitment-mismatch',
    { content: 'commitment-mismatch' },
    {
      header: (header) => {
        header.dek_commitment = hashHex('another key')
      },
    },
  ),
  invalid(
    'content-of-another-recording',
    { content: 'content-foreign' },
    {
      segments: onSegment('screen', 0, (plan) => {
        const [first] = plan.chunks
        const fill = first?.fill
        if (first)
          first.fill = (lines, header) => fill?.(lines, { ...header, recording: idOf('another recording') })
      }),
    },
  ),
  invalid(
    'content-input-on-screen',
    { content: 'content-code' },
    {
      segments: onSegment('screen', 1, (plan) => {
        const last = plan.chunks.at(-1)
        if (last) last.fill = (lines) => lines.text('i', last.t0 * 1000, 'typed')
      }),
    },
  ),
  invalid(
    'content-time',
    { content: 'content-time' },
    {
      segments: onSegment('screen', 1, (plan) => {
        const last = plan.chunks.at(-1)
        if (last) last.fill = (lines) => lines.text('o', (last.t1 + 1) * 1000, 'late')
      }),
    },
  ),
  invalid(
    'content-line',
    { content: 'content-line' },
    {
      segments: onSegment('screen', 1, (plan) => {
        const last = plan.chunks.at(-1)
        if (last) last.fill = (lines) => lines.text('r', last.t0 * 1000, 'large')
      }),
    },
  ),
  invalid(
    'content-keyframe',
    { content: 'content-keyframe' },
    {
      segments: onSegment('screen', 1, (plan) => {
        const [first] = plan.chunks
        const fill = first?.fill
        if (first)
          first.fill = (lines, header) => {
            fill?.(lines, header)
            lines.text('m', first.t0 * 1000, 'a mark')
          }
      }),
    },
  ),
  invalid('decrypt-failed', { content: 'decrypt-failed' }, { sealKey: bytesOf('another data key') }),
  invalid(
    'wrap-for-another-key',
    { content: 'wrap-no-recipient' },
    {
      files: (files) => {
        const wrap = (files.get(keyPath('screen', 0)) as Buffer).toString()
        files.set(keyPath('screen', 0), Buffer.from(wrap.replace(keys.recipient.pub.kid, 'another')))
      },
    },
  ),
  invalid(
    'content-header',
    { content: 'content-header' },
    {
      segments: onSegment('screen', 1, ({ chunks }) => {
        const [first] = chunks
        if (first) first.forge = (plain) => ({ content: replaced(plain, '"version":2', '"version":3') })
      }),
    },
  ),
  deflated('inflate-no-stream', () => ({ content: Buffer.alloc(40, 0xff), inflatesTo: 100 })),
  deflated('inflate-longer', (plain) => ({
    content: deflateRawSync(plain),
    inflatesTo: plain.length - 1,
  })),
  deflated('inflate-shorter', (plain) => ({
    content: deflateRawSync(plain),
    inflatesTo: plain.length + 1,
  })),
  deflated('inflate-with-more-after-it', (plain) => ({
    content: Buffer.concat([deflateRawSync(plain), Buffer.from('more')]),
    inflatesTo: plain.length,
  })),
  deflated('inflate-cut', (plain) => ({
    content: deflateRawSync(plain).subarray(0, -1),
    inflatesTo: plain.length,
  })),
  invalid(
    'content-input-in-header-chunk',
    { content: 'content-keyframe' },
    {
      files: wrapInput(0),
      segments: onSegment('input', 0, (plan) => {
        const [first] = plan.chunks
        const fill = first?.fill
        if (first)
          first.fill = (lines, header) => {
            fill?.(lines, header)
            lines.text('i', 0, 'x')
          }
      }),
    },
  ),
]

function replaced(plain: Buffer, from: string, to: string): Buffer {
  return Buffer.from(plain.toString().replace(from, to))
}
