import { EVIDENCE_ACTIONS } from '../../broker/contract/audit-entry.ts'
import { PACKAGE_FILES } from '../format/package-layout.ts'
import type { LogFacts } from './check-log.ts'
import type { Sealed } from './check-manifest.ts'
import type { Findings } from './report.ts'

const CHECK = 'log'

/** Second half of check 5: the log itself says that the session began and which manifest ended it. */
export function checkSessionEntries(
  log: LogFacts,
  { manifest, manifestHash, receipt }: Sealed,
  openingGrant: string | null,
  findings: Findings,
): void {
  if (!receipt) return
  const expect = (index: number, action: string, detail: string, value: string | null) => {
    const entry = log.entries.get(index)
    const place = `${PACKAGE_FILES.entries} index ${index}`
    if (!entry) {
      findings.fail(CHECK, 'entry-missing', place, `the receipt names this entry as ${action}`)
      return
    }
    const { session, recording } = entry.correlation
    const same = entry.action === action && session === manifest.session && recording === manifest.recording
    if (!same || (value !== null && entry.details[detail] !== value)) {
      findings.fail(CHECK, 'entry-mismatch', place, `it is not this session's ${action}`)
    }
  }
  expect(receipt.first_index, EVIDENCE_ACTIONS.sessionStart, 'grant', openingGrant)
  expect(receipt.last_index, EVIDENCE_ACTIONS.manifest, 'manifest', manifestHash)
  for (const [index, { action, correlation, details }] of log.entries) {
    const isLater = action === EVIDENCE_ACTIONS.manifest && index > receipt.last_index
    if (isLater && correlation.recording === manifest.recording && details.manifest !== manifestHash) {
      const place = `${PACKAGE_FILES.entries} index ${index}`
      findings.fail(CHECK, 'manifest-superseded', place, 'a later manifest took the place of this one')
    }
  }
}
