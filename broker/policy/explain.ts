import type { DenialReason, NotCounted } from '../domain/access-facts.ts'
import type { ExceptionKind, Role } from '../domain/words.ts'

export interface Explanation {
  code: string
  /** One sentence, without protocol talk. Instants are ISO UTC in `facts`, for the page to print in both zones. */
  text: string
  /** Who can give what is missing. */
  who: string
  /** The reason's own fields; instants as ISO strings. */
  facts: Record<string, unknown>
}

/** Each reason as a sentence and the person who can help: on pages, in the audit log and on the command line. */
export function explain(reason: DenialReason): Explanation {
  const [text, who] = sentence(reason)
  const { code, ...rest } = reason
  return { code, text, who, facts: Object.fromEntries(Object.entries(rest).map(printable)) }
}

const INSTANTS = new Set([
  'at',
  'since',
  'opensAt',
  'closesAt',
  'closedAt',
  'plannedStart',
  'plannedEnd',
  'fetchedAt',
])

function printable([name, value]: [string, unknown]): [string, unknown] {
  return INSTANTS.has(name) && typeof value === 'number' && Math.abs(value) <= 8.64e15
    ? [name, new Date(value).toISOString()]
    : [name, value]
}

const ADMINISTRATOR = 'An administrator of the site'
const COMPANY = 'Your company, through an administrator of the site'
const PLANNER = "Whoever plans the change in the customer's ticket system"
const NOBODY = 'Nobody: it is over. Ask for access again'
const YOU = 'You'

function sentence(reason: DenialReason): [text: string, who: string] {
  switch (reason.code) {
    case 'policy-unknown':
      return [
        `The access policy holds settings that this version cannot judge: ${reason.fields.join(', ')}.`,
        ADMINISTRATOR,
      ]
    case 'facts-unusable':
      return [`Stored values cannot be used: ${reason.fields.join(', ')}.`, ADMINISTRATOR]
    case 'row-not-vouched':
      return [
        `A stored ${reason.object} differs from what the audit log says. It does not count until that is cleared.`,
        'An administrator and an auditor of the site',
      ]
    case 'person-disabled':
      return ['Your account is disabled.', ADMINISTRATOR]
    case 'role-missing':
      return [`You do not hold the role "${reason.role}" at this site.`, ADMINISTRATOR]
    case 'account-ended':
      return ['Your account has ended.', COMPANY]
    case 'training-missing':
      return ['No safety training is on record for you.', COMPANY]
    case 'training-expired':
      return ['Your safety training has expired.', COMPANY]
    case 'vendor-missing':
      return ['You do not belong to a vendor company here.', ADMINISTRATOR]
    case 'vendor-disabled':
      return ['Your company is disabled here.', ADMINISTRATOR]
    case 'vendor-contract-ended':
      return ["Your company's contract has ended.", COMPANY]
    case 'sponsor-ended':
      return ['Your company has no sponsor at the plant any more.', ADMINISTRATOR]
    case 'step-up-needed':
      return ['Opening a session needs a fresh sign-in.', YOU]
    case 'notice-not-accepted':
      return reason.version === null
        ? ['The site has no notice yet that could be accepted.', ADMINISTRATOR]
        : ["The site's notice is not accepted yet.", YOU]
    case 'site-locked':
      return [`The site is locked by ${reason.by}.`, 'An operator of the site']
    case 'asset-disabled':
      return ['The asset is disabled.', ADMINISTRATOR]
    case 'asset-incomplete':
      return [`The asset's description lacks: ${reason.missing.join(', ')}.`, ADMINISTRATOR]
    case 'no-conduit':
      return ["No conduit leads from the gateway's zone to the asset's zone.", ADMINISTRATOR]
    case 'conduit-disabled':
      return [`The conduit "${reason.conduit}" is disabled.`, ADMINISTRATOR]
    case 'protocol-not-carried':
      return [
        `The conduit "${reason.conduit}" does not carry ${reason.protocol.toUpperCase()}.`,
        ADMINISTRATOR,
      ]
    case 'identity-not-accepted':
      return reason.state === 'changed'
        ? ['The asset showed another identity than the accepted one.', ADMINISTRATOR]
        : ["The asset's identity has not been accepted yet.", ADMINISTRATOR]
    case 'no-credential':
      return [`No credential is stored for the account "${reason.account}".`, ADMINISTRATOR]
    case 'endpoint-busy':
      return [`${reason.person} is working there now.`, `${reason.person}, or an operator of the site`]
    case 'operator-not-ready':
      return [
        reason.why === 'expired'
          ? 'An operator said that the console is free, but too long ago.'
          : 'Waiting for an operator at the site to say that the console is free.',
        'An operator of the site; ask on the page of the request',
      ]
    case 'gateway-missing':
      return ['No gateway serves this asset.', ADMINISTRATOR]
    case 'gateway-offline':
      return [`The gateway "${reason.gateway}" is offline.`, ADMINISTRATOR]
    case 'storage-below-reserve':
      return ['The space for recordings is used up; nothing opens without a recording.', ADMINISTRATOR]
    case 'restore-unconfirmed':
      return [
        'A backup was restored here. New sessions wait until it is confirmed that what was revoked since was revoked again.',
        ADMINISTRATOR,
      ]
    case 'clock-anomaly':
      return [
        'The clocks of this installation disagree; new sessions wait until that is cleared.',
        ADMINISTRATOR,
      ]
    case 'request-declined':
      return ['The request was declined.', 'You, with a changed request']
    case 'request-withdrawn':
      return ['The request was withdrawn.', NOBODY]
    case 'request-ended':
      return ['The request has ended.', NOBODY]
    case 'operator-stopped':
      return [
        `${reason.by} stopped the work. It opens again only when a new version of the request is approved.`,
        YOU,
      ]
    case 'operator-held':
      return [
        `${reason.by} holds your work on this asset. It opens again when they release it, or when a new version of the request is approved.`,
        'An operator of the site',
      ]
    case 'request-changed':
      return [
        `Since the request was made, the plant changed: ${reason.fields.join(', ')}. Send it again to have it approved anew.`,
        YOU,
      ]
    case 'no-approval-rule':
      return ['The site has no approval rule for this asset.', ADMINISTRATOR]
    case 'approvals-missing':
      return [`${reason.have} of ${reason.need} approvals are there.`, rolesOf(reason.roles)]
    case 'approval-not-counted':
      return [
        `The approval by ${reason.approver} does not count: ${NOT_COUNTED_TEXT[reason.why]}.`,
        'Another approver of the site',
      ]
    case 'window-not-open':
      return ['The window is not open yet.', 'It opens by itself']
    case 'window-over':
      return ['The window is over.', NOBODY]
    case 'window-empty':
      return ['What the approvers left of the window is empty.', 'An approver of the site']
    case 'ticket-unknown':
      return ['The change ticket is not known.', PLANNER]
    case 'ticket-not-trusted':
      return [`The ticket ${reason.key} did not come signed by a registered key.`, ADMINISTRATOR]
    case 'ticket-not-approved':
      return [`The ticket ${reason.key} is not approved (${reason.state}).`, PLANNER]
    case 'ticket-stale':
      return [`The ticket ${reason.key} was last read too long ago.`, ADMINISTRATOR]
    case 'ticket-other-asset':
      return [`The ticket ${reason.key} does not name the asset "${reason.asset}".`, PLANNER]
    case 'ticket-no-planned-time':
      return [`The ticket ${reason.key} has no planned time.`, PLANNER]
    case 'ticket-not-started':
      return [`The planned time of the ticket ${reason.key} has not begun.`, PLANNER]
    case 'ticket-over':
      return [`The planned time of the ticket ${reason.key} is over.`, PLANNER]
    case 'window-outside-ticket':
      return [
        `The window lies outside the planned time of the ticket ${reason.key}.`,
        'You, or whoever plans the change',
      ]
    case 'blackout':
      return [`Nobody may work there now: ${reason.why}.`, 'Nobody: it ends by itself']
    case 'exception-needed':
      return [
        `${deviation(reason.kind)} Working there needs an open exception of the site.`,
        'An operator of the site',
      ]
    case 'exception-expired':
      return [`${deviation(reason.kind)} The exception for that has expired.`, 'An operator of the site']
  }
}

const DEVIATION: Record<ExceptionKind, string> = {
  'no-encryption': 'The connection to this asset is not encrypted.',
  'no-server-identity': 'This asset cannot prove who it is.',
  'no-authentication': 'This asset asks for no password.',
}

/** What is missing, as a sentence; kinds of later versions by their code. */
const deviation = (kind: string) => DEVIATION[kind as ExceptionKind] ?? `This asset deviates (${kind}).`

const NOT_COUNTED_TEXT: Record<NotCounted, string> = {
  'edited-after': 'the request was edited after it',
  'by-requester': 'nobody approves their own request',
  'by-vendor': "the vendor's side does not approve",
  'same-person': 'the same person counts once',
  'role-lost': 'its approver does not hold a role that may approve here',
  'person-disabled': "its approver's account is disabled",
  'signature-invalid': 'its signature does not verify',
  'method-not-allowed': 'it is not signed with a passkey',
  withdrawn: 'it was withdrawn',
  expired: 'it has run out',
}

function rolesOf(roles: Role[]): string {
  return roles.length === 0 ? ADMINISTRATOR : `Anybody who is ${roles.join(' or ')} at the site`
}
