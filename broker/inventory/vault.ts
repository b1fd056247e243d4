import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { z } from 'zod'
import { jcs, sha256 } from '../domain/canonical.ts'
import { Secret } from '../domain/secret.ts'

/** An asset's credential. It leaves the vault once per grant, sealed to the gateway's key. */
export type Credential =
  | { kind: 'password'; password: Secret }
  | { kind: 'private-key'; privateKey: Secret; passphrase: Secret | null }

/** Which account on which endpoint: part of the seal, so that a row copied to another account does not open. */
export interface CredentialName {
  endpointId: string
  account: string
}

const Plain = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('password'), password: z.string() }),
  z.strictObject({
    kind: z.literal('private-key'),
    privateKey: z.string(),
    passphrase: z.string().nullable(),
  }),
])

export class VaultError extends Error {
  readonly code = 'vault-cannot-open'
}

/** The credential vault: AES-256-GCM under a key that is not in the database. */
export class Vault {
  readonly #key: Secret<Buffer>
  /** Names the key in use without saying anything about it. */
  readonly keyId: string

  constructor(key: Secret<Buffer>) {
    this.#key = key
    this.keyId = sha256('sallyport/vault-key-id/v1\0', key.reveal()).subarray(0, 8).toString('hex')
  }

  /** version (1) || nonce (12) || ciphertext || tag (16). */
  seal(name: CredentialName, credential: Credential): Buffer {
    const nonce = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', this.#key.reveal(), nonce)
    cipher.setAAD(this.#aad(name, credential.kind))
    const plain =
      credential.kind === 'password'
        ? { kind: credential.kind, password: credential.password.reveal() }
        : {
            kind: credential.kind,
            privateKey: credential.privateKey.reveal(),
            passphrase: credential.passphrase?.reveal() ?? null,
          }
    const body = Buffer.concat([cipher.update(JSON.stringify(plain), 'utf8'), cipher.final()])
    return Buffer.concat([Buffer.of(1), nonce, body, cipher.getAuthTag()])
  }

  /** Throws VaultError when the bytes were not sealed for this account by this key. */
  open(name: CredentialName, kind: Credential['kind'], sealed: Uint8Array): Credential {
    const bytes = Buffer.from(sealed)
    if (bytes.length < 30 || bytes[0] !== 1) throw new VaultError('not a sealed credential')
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.#key.reveal(), bytes.subarray(1, 13), {
        authTagLength: 16,
      })
      decipher.setAAD(this.#aad(name, kind))
      decipher.setAuthTag(bytes.subarray(-16))
      const text = Buffer.concat([decipher.update(bytes.subarray(13, -16)), decipher.final()]).toString(
        'utf8',
      )
      const plain = Plain.parse(JSON.parse(text))
      return plain.kind === 'password'
        ? { kind: plain.kind, password: new Secret(plain.password) }
        : {
            kind: plain.kind,
            privateKey: new Secret(plain.privateKey),
            passphrase: plain.passphrase === null ? null : new Secret(plain.passphrase),
          }
    } catch {
      // The cause could hold what was decrypted.
      throw new VaultError('this credential was not sealed for this account by this vault')
    }
  }

  #aad(name: CredentialName, kind: string): Buffer {
    return Buffer.concat([
      Buffer.from('sallyport/vault/v1\0'),
      jcs({ endpoint: name.endpointId, account: name.account, kind, key: this.keyId }),
    ])
  }
}
