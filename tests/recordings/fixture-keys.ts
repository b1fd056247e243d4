import { createECDH, createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import type { JsonWebKeyPublic } from '../../broker/domain/grant.ts'

/** Everything random in the test vectors comes from a label, so that they can be made again byte for byte. */
export function bytesOf(label: string, length = 32): Buffer {
  const out: Buffer[] = []
  for (let block = 0; out.length * 32 < length; block++) {
    out.push(createHash('sha256').update(`sallyport vectors ${label} ${block}`).digest())
  }
  return Buffer.concat(out).subarray(0, length)
}

export function idOf(label: string): string {
  const hex = Buffer.from(bytesOf(`id ${label}`, 16))
  hex[6] = ((hex[6] as number) & 0x0f) | 0x70
  hex[8] = ((hex[8] as number) & 0x3f) | 0x80
  const text = hex.toString('hex')
  return `${text.slice(0, 8)}-${text.slice(8, 12)}-${text.slice(12, 16)}-${text.slice(16, 20)}-${text.slice(20)}`
}

export function hashHex(label: string): string {
  return bytesOf(`hash ${label}`).toString('hex')
}

export interface Ed25519Pair {
  kid: string
  x: string
  raw: Buffer
  key: KeyObject
}

/** An Ed25519 key whose seed comes from the label (RFC 8410: the seed behind a fixed PKCS#8 prefix). */
export function ed25519(kid: string): Ed25519Pair {
  const prefix = Buffer.from('302e020100300506032b657004220420', 'hex')
  const key = createPrivateKey({
    key: Buffer.concat([prefix, bytesOf(`ed25519 ${kid}`)]),
    format: 'der',
    type: 'pkcs8',
  })
  const x = createPublicKey(key).export({ format: 'jwk' }).x as string
  return { kid, x, raw: Buffer.from(x, 'base64url'), key }
}

export interface AgreementPair {
  pub: JsonWebKeyPublic
  priv: JsonWebKeyPublic & { d: string }
}

export function p256(kid: string): AgreementPair {
  const d = bytesOf(`p256 ${kid}`)
  const ecdh = createECDH('prime256v1')
  ecdh.setPrivateKey(d)
  const point = ecdh.getPublicKey()
  const pub = {
    kty: 'EC' as const,
    crv: 'P-256' as const,
    x: point.subarray(1, 33).toString('base64url'),
    y: point.subarray(33).toString('base64url'),
    kid,
  }
  return { pub, priv: { ...pub, d: d.toString('base64url') } }
}

export function x25519(kid: string): AgreementPair {
  const prefix = Buffer.from('302e020100300506032b656e04220420', 'hex')
  const seed = bytesOf(`x25519 ${kid}`)
  const key = createPrivateKey({ key: Buffer.concat([prefix, seed]), format: 'der', type: 'pkcs8' })
  const x = createPublicKey(key).export({ format: 'jwk' }).x as string
  const pub = { kty: 'OKP' as const, crv: 'X25519' as const, x, kid }
  return { pub, priv: { ...pub, d: seed.toString('base64url') } }
}
