import { EVIDENCE_ACTIONS } from '../../broker/contract/audit-entry.ts'
import type { Stream } from '../../broker/domain/words.ts'
import { anchorProof, anchorRoot } from '../format/anchor.ts'
import type { Manifest } from '../format/manifest.ts'
import { PACKAGE_FILES } from '../format/package-layout.ts'
import type { LogFacts } from './check-log.ts'
import { type IndexedPackage, readLines } from './package-reader.ts'
import type { Findings } from './report.ts'

const CHECK = 'anchors'
const LINE_LIMIT = 100_000

/** The heads that the log vouches for, to be found again in the chain while it is read. */
export class AnchoredHeads {
  readonly #wanted = new Map<string, string>()
  readonly #lastMs: Record<Stream, number | null> = { screen: null, input: null }
  readonly #endMs: Record<Stream, number> = { screen: 0, input: 0 }

  /** Anchored chunks that the chain has. */
  found = 0

  /** False when another anchor gave the same place another C. */
  want(stream: Stream, segment: number, seq: number, c: string): boolean {
    const key = `${stream}/${segment}/${seq}`
    const known = this.#wanted.get(key)
    this.#wanted.set(key, c)
    return known === undefined || known === c
  }

  /** Called for every verified chunk, in order. */
  seen(stream: Stream, segment: number, seq: number, c: Buffer, t1Ms: number, findings: Findings): void {
    this.#endMs[stream] = t1Ms
    const key = `${stream}/${segment}/${seq}`
    const wanted = this.#wanted.get(key)
    if (wanted === undefined) return
    this.#wanted.delete(key)
    if (wanted === c.toString('hex')) {
      this.#lastMs[stream] = t1Ms
      this.found += 1
    } else findings.fail(CHECK, 'anchor-head-mismatch', key, 'the chain is not the one that was anchored')
  }

  /** Milliseconds that stand after the last anchored chunk, in the stream where it is more. */
  finish(findings: Findings): number {
    for (const key of this.#wanted.keys()) {
      findings.fail(CHECK, 'anchor-head-missing', key, 'the log anchored this chunk, the recording lacks it')
    }
    return Math.max(
      this.#endMs.screen - (this.#lastMs.screen ?? 0),
      this.#endMs.input - (this.#lastMs.input ?? 0),
    )
  }
}

/** Check 4, first half: each anchor proof leads to a root that the log holds. */
export async function readAnchors(
  reader: IndexedPackage,
  manifest: Manifest,
  log: LogFacts,
  findings: Findings,
): Promise<AnchoredHeads> {
  const heads = new AnchoredHeads()
  let count = 0
  if (reader.size(PACKAGE_FILES.anchors) !== null) {
    for await (const { line, value } of readLines(reader, PACKAGE_FILES.anchors)) {
      const place = `${PACKAGE_FILES.anchors} line ${line}`
      const parsed = anchorProof.safeParse(value)
      if (!parsed.success || line > LINE_LIMIT) {
        findings.fail(CHECK, 'anchor-malformed', place, 'not an anchor proof, or too many')
        if (line > LINE_LIMIT) break
        continue
      }
      count += 1
      const proof = parsed.data
      const entry = log.entries.get(proof.entry)
      if (entry?.action !== EVIDENCE_ACTIONS.anchor) {
        findings.fail(
          CHECK,
          'anchor-entry-missing',
          place,
          `no anchor stands at index ${proof.entry} of the log`,
        )
        continue
      }
      const { root, size } = entry.details
      const ofGateway = entry.object?.kind === 'gateway' && entry.object.id === manifest.gateway
      if (!ofGateway || size !== proof.size || root !== anchorRoot(manifest.recording, proof)) {
        findings.fail(CHECK, 'anchor-root', place, 'the proof does not lead to the root in the log')
        continue
      }
      if (!heads.want(proof.stream, proof.segment, proof.seq, proof.c)) {
        findings.fail(CHECK, 'anchor-head-mismatch', place, 'two anchors disagree about this chunk')
      }
    }
  }
  if (count === 0)
    findings.absent(CHECK, 'anchors-absent', 'no anchor vouches for this recording before its end')
  return heads
}
