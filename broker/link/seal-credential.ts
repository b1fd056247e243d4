import { CompactEncrypt, importJWK } from 'jose'
import { CredentialPayload } from '../contract/link.ts'
import type { JsonWebKeyPublic } from '../domain/grant.ts'

/** A sealed credential is good for half a minute. */
export const CREDENTIAL_SECONDS = 30

/**
 * Seals a credential to a gateway's X25519 key: compact JWE, ECDH-ES+A256KW with A256GCM. What it is for stands inside,
 * so a copy opens nothing else.
 */
export async function sealCredential(payload: CredentialPayload, sealKey: JsonWebKeyPublic): Promise<string> {
  const key = await importJWK({ kty: sealKey.kty, crv: sealKey.crv, x: sealKey.x }, 'ECDH-ES+A256KW')
  return await new CompactEncrypt(new TextEncoder().encode(JSON.stringify(CredentialPayload.parse(payload))))
    .setProtectedHeader({
      alg: 'ECDH-ES+A256KW',
      enc: 'A256GCM',
      kid: sealKey.kid,
      typ: 'sallyport-credential+jwe',
    })
    .encrypt(key)
}
