import { createHash } from 'node:crypto'
import canonicalize from 'canonicalize'

/** JSON Canonicalization Scheme (RFC 8785) as UTF-8 bytes: what is hashed and signed. Throws on what JSON cannot hold. */
export function jcs(value: unknown): Uint8Array {
  const text = canonicalize(value)
  if (text === undefined) throw new TypeError('value has no JSON form')
  return new TextEncoder().encode(text)
}

export function sha256(...parts: (Uint8Array | string)[]): Buffer {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** Lower-case hex SHA-256 of a value's canonical JSON: the form in which snapshots, policies and assets are named. */
export function hashOf(value: unknown): string {
  return sha256(jcs(value)).toString('hex')
}
