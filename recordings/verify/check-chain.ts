import { createHash } from 'node:crypto'
import type { JWK } from 'jose'
import { STREAMS, type Stream } from '../../broker/domain/words.ts'
import { FLAG } from '../format/frame.ts'
import type { SegmentHeader } from '../format/header.ts'
import type { Manifest, ManifestSegment } from '../format/manifest.ts'
import { segmentOf, segmentPath } from '../format/package-layout.ts'
import { type SegmentFault, SegmentReader } from '../format/segment-reader.ts'
import type { AnchoredHeads } from './check-anchors.ts'
import { hasWrap, SegmentContent } from './check-content.ts'
import type { GapLedger } from './check-gaps.ts'
import type { InputTimes } from './check-window.ts'
import { type IndexedPackage, messageOf } from './package-reader.ts'
import type { Findings } from './report.ts'

const CHECK = 'chain'

/** What reading the chain feeds, chunk by chunk, so that nothing of a recording is kept. */
export interface ChainSinks {
  anchors: AnchoredHeads
  gaps: GapLedger
  input: InputTimes
  /** The auditor's private key when content is to be opened. */
  contentKey: JWK | null
}

/** Check 3 (and the streaming halves of 4, 7, 9 and 10): every segment, from the first byte to the last. */
export async function checkChain(
  reader: IndexedPackage,
  manifest: Manifest,
  sinks: ChainSinks,
  findings: Findings,
): Promise<SegmentHeader | null> {
  checkOrder(manifest, findings)
  checkPresence(reader, manifest, findings)
  let first: SegmentHeader | null = null
  let chunks = 0
  const tails: Record<Stream, { lastC: string | null; t1Ms: number }> = {
    screen: { lastC: null, t1Ms: 0 },
    input: { lastC: null, t1Ms: 0 },
  }
  const seen = new Set<string>()
  for (const segment of manifest.segments) {
    // Listed twice is `segment-number`; read once, or a small package costs a thousand readings.
    const name = segmentPath(segment.stream, segment.number)
    if (seen.has(name)) continue
    seen.add(name)
    const tail = tails[segment.stream]
    const header = await readSegment(reader, segment, tail, sinks, findings)
    tail.lastC = segment.last_c
    chunks += segment.chunks
    if (!header) continue
    const path = segmentPath(segment.stream, segment.number)
    checkHeader(header, segment, manifest, path, findings)
    if (first && !sameSession(first, header)) {
      findings.fail(
        CHECK,
        'segment-inconsistent',
        path,
        'its header names other facts than the first segment',
      )
    }
    first ??= header
  }
  findings.passed(CHECK, `${manifest.segments.length} segments with ${chunks} chunks, unbroken`)
  return first
}

function checkOrder(manifest: Manifest, findings: Findings): void {
  const rank = (segment: ManifestSegment) => STREAMS.indexOf(segment.stream) * 2 ** 33 + segment.number
  const ranks = manifest.segments.map(rank)
  const sorted = ranks.every((value, at) => at === 0 || value > (ranks[at - 1] as number))
  for (const stream of STREAMS) {
    const own = [...manifest.segments, ...manifest.discarded].filter((one) => one.stream === stream)
    const numbers = own.map((one) => one.number).sort((a, b) => a - b)
    if (!sorted || numbers.some((number, at) => number !== at)) {
      findings.fail(
        CHECK,
        'segment-number',
        `manifest.jws, ${stream}`,
        'segments are not 0, 1, 2 … in order, each once',
      )
    }
    const last = manifest.segments.findLast((one) => one.stream === stream)
    if (manifest.ended === 'clean' && last && !last.final) {
      findings.fail(
        CHECK,
        'final-missing',
        segmentPath(stream, last.number),
        'the end is said to be clean, the last chunk is missing',
      )
    }
  }
  for (const segment of manifest.segments) {
    if (segment.final && segment.torn_bytes > 0) {
      findings.fail(
        CHECK,
        'segment-torn',
        segmentPath(segment.stream, segment.number),
        'a final segment has no torn bytes',
      )
    }
  }
}

function checkPresence(reader: IndexedPackage, manifest: Manifest, findings: Findings): void {
  const declared = new Set(manifest.segments.map((segment) => segmentPath(segment.stream, segment.number)))
  for (const { path } of reader.files()) {
    if (segmentOf(path) && !declared.has(path)) {
      findings.fail(CHECK, 'segment-undeclared', path, 'the manifest does not name it')
    }
  }
  if (!manifest.segments.some((segment) => segment.stream === 'screen')) {
    findings.fail(CHECK, 'segment-missing', 'manifest.jws', 'there is no screen segment')
  }
}

async function readSegment(
  files: IndexedPackage,
  segment: ManifestSegment,
  tail: { lastC: string | null; t1Ms: number },
  sinks: ChainSinks,
  findings: Findings,
): Promise<SegmentHeader | null> {
  const path = segmentPath(segment.stream, segment.number)
  const fail = (code: string, message: string, place = path) => findings.fail(CHECK, code, place, message)
  const key = sinks.contentKey && hasWrap(files, segment, findings) ? sinks.contentKey : null
  const size = files.size(path)
  if (size === null) {
    fail('segment-missing', 'the manifest names it, the package lacks it')
    return null
  }
  const reader = new SegmentReader()
  const hash = createHash('sha256')
  let content: SegmentContent | null = null
  let left = segment.bytes
  let linked = false
  try {
    for await (const piece of files.open(path)) {
      if (left === 0) break
      const bytes = piece.subarray(0, Math.min(piece.length, left))
      left -= bytes.length
      hash.update(bytes)
      reader.push(bytes)
      if (!reader.header) continue
      if (!linked) {
        linked = true
        if (reader.header.prev !== tail.lastC) {
          fail('segment-link', 'does not continue the segment before it')
        }
        sinks.input.segment(reader.header)
        if (key) content = await SegmentContent.open(files, reader.header, segment, key, findings)
      }
      for (const frame of reader.frames()) {
        if (frame.t1Ms < tail.t1Ms) {
          fail('frame-time', 'begins before the segment before it ends', `${path} chunk ${frame.seq}`)
        }
        tail.t1Ms = Math.max(tail.t1Ms, frame.t1Ms)
        sinks.anchors.seen(segment.stream, segment.number, frame.seq, frame.c, frame.t1Ms, findings)
        if (frame.flags & FLAG.gap) sinks.gaps.seen(segment.stream, segment.number, frame, findings)
        if (frame.flags & FLAG.clockAnomaly) {
          findings.note(`${path} chunk ${frame.seq}: the gateway noticed a jump of its clock here`)
        }
        if (segment.stream === 'input') sinks.input.frame(reader.header, frame)
        content?.frame(frame, path, findings)
      }
    }
  } catch (error) {
    fail('package-unreadable', `cannot be read: ${messageOf(error)}`)
    return reader.header
  }
  const { tornBytes } = reader.end()
  if (reader.fault) {
    const { seq, offset } = reader.fault
    fail(faultCode(reader.fault, segment), reader.fault.message, `${path} chunk ${seq} at byte ${offset}`)
  }
  if (size !== segment.bytes + segment.torn_bytes) {
    fail('segment-length', `is ${size} bytes long, the manifest says ${segment.bytes + segment.torn_bytes}`)
  }
  if (reader.hh && reader.hh.toString('hex') !== segment.hh)
    fail('segment-header-hash', 'HH is not the one in the manifest')
  if (reader.fault) return reader.header
  if (tornBytes > 0) fail('segment-cut', `${tornBytes} bytes after the last whole chunk`)
  if (hash.digest('hex') !== segment.sha256) fail('segment-hash', 'SHA-256 is not the one in the manifest')
  if (!reader.header || !reader.head) {
    if (tornBytes === 0) fail('segment-cut', 'there is not even a header')
    return null
  }
  if (reader.chunks !== segment.chunks) {
    fail('segment-chunks', `holds ${reader.chunks} chunks, the manifest says ${segment.chunks}`)
  }
  if (reader.head.toString('hex') !== segment.last_c)
    fail('segment-last-chain', 'ends in another chain value')
  if (reader.final !== segment.final) fail('final-missing', 'the final chunk is not as the manifest says')
  return reader.header
}

/** The manifest's chain end tells an altered last chunk from one that was put in its place. */
function faultCode(found: SegmentFault, segment: ManifestSegment): string {
  if (!found.undecided || found.code !== 'chunk-altered') return found.code
  const { stored, computed } = found.undecided
  return [stored, computed].some((c) => c.toString('hex') === segment.last_c)
    ? 'chunk-altered'
    : 'chunk-foreign'
}

function checkHeader(
  header: SegmentHeader,
  segment: ManifestSegment,
  manifest: Manifest,
  path: string,
  findings: Findings,
): void {
  const same =
    header.deployment === manifest.deployment &&
    header.site === manifest.site &&
    header.recording === manifest.recording &&
    header.session === manifest.session &&
    header.gateway.id === manifest.gateway &&
    header.stream === segment.stream &&
    header.segment === segment.number
  if (!same) findings.fail(CHECK, 'segment-foreign', path, 'its header is of another recording or place')
}

function sameSession(a: SegmentHeader, b: SegmentHeader): boolean {
  const facts = (header: SegmentHeader) =>
    JSON.stringify([
      header.grant,
      header.policy,
      header.asset,
      header.target,
      header.user,
      header.account,
      header.media,
    ])
  return facts(a) === facts(b)
}
