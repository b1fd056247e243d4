import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto'
import { inspect } from 'node:util'
import { CompactSign, type JWK } from 'jose'
import { canonicalThumbprint } from './thumbprint.ts'

/** An Ed25519 private key that signs and says nothing else: it cannot be printed, serialised or read back. */
export class SigningKey {
  readonly kid: string
  /** Raw public key, base64url, as JWK's `x`. */
  readonly x: string
  readonly #key: KeyObject

  constructor(jwk: JWK) {
    if (jwk.kty !== 'OKP' || jwk.crv !== 'Ed25519' || !jwk.d) throw new TypeError('not a private Ed25519 JWK')
    this.#key = createPrivateKey({
      key: { kty: 'OKP', crv: 'Ed25519', d: jwk.d, x: jwk.x ?? '' },
      format: 'jwk',
    })
    const x = createPublicKey(this.#key).export({ format: 'jwk' }).x
    if (typeof x !== 'string') throw new TypeError('the key has no public part')
    this.x = x
    this.kid = canonicalThumbprint({ kty: 'OKP', crv: 'Ed25519', x })
  }

  /** Raw 32 bytes. */
  get publicKey(): Buffer {
    return Buffer.from(this.x, 'base64url')
  }

  sign(data: Uint8Array): Buffer {
    return sign(null, data, this.#key)
  }

  /** Compact JWS with the protected header {alg: "Ed25519", typ, kid} and nothing else. */
  async signJws(payload: unknown, typ: string): Promise<string> {
    return await new CompactSign(new TextEncoder().encode(JSON.stringify(payload)))
      .setProtectedHeader({ alg: 'Ed25519', typ, kid: this.kid })
      .sign(this.#key)
  }

  toJSON(): string {
    return '[private key]'
  }

  toString(): string {
    return '[private key]'
  }

  [inspect.custom](): string {
    return `[private key ${this.kid}]`
  }
}
