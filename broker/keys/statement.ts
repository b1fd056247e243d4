import { createPublicKey, verify } from 'node:crypto'
import type { JWK } from 'jose'
import { KeyError } from './key-files.ts'
import {
  type RootStatement,
  rootStatement,
  STATEMENT_TYP,
  type StatedKey,
  type StatementFile,
  statementFile,
} from './root-statement.ts'
import type { SigningKey } from './signing-key.ts'
import { canonicalThumbprint } from './thumbprint.ts'

/** A public key as the statement lists it. */
export function statedKeyOf(
  use: StatedKey['use'],
  jwk: JWK,
  from: number,
  until: number | null = null,
): StatedKey {
  const publicJwk =
    jwk.kty === 'EC'
      ? { kty: 'EC' as const, crv: 'P-256' as const, x: jwk.x ?? '', y: jwk.y ?? '' }
      : { kty: 'OKP' as const, crv: 'Ed25519' as const, x: jwk.x ?? '' }
  return { kid: canonicalThumbprint(publicJwk), use, jwk: publicJwk, from, until }
}

/** Signs a statement with the root and makes the file of it. */
export async function signStatement(root: SigningKey, statement: RootStatement): Promise<StatementFile> {
  return {
    v: 1,
    root: { kid: root.kid, x: root.x },
    statement: await root.signJws(rootStatement.parse(statement), STATEMENT_TYP),
  }
}

/** Reads root-statement.json and verifies the root's signature. Whether that root is the right one, the caller must know. */
export function readStatement(json: string): { file: StatementFile; statement: RootStatement } {
  try {
    const file = statementFile.parse(JSON.parse(json))
    const [head, body, signature, ...rest] = file.statement.split('.')
    if (!head || !body || !signature || rest.length > 0) throw new Error('the statement is no compact JWS')
    const header = JSON.parse(Buffer.from(head, 'base64url').toString('utf8')) as Record<string, unknown>
    if (header.alg !== 'Ed25519' || header.typ !== STATEMENT_TYP || header.kid !== file.root.kid) {
      throw new Error('the statement is not signed by the root')
    }
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: file.root.x }
    if (canonicalThumbprint(jwk) !== file.root.kid) throw new Error("the root's kid is not its thumbprint")
    const key = createPublicKey({ key: jwk, format: 'jwk' })
    if (!verify(null, Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url'))) {
      throw new Error("the root's signature does not verify")
    }
    const statement = rootStatement.parse(JSON.parse(Buffer.from(body, 'base64url').toString('utf8')))
    return { file, statement }
  } catch (error) {
    throw new KeyError('key-malformed', `root-statement.json: ${(error as Error).message}`)
  }
}

/** The key for a use that is valid now. */
export function currentKey(statement: RootStatement, use: StatedKey['use']): StatedKey {
  const found = statement.keys.find((key) => key.use === use && key.until === null)
  if (!found) throw new KeyError('key-missing', `root-statement.json names no valid ${use} key.`)
  return found
}
