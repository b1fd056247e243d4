import type { JWK } from 'jose'
import type { TrustFile } from '../format/trust.ts'
import { readAnchors } from './check-anchors.ts'
import { checkAuthority, readGrants } from './check-authority.ts'
import { checkChain } from './check-chain.ts'
import { contentKey } from './check-content.ts'
import { GapLedger } from './check-gaps.ts'
import { checkLog, readCheckpoint } from './check-log.ts'
import { checkManifest } from './check-manifest.ts'
import { checkPackage } from './check-package.ts'
import { checkSessionEntries } from './check-session-entries.ts'
import { InputTimes } from './check-window.ts'
import { checkWitness } from './check-witness.ts'
import { indexPackage, type PackageReader } from './package-reader.ts'
import { Findings, type Verdict, type VerifyReport } from './report.ts'

export interface VerifyOptions {
  /** The recipient's private JWK: opens and checks the content as well. */
  key?: JWK
}

/**
 * Runs the ten checks of docs/evidence-format.md over a package, streaming. Trust comes from `trust` alone. Never
 * throws over what a package holds: a hostile package gets an INVALID report.
 */
export async function verifyPackage(
  source: PackageReader,
  trust: TrustFile,
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  const findings = new Findings()
  const reader = await indexPackage(source)
  const checkpoint = await readCheckpoint(reader, trust, findings)
  const list = await checkPackage(reader, trust, checkpoint?.size ?? null, findings)
  const sealed = await checkManifest(reader, trust, list, findings)
  const log = await checkLog(reader, trust, checkpoint, findings)
  await checkWitness(reader, trust, checkpoint, findings)
  const key = contentKey(options.key ?? null, list, findings)
  const grants = await readGrants(reader, findings)
  if (!sealed) {
    for (const check of ['chain', 'anchors', 'gaps', 'input-window', 'authority'] as const) {
      findings.fail(check, 'manifest-unreadable', 'manifest.jws', 'nothing can be checked without a manifest')
    }
    findings.absent('content', 'content-not-checked', 'without a manifest there is nothing to open')
    return report(findings, null)
  }
  const { manifest } = sealed
  const opening = grants.find(({ path }) => path === 'grant.jws')
  checkSessionEntries(log, sealed, opening?.hash ?? null, findings)
  const anchors = await readAnchors(reader, manifest, log, findings)
  const gaps = new GapLedger(manifest, findings)
  const input = new InputTimes(grants.map((one) => one.grant))
  const header = await checkChain(reader, manifest, { anchors, gaps, input, contentKey: key }, findings)
  const tail = anchors.finish(findings)
  findings.passed('anchors', `${anchors.found} chunks stand in the log as they stand here`)
  const window = await checkAuthority({ reader, trust, log, sealed, header, grants }, findings)
  const lastInputAtMs = input.finish(window, findings)
  gaps.finish(manifest, findings)
  findings.note(`unanchored tail ${(tail / 1000).toFixed(1)} s`)
  if (key) findings.passed('content', 'keys match their commitments, everything opens and is well formed')
  const truncated = manifest.ended === 'recovered' || manifest.segments.some((segment) => !segment.final)
  return report(findings, {
    recording: manifest.recording,
    session: manifest.session,
    unanchoredTailMs: tail,
    lastInputAtMs,
    truncated,
  })
}

function report(
  findings: Findings,
  facts:
    | (Pick<VerifyReport, 'recording' | 'session' | 'unanchoredTailMs' | 'lastInputAtMs'> & {
        truncated: boolean
      })
    | null,
): VerifyReport {
  const checks = findings.results()
  const failed = checks.some((check) => check.result === 'failed')
  const verdict: Verdict = failed ? 'INVALID' : facts?.truncated ? 'VALID-TRUNCATED' : 'VALID'
  return {
    verdict,
    checks,
    recording: facts?.recording ?? null,
    session: facts?.session ?? null,
    unanchoredTailMs: facts?.unanchoredTailMs ?? null,
    lastInputAtMs: facts?.lastInputAtMs ?? null,
    notes: findings.notes,
  }
}
