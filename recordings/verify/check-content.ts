import type { JWK } from 'jose'
import { matchesCommitment } from '../format/data-key.ts'
import { FrameOpener } from '../format/frame-opener.ts'
import type { SegmentHeader } from '../format/header.ts'
import type { ManifestSegment, PackageList } from '../format/manifest.ts'
import { keyPath } from '../format/package-layout.ts'
import type { ReadFrame } from '../format/segment-reader.ts'
import { parseWrap, unwrapDataKey } from '../format/wrap.ts'
import { type ContentChecker, contentChecker } from './content.ts'
import { type IndexedPackage, readText } from './package-reader.ts'
import type { Findings } from './report.ts'

const CHECK = 'content'

/** Whether check 7 can run with this key; says why not. */
export function contentKey(key: JWK | null, list: PackageList | null, findings: Findings): JWK | null {
  if (!key) {
    findings.absent(CHECK, 'content-not-checked', 'no private key was given, so nothing was opened')
    return null
  }
  const recipient = list?.recipient.kid ?? null
  if (recipient === null || (key.kid !== undefined && key.kid !== recipient)) {
    findings.absent(
      CHECK,
      'key-not-recipient',
      'the package is for another key than the one given; nothing was opened',
    )
    return null
  }
  return key
}

/** Whether the package has the segment's key. Asked of every segment, also of one whose file is missing. */
export function hasWrap(reader: IndexedPackage, segment: ManifestSegment, findings: Findings): boolean {
  const path = keyPath(segment.stream, segment.number)
  if (reader.size(path) !== null) return true
  // Input is opened by two custodians only; an ordinary package does not carry its keys.
  if (segment.stream === 'input') findings.note(`input segment ${segment.number} stays sealed`)
  else findings.fail(CHECK, 'wrap-missing', path, 'the key of a screen segment is missing')
  return false
}

/** Opens and checks one segment's content while its chain is read. */
export class SegmentContent {
  readonly #opener: FrameOpener
  readonly #checker: ContentChecker
  #broken = false

  private constructor(opener: FrameOpener, checker: ContentChecker) {
    this.#opener = opener
    this.#checker = checker
  }

  static async open(
    reader: IndexedPackage,
    header: SegmentHeader,
    segment: ManifestSegment,
    key: JWK,
    findings: Findings,
  ): Promise<SegmentContent | null> {
    const path = keyPath(segment.stream, segment.number)
    const text = await readText(reader, path)
    const name = { recording: header.recording, stream: segment.stream, segment: segment.number }
    const wrap = text.ok ? parseWrap(text.value, name) : text
    const dataKey = wrap.ok ? await unwrapDataKey(wrap.value, key) : wrap
    if (!dataKey.ok) {
      findings.fail(CHECK, dataKey.code, path, dataKey.message)
      return null
    }
    if (!matchesCommitment(dataKey.value, header.dek_commitment)) {
      findings.fail(CHECK, 'commitment-mismatch', path, 'the key is not the one that the header commits to')
      return null
    }
    return new SegmentContent(new FrameOpener(dataKey.value), contentChecker(header))
  }

  frame(frame: ReadFrame, path: string, findings: Findings): void {
    if (this.#broken) return
    const plain = this.#opener.open(frame)
    const problem = plain.ok ? this.#checker.check(frame, plain.value) : plain
    if (!problem) return
    this.#broken = true
    findings.fail(CHECK, problem.code, `${path} chunk ${frame.seq} at byte ${frame.offset}`, problem.message)
  }
}
