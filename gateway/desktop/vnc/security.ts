import type { PinnedIdentity } from '../../../broker/domain/grant.ts'
import type { VncSecurity } from '../../../broker/domain/vnc.ts'
import { vncEnd } from './failure.ts'

/** Security types (RFC 6143 section 7.2, the community's registry) and VeNCrypt's subtypes that are spoken here. */
export const TYPE = { none: 1, vncAuth: 2, veNCrypt: 19 } as const
export const SUBTYPE = {
  tlsNone: 257,
  tlsVnc: 258,
  x509None: 260,
  x509Vnc: 261,
  x509Plain: 262,
} as const

export type SignIn = 'none' | 'vnc' | 'plain'

export interface Way {
  type: number
  subtype: number | null
  encryption: VncSecurity['security']
  signIn: SignIn
}

/** Best first. TLSPlain is not here: it would give the password in the clear to whoever answers. */
const WAYS: readonly Way[] = [
  { type: TYPE.veNCrypt, subtype: SUBTYPE.x509Plain, encryption: 'x509', signIn: 'plain' },
  { type: TYPE.veNCrypt, subtype: SUBTYPE.x509Vnc, encryption: 'x509', signIn: 'vnc' },
  { type: TYPE.veNCrypt, subtype: SUBTYPE.x509None, encryption: 'x509', signIn: 'none' },
  { type: TYPE.veNCrypt, subtype: SUBTYPE.tlsVnc, encryption: 'anonymous-tls', signIn: 'vnc' },
  { type: TYPE.vncAuth, subtype: null, encryption: 'plain', signIn: 'vnc' },
  { type: TYPE.veNCrypt, subtype: SUBTYPE.tlsNone, encryption: 'anonymous-tls', signIn: 'none' },
  { type: TYPE.none, subtype: null, encryption: 'plain', signIn: 'none' },
]

/** What was approved of the endpoint; nothing weaker is spoken. */
export interface SecurityRules extends VncSecurity {
  /** Certificates that were accepted. With one, nothing but a certificate will do. */
  identities: readonly PinnedIdentity[]
}

const STRENGTH: Record<VncSecurity['security'], number> = { plain: 0, 'anonymous-tls': 1, x509: 2 }

/** In the words of an endpoint. */
export function securityOf({ encryption, signIn }: Way): VncSecurity {
  return { security: encryption, authentication: signIn === 'none' ? 'none' : 'password' }
}

/** The best offered way that the rules allow; throws with the code that says what is missing. */
export function chooseWay(offered: readonly Pick<Way, 'type' | 'subtype'>[], rules: SecurityRules): Way {
  const known = WAYS.filter((way) =>
    offered.some(({ type, subtype }) => type === way.type && subtype === way.subtype),
  )
  const allowed = known.find(
    ({ encryption, signIn }) =>
      (signIn !== 'none' || rules.authentication === 'none') &&
      (encryption === 'x509' || rules.identities.length === 0) &&
      STRENGTH[encryption] >= STRENGTH[rules.security],
  )
  if (allowed) return allowed
  if (known.length === 0) throw vncEnd('no-common-security')
  const certified = known.filter(({ encryption }) => encryption === 'x509')
  // Somebody in between may have taken the certificate off the list.
  if (rules.identities.length > 0 && certified.length === 0)
    throw vncEnd('identity-changed', { algorithm: 'none', fingerprint: 'none' })
  const [best] = certified.length > 0 ? certified : known
  if (best?.signIn === 'none') throw vncEnd('no-authentication')
  throw vncEnd(best?.encryption === 'plain' ? 'no-encryption' : 'unauthenticated-encryption')
}
