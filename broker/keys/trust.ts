import { createPublicKey, verify } from 'node:crypto'
import type { JWK } from 'jose'
import {
  TRUST_TYP,
  type TrustFile,
  type TrustKey,
  type TrustStatement,
  trustFile,
  trustStatement,
} from '../contract/trust-file.ts'
import { KeyError } from './key-files.ts'
import type { SigningKey } from './signing-key.ts'
import { canonicalThumbprint } from './thumbprint.ts'

/** A public key as the trust file lists it. */
export function trustKeyOf(
  use: TrustKey['use'],
  jwk: JWK,
  from: number,
  until: number | null = null,
): TrustKey {
  const publicJwk =
    jwk.kty === 'EC'
      ? { kty: 'EC' as const, crv: 'P-256' as const, x: jwk.x ?? '', y: jwk.y ?? '' }
      : { kty: 'OKP' as const, crv: 'Ed25519' as const, x: jwk.x ?? '' }
  return { kid: canonicalThumbprint(publicJwk), use, jwk: publicJwk, from, until }
}

/** Signs a statement with the root and makes the file of it. */
export async function signTrust(root: SigningKey, statement: TrustStatement): Promise<TrustFile> {
  return {
    v: 1,
    root: { kid: root.kid, x: root.x },
    statement: await root.signJws(trustStatement.parse(statement), TRUST_TYP),
  }
}

/** Reads keys.json and verifies the root's signature. Whether that root is the right one, the caller must know. */
export function readTrust(json: string): { file: TrustFile; statement: TrustStatement } {
  try {
    const file = trustFile.parse(JSON.parse(json))
    const [head, body, signature, ...rest] = file.statement.split('.')
    if (!head || !body || !signature || rest.length > 0) throw new Error('the statement is no compact JWS')
    const header = JSON.parse(Buffer.from(head, 'base64url').toString('utf8')) as Record<string, unknown>
    if (header.alg !== 'Ed25519' || header.typ !== TRUST_TYP || header.kid !== file.root.kid) {
      throw new Error('the statement is not signed by the root')
    }
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: file.root.x }
    if (canonicalThumbprint(jwk) !== file.root.kid) throw new Error("the root's kid is not its thumbprint")
    const key = createPublicKey({ key: jwk, format: 'jwk' })
    if (!verify(null, Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url'))) {
      throw new Error("the root's signature does not verify")
    }
    const statement = trustStatement.parse(JSON.parse(Buffer.from(body, 'base64url').toString('utf8')))
    return { file, statement }
  } catch (error) {
    throw new KeyError('key-malformed', `keys.json: ${(error as Error).message}`)
  }
}

/** The key for a use that is valid now. */
export function currentKey(statement: TrustStatement, use: TrustKey['use']): TrustKey {
  const found = statement.keys.find((key) => key.use === use && key.until === null)
  if (!found) throw new KeyError('key-missing', `keys.json names no valid ${use} key.`)
  return found
}
