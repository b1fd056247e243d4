import type { Stream } from '../../broker/domain/words.ts'
import type { FrameHeader } from '../format/frame.ts'
import type { Manifest, ManifestGap } from '../format/manifest.ts'
import type { Findings } from './report.ts'

const CHECK = 'gaps'
const place = (stream: Stream, segment: number, seq: number) => `${stream}-${segment} chunk ${seq}`

/** Check 10: every stretch without recording is declared in the manifest, and nothing else is. */
export class GapLedger {
  readonly #declared = new Map<string, ManifestGap>()
  readonly #count: number

  constructor(manifest: Manifest, findings: Findings) {
    this.#count = manifest.gaps.length
    for (const gap of manifest.gaps) {
      const key = place(gap.stream, gap.segment, gap.seq)
      if (gap.t0_ms > gap.t1_ms || this.#declared.has(key)) {
        findings.fail(CHECK, 'gap-unfounded', key, 'the declared gap ends before it begins, or stands twice')
      }
      this.#declared.set(key, gap)
    }
  }

  /** A gap frame in the chain. */
  seen(stream: Stream, segment: number, frame: FrameHeader, findings: Findings): void {
    const key = place(stream, segment, frame.seq)
    const gap = this.#declared.get(key)
    this.#declared.delete(key)
    if (gap?.t0_ms !== frame.t0Ms || gap.t1_ms !== frame.t1Ms) {
      findings.fail(CHECK, 'gap-undeclared', key, 'the manifest does not declare this gap with these times')
    }
  }

  finish(manifest: Manifest, findings: Findings): void {
    for (const segment of manifest.segments) {
      if (segment.final) continue
      const key = place(segment.stream, segment.number, segment.chunks)
      if (!this.#declared.delete(key)) {
        findings.fail(
          CHECK,
          'gap-undeclared',
          key,
          'the segment breaks off here and the manifest does not say so',
        )
      }
    }
    for (const key of this.#declared.keys()) {
      findings.fail(CHECK, 'gap-unfounded', key, 'the manifest declares a gap that the chain does not have')
    }
    const { discarded } = manifest
    findings.passed(
      CHECK,
      this.#count + discarded.length === 0
        ? 'nothing was left out'
        : `${this.#count} gaps and ${discarded.length} segments that hold nothing, all declared`,
    )
    for (const { stream, number, bytes } of discarded) {
      const after = number === 0 ? 'nothing' : `nothing after segment ${number - 1}`
      findings.note(`${stream}: ${after} was recorded; segment ${number} never became whole (${bytes} bytes)`)
    }
    for (const gap of manifest.gaps) {
      const length = ((gap.t1_ms - gap.t0_ms) / 1000).toFixed(1)
      findings.note(`gap in ${gap.stream} at ${(gap.t0_ms / 1000).toFixed(1)} s, ${length} s: ${gap.reason}`)
    }
  }
}
