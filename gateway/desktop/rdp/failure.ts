import type { PinnedIdentity } from '../../../broker/domain/grant.ts'
import type { DialFailureCode } from '../../target/dial.ts'
import type { DesktopFailure } from '../failure.ts'
import { HandshakeEnd } from '../handshake/end.ts'

/** Why an RDP asset could not be opened: stable codes, told apart so that a person knows whom to call. */
export type RdpFailureCode =
  | DialFailureCode
  | 'not-rdp'
  | 'old-security'
  | 'nla-missing'
  | 'nla-required'
  | 'identity-changed'
  | 'wrong-credential'
  | 'logon-refused'
  | 'licence'
  | 'credential-unusable'
  | 'credential-refused'
  | 'protocol-violation'
  | 'decoder-failed'
  | 'taken-over'
  | 'dismissed'
  | 'asset-lost'

const SENTENCES: Record<RdpFailureCode, string> = {
  'unknown-host': 'The asset’s name could not be resolved. An administrator should check its address.',
  'address-not-allowed':
    'The asset’s address leads to a place that sessions may not go to. Tell an administrator.',
  refused: 'The asset is reachable, but nothing answers on its RDP port. Is Remote Desktop switched on?',
  unreachable: 'There is no network route from the gateway to the asset. Tell the site’s network team.',
  'timed-out': 'The asset did not answer in time. It may be switched off, busy or behind a firewall.',
  cancelled: 'The session was ended before the asset was reached.',
  'not-rdp': 'What answered on the asset’s port does not speak RDP as it should. The session was not opened.',
  'old-security':
    'The asset offers only the old RDP security, which proves nothing and can be read. It needs a certificate for TLS.',
  'nla-missing':
    'The asset did not offer Network Level Authentication, which is required of it. No credential was sent. ' +
    'An administrator must find out why.',
  'nla-required':
    'The asset takes Network Level Authentication only. An administrator should say so at its endpoint.',
  'identity-changed':
    'The asset showed a different certificate than the one that was accepted. No credential was sent. ' +
    'An administrator must find out why before anybody connects.',
  'wrong-credential': 'The asset did not accept the stored credential. An administrator should renew it.',
  'logon-refused':
    'The asset knows the account but does not let it in: it may be locked, expired, or not allowed to use Remote Desktop.',
  licence: 'The asset has no Remote Desktop licence left for this session. Tell its administrator.',
  'credential-unusable': 'The stored credential cannot be used. An administrator should enter it again.',
  'credential-refused':
    'The broker did not hand out the asset’s credential. Try again, or tell an administrator.',
  'protocol-violation': 'The asset sent something that breaks the RDP protocol. The session was not opened.',
  'decoder-failed': 'The gateway could not decode the asset’s picture. Tell an administrator.',
  'taken-over': 'Somebody else signed in at the asset at the same moment. Ask whoever works there.',
  dismissed:
    'The asset ended the connection before it was open, as when its own administrator or a policy does.',
  'asset-lost': 'The connection to the asset was lost.',
}

export function rdpFailure(code: RdpFailureCode, seen?: PinnedIdentity): DesktopFailure {
  return { code, message: SENTENCES[code], ...(seen ? { seen } : {}) }
}

/** Ends an RDP handshake. */
export const rdpEnd = (code: RdpFailureCode, seen?: PinnedIdentity) => new HandshakeEnd(code, seen)

/** What a handshake ended with, whoever ended it. */
export function rdpFailureOf({ code, seen }: HandshakeEnd<string>): DesktopFailure {
  return rdpFailure(code === 'not-understood' ? 'not-rdp' : (code as RdpFailureCode), seen)
}
