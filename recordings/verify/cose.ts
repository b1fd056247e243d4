import { createPublicKey, type KeyObject, verify } from 'node:crypto'

/** A passkey's public key, ready to verify with. */
export interface PasskeyKey {
  verify(data: Uint8Array, signature: Uint8Array): boolean
}

/**
 * Reads a COSE_Key (RFC 9052 section 7): ES256, EdDSA or RS256. Null for anything else, and for bytes after the
 * map: one key has one reading.
 */
export function readCoseKey(bytes: Uint8Array): PasskeyKey | null {
  const map = readMap(Buffer.from(bytes))
  if (!map) return null
  const algorithm = map.get(3)
  const at = (label: number, length?: number) => {
    const value = map.get(label)
    return Buffer.isBuffer(value) && (length === undefined || value.length === length)
      ? value.toString('base64url')
      : null
  }
  if (map.get(1) === 2 && algorithm === -7 && map.get(-1) === 1) {
    const [x, y] = [at(-2, 32), at(-3, 32)]
    return x && y ? usable({ kty: 'EC', crv: 'P-256', x, y }, 'sha256') : null
  }
  if (map.get(1) === 1 && algorithm === -8 && map.get(-1) === 6) {
    const x = at(-2, 32)
    return x ? usable({ kty: 'OKP', crv: 'Ed25519', x }, null) : null
  }
  if (map.get(1) === 3 && algorithm === -257) {
    const [n, e] = [at(-1), at(-2)]
    const key = n && e ? usable({ kty: 'RSA', n, e }, 'sha256') : null
    return key && (key.bits ?? 0) >= 2048 ? key : null
  }
  return null
}

function usable(jwk: JsonWebKey, hash: string | null): (PasskeyKey & { bits: number | undefined }) | null {
  let key: KeyObject
  try {
    key = createPublicKey({ key: jwk as Record<string, string>, format: 'jwk' })
  } catch {
    return null
  }
  return {
    bits: key.asymmetricKeyDetails?.modulusLength,
    verify(data, signature) {
      try {
        return verify(hash, data, key, signature)
      } catch {
        return false
      }
    },
  }
}

/** A CBOR map (RFC 8949) of integers to integers or byte strings, definite lengths, nothing after it. */
function readMap(bytes: Buffer): Map<number, number | Buffer> | null {
  let at = 0
  const head = (): { major: number; value: number } | null => {
    const first = bytes[at++]
    if (first === undefined) return null
    const low = first & 31
    const width = low < 24 ? 0 : low === 24 ? 1 : low === 25 ? 2 : low === 26 ? 4 : -1
    if (width < 0 || at + width > bytes.length) return null
    const value = width === 0 ? low : bytes.readUIntBE(at, width)
    at += width
    return { major: first >> 5, value }
  }
  const integer = (item: { major: number; value: number }) =>
    item.major === 0 ? item.value : item.major === 1 ? -1 - item.value : null
  const start = head()
  if (start?.major !== 5 || start.value > 16) return null
  const map = new Map<number, number | Buffer>()
  for (let pair = 0; pair < start.value; pair++) {
    const label = head()
    const key = label ? integer(label) : null
    const item = label ? head() : null
    if (key === null || !item || map.has(key)) return null
    const number = integer(item)
    if (number !== null) {
      map.set(key, number)
    } else if (item.major === 2 && at + item.value <= bytes.length) {
      map.set(key, bytes.subarray(at, at + item.value))
      at += item.value
    } else {
      return null
    }
  }
  return at === bytes.length ? map : null
}
