import type { ApprovalConstraints, RequestSnapshot } from '../broker/contract/approval-record.ts'
import type { Feature } from '../broker/domain/words.ts'
import { sayWindow } from './windows.ts'

/**
 * The sentence that stands above the button and inside what is signed. An authenticator doesn't show what it signs,
 * so the words are built by the server from the very snapshot and constraints that are signed with them.
 */
export function meaningOf(
  decision: 'granted' | 'declined',
  snapshot: RequestSnapshot,
  constraints: ApprovalConstraints,
): string {
  const { requester, asset, site, window, ticket, extension } = snapshot
  const who = `${requester.name} (${requester.vendor.name})`
  const where = `${asset.name} (${asset.criticality}, ${site.name})`
  const end = (at: string) =>
    sayWindow({ opensAt: Date.parse(window.opensAt), closesAt: Date.parse(at) }, site.timeZone)
  if (extension) {
    const until = end(extension.closesAt)
    return decision === 'declined'
      ? `I decline more time for ${who} on ${where}.`
      : `I approve more time for ${who} on ${where}: ${until}, under ticket ${ticket.key}. Reason given: ${extension.reason}`
  }
  if (decision === 'declined') return `I decline the access of ${who} to ${where} under ticket ${ticket.key}.`
  const opensAt = constraints.opensAt ?? window.opensAt
  const closesAt = constraints.closesAt ?? window.closesAt
  const when = sayWindow({ opensAt: Date.parse(opensAt), closesAt: Date.parse(closesAt) }, site.timeZone)
  const left = snapshot.features.filter((feature) => constraints.features?.includes(feature) ?? true)
  const terms = [
    constraints.viewOnly || snapshot.viewOnly ? 'View only.' : '',
    left.length > 0
      ? `With ${left.map((feature) => FEATURE_WORDS[feature]).join(' and ')}.`
      : 'Without clipboard.',
    constraints.inputDuringGrace ? 'Input goes on after the window until the session is ended.' : '',
  ].filter((term) => term !== '')
  return `I approve that ${who} works on ${where} over ${snapshot.protocol.toUpperCase()} as "${snapshot.account}", ${when}, under ticket ${ticket.key}. Purpose: ${snapshot.purpose}. ${terms.join(' ')}`
}

const FEATURE_WORDS: Record<Feature, string> = {
  'clipboard-copy': 'copying from the screen',
  'clipboard-paste': 'pasting into it',
}
