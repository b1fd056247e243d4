import { createHmac, randomBytes } from 'node:crypto'
import { jcs } from '../domain/canonical.ts'
import { isId } from '../domain/ids.ts'
import type { Secret } from '../domain/secret.ts'

/**
 * Tokens that people carry. The database keeps HMACs of them by a key that is not in it, bound to the person: whoever
 * can write rows can neither make a sign-in nor a set-up link, nor move one to another person.
 */
const SECRET_BYTES = 32

/** What a sign-in's HMAC covers besides the cookie's secret. */
export interface SealedSignIn {
  id: string
  personId: string
  method: 'passkey' | 'oidc'
  provider: string
  revocationEpoch: number
  createdAt: Date
  authenticatedAt: Date
  expiresAt: Date
}

export class Tokens {
  readonly #key: Secret<Buffer>

  constructor(key: Secret<Buffer>) {
    this.#key = key
  }

  /** id (16 bytes) || secret (32 bytes), base64url: names the row and proves it, without a search by secret. */
  newToken(id: string): string {
    return Buffer.concat([idBytes(id), randomBytes(SECRET_BYTES)]).toString('base64url')
  }

  /** The row's id in a token; null when it is no token. */
  idOf(token: string): string | null {
    const bytes = Buffer.from(token, 'base64url')
    if (bytes.length !== 16 + SECRET_BYTES || bytes.toString('base64url') !== token) return null
    const hex = bytes.subarray(0, 16).toString('hex')
    const id = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
    return isId(id) ? id : null
  }

  sealSignIn(token: string, row: SealedSignIn): Buffer {
    return this.#mac('sign-in', token, {
      id: row.id,
      personId: row.personId,
      method: row.method,
      provider: row.provider,
      revocationEpoch: row.revocationEpoch,
      createdAt: row.createdAt.toISOString(),
      authenticatedAt: row.authenticatedAt.toISOString(),
      expiresAt: row.expiresAt.toISOString(),
    })
  }

  sealSetUp(token: string, personId: string, firstAdministrator: boolean): Buffer {
    return this.#mac('set-up', token, { personId, firstAdministrator })
  }

  /** Sent back in `x-csrf-token`; follows from the sign-in's token, so it is bound to it and needs no row. */
  csrf(token: string): string {
    return this.#mac('csrf', token, {}).toString('base64url')
  }

  /** For values that only need to be recognised again (state, browser binding, logout token ids). */
  fingerprint(kind: string, value: string): Buffer {
    return this.#mac(kind, value, {})
  }

  #mac(kind: string, token: string, fields: object): Buffer {
    return createHmac('sha256', this.#key.reveal())
      .update(`sallyport/${kind}/v1\0`)
      .update(jcs({ token, ...fields }))
      .digest()
  }
}

export function randomToken(): string {
  return randomBytes(SECRET_BYTES).toString('base64url')
}

function idBytes(id: string): Buffer {
  return Buffer.from(id.replaceAll('-', ''), 'hex')
}
