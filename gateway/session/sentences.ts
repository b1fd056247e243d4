import type { SessionEnd } from '../../broker/domain/words.ts'

/**
 * What is said and kept when a session ends: read by the engineer, by who watches, and in the evidence, so it speaks to
 * none of them. Names no address and no secret.
 */
const SENTENCES: Record<SessionEnd, string> = {
  'vendor-left': 'The engineer ended the session.',
  'window-closed': 'The approved window is over.',
  'approval-withdrawn': 'An approver withdrew the approval.',
  'ticket-closed': 'The change ticket was closed or cancelled.',
  'operator-stopped': 'An operator of the site stopped the session.',
  'site-locked': 'The site was locked. No remote session runs until it is unlocked.',
  idle: 'Nothing was typed for too long.',
  'open-failed': 'The session could not be opened.',
  'target-identity-changed': 'The asset showed a different identity than the one that was accepted.',
  'protocol-violation': 'The asset broke the protocol.',
  'decoder-failed': 'The picture from the asset could not be decoded.',
  'recording-failed': 'The recording failed, so the session could not go on.',
  'asset-lost': 'The connection to the asset was lost.',
  'browser-lost': 'The browser was away for too long.',
  'identity-revoked': "The engineer's access was withdrawn.",
  'lease-lost': 'The gateway lost its link to the broker for too long.',
  'gateway-stopped': 'The gateway was stopped.',
}

export function sentenceFor(end: SessionEnd): string {
  return SENTENCES[end]
}
