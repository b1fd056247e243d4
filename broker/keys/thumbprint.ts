import type { JWK } from 'jose'
import { jcs, sha256 } from '../domain/canonical.ts'

/** JWK thumbprint (RFC 7638 with SHA-256; RFC 8037 for OKP), base64url: every key's `kid`. */
export function canonicalThumbprint(jwk: JWK): string {
  const { kty, crv, x, y } = jwk
  // The required members in lexical order without spaces, which is what JCS gives for these ASCII values.
  return sha256(jcs(kty === 'EC' ? { crv, kty, x, y } : { crv, kty, x })).toString('base64url')
}
