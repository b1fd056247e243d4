import type { PinnedIdentity } from '../../../broker/domain/grant.ts'
import type { DialFailureCode } from '../../target/dial.ts'
import type { DesktopFailure } from '../failure.ts'
import { HandshakeEnd } from '../handshake/end.ts'

/** Why a VNC asset could not be opened: stable codes, told apart so that a person knows whom to call. */
export type VncFailureCode =
  | DialFailureCode
  | 'not-vnc'
  | 'turned-away'
  | 'no-common-security'
  | 'no-authentication'
  | 'no-encryption'
  | 'unauthenticated-encryption'
  | 'identity-changed'
  | 'wrong-credential'
  | 'credential-unusable'
  | 'credential-refused'
  | 'protocol-violation'
  | 'decoder-failed'
  | 'asset-lost'

const SENTENCES: Record<VncFailureCode, string> = {
  'unknown-host': 'The asset’s name could not be resolved. An administrator should check its address.',
  'address-not-allowed':
    'The asset’s address leads to a place that sessions may not go to. Tell an administrator.',
  refused: 'The asset is reachable, but nothing answers on its VNC port. Is its VNC service running?',
  unreachable: 'There is no network route from the gateway to the asset. Tell the site’s network team.',
  'timed-out': 'The asset did not answer in time. It may be switched off or behind a firewall.',
  cancelled: 'The session was ended before the asset was reached.',
  'not-vnc': 'What answered on the asset’s port does not speak VNC as it should. The session was not opened.',
  'turned-away':
    'The asset’s VNC service turned the connection away, as after too many failed sign-ins. Try again later.',
  'no-common-security':
    'The asset’s VNC service offers only ways to sign in that are not supported. It needs VNC password or VeNCrypt.',
  'no-authentication':
    'The asset’s VNC service lets anybody in without a password. It needs one, or an exception by OT security.',
  'no-encryption':
    'The asset’s VNC service does not encrypt. It needs VeNCrypt with a certificate, or an exception by OT security.',
  'unauthenticated-encryption':
    'The asset’s VNC service encrypts but cannot prove who it is. It needs a certificate, or an exception by OT security.',
  'identity-changed':
    'The asset showed a different certificate than the one that was accepted, or none. No credential was sent. ' +
    'An administrator must find out why before anybody connects.',
  'wrong-credential': 'The asset did not accept the stored credential. An administrator should renew it.',
  'credential-unusable': 'The stored credential cannot be used. An administrator should enter it again.',
  'credential-refused':
    'The broker did not hand out the asset’s credential. Try again, or tell an administrator.',
  'protocol-violation': 'The asset sent something that breaks the VNC protocol. The session was not opened.',
  'decoder-failed': 'The gateway could not decode the asset’s picture. Tell an administrator.',
  'asset-lost': 'The connection to the asset was lost.',
}

export function vncFailure(code: VncFailureCode, seen?: PinnedIdentity): DesktopFailure {
  return { code, message: SENTENCES[code], ...(seen ? { seen } : {}) }
}

/** Ends a VNC handshake. */
export const vncEnd = (code: VncFailureCode, seen?: PinnedIdentity) => new HandshakeEnd(code, seen)

/** What a handshake ended with, whoever ended it. */
export function vncFailureOf({ code, seen }: HandshakeEnd<string>): DesktopFailure {
  return vncFailure(code === 'not-understood' ? 'not-vnc' : (code as VncFailureCode), seen)
}
