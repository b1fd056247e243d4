import { EVIDENCE_ACTIONS } from '../../broker/contract/audit-entry.ts'
import type { Stream } from '../../broker/domain/words.ts'
import { type AnchorProof, anchorProof, anchorRoot } from '../format/anchor.ts'
import type { Manifest } from '../format/manifest.ts'
import { PACKAGE_FILES } from '../format/package-layout.ts'
import type { LogFacts } from './check-log.ts'
import { type IndexedPackage, readLines } from './package-reader.ts'
import type { Findings } from './report.ts'

const CHECK = 'anchors'

/** The heads that the log vouches for, to be found again in the chain while it is read. */
export class AnchoredHeads {
  readonly #wanted = new Map<string, { c: string; isProven: boolean }>()
  readonly #lastMs: Record<Stream, number | null> = { screen: null, input: null }
  readonly #endMs: Record<Stream, number> = { screen: 0, input: 0 }

  /** Anchored chunks that the chain has. */
  found = 0

  /**
   * The chain must have this chunk, whether the log vouches for the line or not; only what is proven counts as
   * anchored. False when another line gave the same place another C.
   */
  want({ stream, segment, seq, c }: AnchorProof, isProven: boolean): boolean {
    const key = `${stream}/${segment}/${seq}`
    const known = this.#wanted.get(key)
    if (known && known.c !== c) return false
    this.#wanted.set(key, { c, isProven: isProven || known?.isProven === true })
    return true
  }

  /** Called for every verified chunk, in order. */
  seen(stream: Stream, segment: number, seq: number, c: Buffer, t1Ms: number, findings: Findings): void {
    this.#endMs[stream] = t1Ms
    const key = `${stream}/${segment}/${seq}`
    const wanted = this.#wanted.get(key)
    if (wanted === undefined) return
    this.#wanted.delete(key)
    if (wanted.c === c.toString('hex')) {
      if (!wanted.isProven) return
      this.#lastMs[stream] = t1Ms
      this.found += 1
    } else findings.fail(CHECK, 'anchor-head-mismatch', key, 'the chain is not the one that was anchored')
  }

  /** Milliseconds that stand after the last anchored chunk, in the stream where it is more. */
  finish(findings: Findings): number {
    for (const key of this.#wanted.keys()) {
      findings.fail(CHECK, 'anchor-head-missing', key, 'an anchor names this chunk, the recording lacks it')
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
      if (!parsed.success) {
        findings.fail(CHECK, 'anchor-malformed', place, 'not an anchor proof, or too many')
        continue
      }
      count += 1
      const proof = parsed.data
      const unproven = unprovenBy(proof, manifest, log)
      if (unproven) findings.fail(CHECK, unproven.code, place, unproven.message)
      if (!heads.want(proof, unproven === null)) {
        findings.fail(CHECK, 'anchor-head-mismatch', place, 'two anchors disagree about this chunk')
      }
    }
  }
  if (count === 0)
    findings.absent(CHECK, 'anchors-absent', 'no anchor vouches for this recording before its end')
  return heads
}

/** Why the log does not vouch for this line; null when it does. */
function unprovenBy(
  proof: AnchorProof,
  manifest: Manifest,
  log: LogFacts,
): { code: string; message: string } | null {
  const entry = log.entries.get(proof.entry)
  if (entry?.action !== EVIDENCE_ACTIONS.anchor) {
    return {
      code: 'anchor-entry-missing',
      message: `no anchor stands at index ${proof.entry} of the log`,
    }
  }
  const { root, size } = entry.details
  const ofGateway = entry.object?.kind === 'gateway' && entry.object.id === manifest.gateway
  return ofGateway && size === proof.size && root === anchorRoot(manifest.recording, proof)
    ? null
    : { code: 'anchor-root', message: 'the proof does not lead to the root in the log' }
}
