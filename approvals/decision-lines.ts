import type { Decision, DenialReason } from '../broker/domain/access-facts.ts'
import { explain } from '../broker/policy/explain.ts'

export interface Line {
  code: string
  holds: boolean
  text: string
  who: string | null
  facts: Record<string, unknown>
}

export type Topic = 'you' | 'company' | 'asset' | 'connection' | 'ticket' | 'window' | 'approvals' | 'site'

const TOPIC_OF: Partial<Record<DenialReason['code'], Topic>> = {
  'person-disabled': 'you',
  'role-missing': 'you',
  'account-ended': 'you',
  'training-missing': 'you',
  'training-expired': 'you',
  'step-up-needed': 'you',
  'notice-not-accepted': 'you',
  'vendor-missing': 'company',
  'vendor-disabled': 'company',
  'vendor-contract-ended': 'company',
  'sponsor-ended': 'company',
  'asset-disabled': 'asset',
  'asset-incomplete': 'asset',
  'identity-not-accepted': 'asset',
  'no-credential': 'asset',
  'endpoint-busy': 'asset',
  'operator-not-ready': 'asset',
  'exception-needed': 'asset',
  'exception-expired': 'asset',
  'no-conduit': 'connection',
  'conduit-disabled': 'connection',
  'protocol-not-carried': 'connection',
  'gateway-missing': 'connection',
  'gateway-offline': 'connection',
  'no-approval-rule': 'approvals',
  'approvals-missing': 'approvals',
  'approval-not-counted': 'approvals',
  'request-declined': 'approvals',
  'request-withdrawn': 'approvals',
  'request-ended': 'approvals',
  'operator-stopped': 'approvals',
  'operator-held': 'approvals',
  'request-changed': 'approvals',
  'window-not-open': 'window',
  'window-over': 'window',
  'window-empty': 'window',
  'window-outside-ticket': 'window',
  blackout: 'window',
}

const GOOD: Record<Topic, string> = {
  you: 'Your account and training are in order.',
  company: "Your company's contract and sponsor are in order.",
  asset: 'The asset is ready for a session.',
  connection: 'A declared path leads to the asset.',
  ticket: 'The change ticket is approved and names the asset.',
  window: 'The window is open and inside the planned time.',
  approvals: 'All approvals are there.',
  site: 'The site takes new sessions.',
}

const ORDER: Topic[] = ['you', 'company', 'asset', 'connection', 'ticket', 'window', 'approvals', 'site']

export function topicOf(code: DenialReason['code']): Topic {
  return TOPIC_OF[code] ?? (code.startsWith('ticket-') ? 'ticket' : 'site')
}

/** What holds and what is missing, topic by topic. `unknown`: topics about which nothing can be said yet. */
export function linesOf(decision: Decision, unknown: Partial<Record<Topic, string>> = {}): Line[] {
  const reasons = decision.permit ? [] : decision.reasons
  return ORDER.flatMap((topic): Line[] => {
    const open = unknown[topic]
    if (open !== undefined)
      return [{ code: `choose-${topic}`, holds: false, text: open, who: 'You', facts: {} }]
    const missing = reasons.filter((reason) => topicOf(reason.code) === topic)
    if (missing.length === 0) return [{ code: topic, holds: true, text: GOOD[topic], who: null, facts: {} }]
    return missing.map((reason) => {
      const { code, text, who, facts } = explain(reason)
      return { code, holds: false, text, who, facts }
    })
  })
}
