import { CompactSign, type CryptoKey, compactVerify, importJWK, type KeyObject } from 'jose'
import { z } from 'zod'
import { sha256 } from '../../broker/domain/canonical.ts'
import { complaint, hasUnknownField, word } from './fields.ts'
import { parseJson } from './json.ts'
import { fault, good, type Result } from './result.ts'

/**
 * Compact JWS (RFC 7515) with alg "Ed25519" (RFC 9864), pinned. The protected header is {alg, typ, kid} and nothing
 * else; `typ` says the kind, so one kind is never taken for another.
 */
export const JWS_ALG = 'Ed25519'
/** The largest are a manifest and a package's list at the counts that their schemas allow. */
export const JWS_LIMIT = 16 * 1024 * 1024

const protectedHeader = z.strictObject({ alg: z.literal(JWS_ALG), typ: word(80), kid: word(200) })

export interface ReadJws<T> {
  payload: T
  kid: string
}

/** SHA-256 of the compact serialisation as ASCII, hex: how a JWS is named by others. */
export function jwsHash(jws: string): string {
  return sha256(jws).toString('hex')
}

export async function signJws(
  payload: unknown,
  typ: string,
  kid: string,
  key: CryptoKey | KeyObject,
): Promise<string> {
  return await new CompactSign(new TextEncoder().encode(JSON.stringify(payload)))
    .setProtectedHeader({ alg: JWS_ALG, typ, kid })
    .sign(key)
}

/**
 * Splits and parses a JWS without verifying its signature: to learn which key it names. Codes: jws-malformed,
 * jws-header, jws-type, jws-payload, jws-unknown-field.
 */
export function decodeJws<T>(jws: string, typ: string, schema: z.ZodType<T>): Result<ReadJws<T>> {
  if (jws.length > JWS_LIMIT || !/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}$/.test(jws)) {
    return fault('jws-malformed', 'not a compact JWS with an Ed25519 signature')
  }
  const [first, second, signature] = jws.split('.') as [string, string, string]
  // One spelling of each signature: the four unused bits of its last character are zero.
  if (Buffer.from(signature, 'base64url').toString('base64url') !== signature) {
    return fault('jws-malformed', 'the signature is not canonical base64url')
  }
  const header = protectedHeader.safeParse(decodeJson(first))
  if (!header.success) return fault('jws-header', `JWS header, ${complaint(header.error)}`)
  if (header.data.typ !== typ) return fault('jws-type', `the JWS is a ${header.data.typ}, not a ${typ}`)
  const payload = schema.safeParse(decodeJson(second))
  if (!payload.success) {
    const code = hasUnknownField(payload.error) ? 'jws-unknown-field' : 'jws-payload'
    return fault(code, `JWS payload, ${complaint(payload.error)}`)
  }
  return good({ payload: payload.data, kid: header.data.kid })
}

/** Verifies with the raw 32-byte public key (base64url `x`) that the kid stands for. Adds code jws-signature. */
export async function verifyJws<T>(
  jws: string,
  typ: string,
  schema: z.ZodType<T>,
  x: string,
): Promise<Result<ReadJws<T>>> {
  const decoded = decodeJws(jws, typ, schema)
  if (!decoded.ok) return decoded
  try {
    const key = await importJWK({ kty: 'OKP', crv: 'Ed25519', x }, JWS_ALG)
    await compactVerify(jws, key, { algorithms: [JWS_ALG] })
  } catch {
    return fault('jws-signature', 'the signature does not verify')
  }
  return decoded
}

function decodeJson(part: string): unknown {
  try {
    const bytes = Buffer.from(part, 'base64url')
    if (bytes.toString('base64url') !== part) return undefined
    return parseJson(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
  } catch {
    return undefined
  }
}
