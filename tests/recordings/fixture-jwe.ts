import { createCipheriv, createECDH, createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto'
import { sha256 } from '../../broker/domain/canonical.ts'
import type { JsonWebKeyPublic } from '../../broker/domain/grant.ts'
import { type KeyWrap, type SegmentName, wrapAad } from '../../recordings/format/wrap.ts'
import { bytesOf } from './fixture-keys.ts'

/**
 * The wrap of docs/evidence-format.md section 4 written out with node:crypto, with fixed ephemeral keys: it makes
 * the vectors reproducible, and it checks the document against jose, which opens what this seals.
 */
export function wrapByHand(
  dataKey: Buffer,
  name: SegmentName,
  recipients: readonly JsonWebKeyPublic[],
): KeyWrap {
  const label = wrapAad(name)
  const cek = bytesOf(`cek ${label}`)
  const iv = bytesOf(`iv ${label}`, 12)
  const protectedHeader = Buffer.from('{"enc":"A256GCM"}').toString('base64url')
  const aad = Buffer.from(label, 'ascii').toString('base64url')
  const cipher = createCipheriv('aes-256-gcm', cek, iv)
  cipher.setAAD(Buffer.from(`${protectedHeader}.${aad}`, 'ascii'))
  const ciphertext = Buffer.concat([cipher.update(dataKey), cipher.final()])
  return {
    protected: protectedHeader,
    aad,
    iv: iv.toString('base64url'),
    ciphertext: ciphertext.toString('base64url'),
    tag: cipher.getAuthTag().toString('base64url'),
    recipients: recipients.map((recipient) => {
      const { epk, z } = agree(recipient, `epk ${label} ${recipient.kid}`)
      return {
        encrypted_key: keyWrap(concatKdf(z), cek).toString('base64url'),
        header: { alg: 'ECDH-ES+A256KW' as const, kid: recipient.kid, epk },
      }
    }),
  }
}

type Epk = KeyWrap['recipients'][number]['header']['epk']

function agree(recipient: JsonWebKeyPublic, label: string): { epk: Epk; z: Buffer } {
  const secret = bytesOf(label)
  if (recipient.crv === 'P-256') {
    const ecdh = createECDH('prime256v1')
    ecdh.setPrivateKey(secret)
    const point = ecdh.getPublicKey()
    const theirs = Buffer.concat([
      Buffer.of(4),
      Buffer.from(recipient.x, 'base64url'),
      Buffer.from(recipient.y ?? '', 'base64url'),
    ])
    const x = point.subarray(1, 33).toString('base64url')
    const y = point.subarray(33).toString('base64url')
    return { epk: { kty: 'EC', crv: 'P-256', x, y }, z: ecdh.computeSecret(theirs) }
  }
  const prefix = Buffer.from('302e020100300506032b656e04220420', 'hex')
  const privateKey = createPrivateKey({ key: Buffer.concat([prefix, secret]), format: 'der', type: 'pkcs8' })
  const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x: recipient.x }, format: 'jwk' })
  const x = createPublicKey(privateKey).export({ format: 'jwk' }).x as string
  return { epk: { kty: 'OKP', crv: 'X25519', x }, z: diffieHellman({ privateKey, publicKey }) }
}

function concatKdf(z: Buffer): Buffer {
  const u32 = (value: number) => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(value)
    return bytes
  }
  return sha256(u32(1), z, u32(14), 'ECDH-ES+A256KW', u32(0), u32(0), u32(256))
}

function keyWrap(kek: Buffer, cek: Buffer): Buffer {
  const cipher = createCipheriv('id-aes256-wrap', kek, Buffer.alloc(8, 0xa6))
  return Buffer.concat([cipher.update(cek), cipher.final()])
}
