import type { SessionEnd } from '../../broker/domain/words.ts'

/** Why an asset could not be reached or was lost: stable codes, told apart so that a person knows whom to call. */
export const SSH_FAILURES = [
  'unknown-host',
  'address-not-allowed',
  'refused',
  'unreachable',
  'timed-out',
  'not-ssh',
  'no-common-algorithm',
  'weak-handshake',
  'identity-changed',
  'wrong-credential',
  'credential-unusable',
  'credential-refused',
  'shell-refused',
  'asset-lost',
  'shell-ended',
  'cancelled',
] as const
export type SshFailureCode = (typeof SSH_FAILURES)[number]

export interface SshFailure {
  code: SshFailureCode
  /** A sentence for a person. Holds no address and no credential: it travels to the browser. */
  message: string
  /** Only with identity-changed. */
  seen?: { algorithm: string; fingerprint: string }
}

const SENTENCES: Record<SshFailureCode, string> = {
  'unknown-host': 'The asset’s name could not be resolved. An administrator should check its address.',
  'address-not-allowed':
    'The asset’s address leads to a place that sessions may not go to. Tell an administrator.',
  refused: 'The asset is reachable, but nothing answers on its SSH port. Is its SSH service running?',
  unreachable: 'There is no network route from the gateway to the asset. Tell the site’s network team.',
  'timed-out': 'The asset did not answer in time. It may be switched off or behind a firewall.',
  'not-ssh': 'What answered on the asset’s port does not speak SSH as it should. The session was not opened.',
  'no-common-algorithm':
    'The asset offers only outdated SSH algorithms. It needs an update, or an exception by OT security.',
  'weak-handshake':
    'The asset’s SSH service lacks strict key exchange for the cipher it chose. It needs an update.',
  'identity-changed':
    'The asset showed a different host key than the one that was accepted. No credential was sent. ' +
    'An administrator must find out why before anybody connects.',
  'wrong-credential': 'The asset did not accept the stored credential. An administrator should renew it.',
  'credential-unusable': 'The stored credential cannot be used. An administrator should enter it again.',
  'credential-refused':
    'The broker did not hand out the asset’s credential. Try again, or tell an administrator.',
  'shell-refused': 'The asset accepted the sign-in but gives this account no interactive shell.',
  'asset-lost': 'The connection to the asset was lost.',
  'shell-ended': 'The session on the asset was ended.',
  cancelled: 'The session was ended before the asset was reached.',
}

export function sshFailure(code: SshFailureCode, seen?: SshFailure['seen']): SshFailure {
  return { code, message: SENTENCES[code], ...(seen ? { seen } : {}) }
}

/** How a failure ends the session: before it was live, or after. */
export function endOf(code: SshFailureCode, wasLive: boolean): SessionEnd {
  if (code === 'identity-changed') return 'target-identity-changed'
  if (!wasLive) return 'open-failed'
  if (code === 'shell-ended') return 'vendor-left'
  if (code === 'not-ssh' || code === 'weak-handshake') return 'protocol-violation'
  return 'asset-lost'
}
