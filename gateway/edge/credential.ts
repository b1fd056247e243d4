import { compactDecrypt, importJWK } from 'jose'
import { CredentialPayload } from '../../broker/contract/link.ts'
import type { Grant } from '../../broker/domain/grant.ts'
import { Secret } from '../../broker/domain/secret.ts'
import type { GatewayIdentity } from '../identity/identity.ts'
import type { Login } from '../session/source.ts'

const JWE_LIMIT = 64 * 1024
/** A credential is sealed for 30 s; more is not by our broker's rules. */
const LONGEST_MS = 60_000

/**
 * Opens the sealed credential of one grant (JWE, ECDH-ES+A256KW over X25519, A256GCM), at the moment of use. Null when
 * it is not for exactly this grant, session and gateway, has run out, or does not open. The plaintext is wiped; the
 * secrets live on in the returned buffers alone, which the log-in wipes. (JSON.parse makes strings on the way, which
 * the garbage collector takes: JavaScript has no way to wipe those.)
 */
export async function openCredential(
  jwe: string,
  seal: GatewayIdentity['seal'],
  expected: { grant: Grant; gateway: string; now: number },
): Promise<Login | null> {
  if (jwe.length > JWE_LIMIT) return null
  let plaintext: Uint8Array
  try {
    const key = await importJWK({ ...seal.reveal() }, 'ECDH-ES+A256KW')
    const opened = await compactDecrypt(jwe, key, {
      keyManagementAlgorithms: ['ECDH-ES+A256KW'],
      contentEncryptionAlgorithms: ['A256GCM'],
    })
    plaintext = opened.plaintext
  } catch {
    return null
  }
  try {
    const parsed = CredentialPayload.safeParse(JSON.parse(new TextDecoder().decode(plaintext)))
    if (!parsed.success) return null
    const payload = parsed.data
    const { grant, gateway, now } = expected
    const expires = payload.exp * 1000
    if (
      payload.grant !== grant.jti ||
      payload.session !== grant.session ||
      payload.gateway !== gateway ||
      expires <= now ||
      expires > now + LONGEST_MS
    )
      return null
    if (payload.kind === 'password')
      return {
        kind: 'password',
        account: payload.account,
        password: new Secret(Buffer.from(payload.password)),
      }
    return {
      kind: 'private-key',
      account: payload.account,
      privateKey: new Secret(Buffer.from(payload.privateKey)),
      passphrase: payload.passphrase === null ? null : new Secret(Buffer.from(payload.passphrase)),
    }
  } catch {
    return null
  } finally {
    plaintext.fill(0)
  }
}
