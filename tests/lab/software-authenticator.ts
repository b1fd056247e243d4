import type {
  AuthenticationResponseJSON,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON,
} from '@simplewebauthn/server'

/**
 * A passkey in software, for tests and the demo: real ES256 keys, real attestation ("none") and assertions in the
 * browser's own JSON forms, so the server's checks run unchanged. Written on WebCrypto alone, so it runs in Node and
 * in a page. It proves nothing about a person: nothing in the product may accept it specially.
 *
 * Formats: W3C Web Authentication Level 3, sections 6.1 (authenticator data), 6.5 (attestation), 5.8.1 (client
 * data); COSE_Key as in RFC 9052 and 9053; CTAP2 canonical CBOR.
 */
export interface SoftwareCredential {
  /** Base64url. */
  id: string
  rpId: string
  userHandle: string
  privateKey: JsonWebKey
  counter: number
}

/** What a test may bend, to see the server refuse it. */
export interface Bend {
  origin?: string
  userVerified?: boolean
  challenge?: string
  rpId?: string
  /** Another client data type than the ceremony's. */
  type?: string
}

export class SoftwareAuthenticator {
  readonly credentials: SoftwareCredential[]
  readonly #origin: string

  /** `origin` as a browser would put it into client data, e.g. `https://plant.example:8443`. */
  constructor(origin: string, credentials: SoftwareCredential[] = []) {
    this.#origin = origin
    this.credentials = credentials
  }

  /** navigator.credentials.create() */
  async create(
    options: PublicKeyCredentialCreationOptionsJSON,
    bend: Bend = {},
  ): Promise<RegistrationResponseJSON> {
    if (!options.pubKeyCredParams.some((param) => param.alg === ES256))
      throw new Error('the server does not take ES256')
    const rpId = options.rp.id ?? new URL(this.#origin).hostname
    const excluded = new Set((options.excludeCredentials ?? []).map((credential) => credential.id))
    if (this.credentials.some((credential) => excluded.has(credential.id)))
      throw new Error('InvalidStateError')
    const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
      'sign',
      'verify',
    ])
    const jwk = await crypto.subtle.exportKey('jwk', pair.privateKey)
    const id = crypto.getRandomValues(new Uint8Array(32))
    const credential: SoftwareCredential = {
      id: toBase64url(id),
      rpId,
      userHandle: options.user.id,
      privateKey: jwk,
      counter: 0,
    }
    const cose = coseKey(fromBase64url(jwk.x ?? ''), fromBase64url(jwk.y ?? ''))
    const attested = concat(new Uint8Array(16), uint16(id.length), id, cose)
    const authData = concat(
      await authenticatorData(bend.rpId ?? rpId, 0, bend.userVerified ?? true, true),
      attested,
    )
    const attestation = concat(
      Uint8Array.of(0xa3),
      cborText('fmt'),
      cborText('none'),
      cborText('attStmt'),
      Uint8Array.of(0xa0),
      cborText('authData'),
      cborBytes(authData),
    )
    this.credentials.push(credential)
    return {
      id: credential.id,
      rawId: credential.id,
      type: 'public-key',
      clientExtensionResults: {},
      authenticatorAttachment: 'platform',
      response: {
        clientDataJSON: toBase64url(
          this.#clientData(bend.type ?? 'webauthn.create', bend.challenge ?? options.challenge, bend),
        ),
        attestationObject: toBase64url(attestation),
        transports: ['internal'],
      },
    }
  }

  /** navigator.credentials.get() */
  async get(
    options: PublicKeyCredentialRequestOptionsJSON,
    bend: Bend = {},
  ): Promise<AuthenticationResponseJSON> {
    const rpId = options.rpId ?? new URL(this.#origin).hostname
    const allowed = options.allowCredentials?.map((credential) => credential.id) ?? []
    const credential = this.credentials.find(
      (candidate) => candidate.rpId === rpId && (allowed.length === 0 || allowed.includes(candidate.id)),
    )
    if (!credential) throw new Error('NotAllowedError: no passkey here fits')
    const authData = await authenticatorData(bend.rpId ?? rpId, 0, bend.userVerified ?? true, false)
    const clientData = this.#clientData(
      bend.type ?? 'webauthn.get',
      bend.challenge ?? options.challenge,
      bend,
    )
    const key = await crypto.subtle.importKey(
      'jwk',
      credential.privateKey,
      { name: 'ECDSA', namedCurve: 'P-256' },
      false,
      ['sign'],
    )
    const signed = concat(authData, new Uint8Array(await crypto.subtle.digest('SHA-256', buffer(clientData))))
    const raw = new Uint8Array(
      await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key, buffer(signed)),
    )
    return {
      id: credential.id,
      rawId: credential.id,
      type: 'public-key',
      clientExtensionResults: {},
      authenticatorAttachment: 'platform',
      response: {
        clientDataJSON: toBase64url(clientData),
        authenticatorData: toBase64url(authData),
        signature: toBase64url(derSignature(raw)),
        userHandle: credential.userHandle,
      },
    }
  }

  #clientData(type: string, challenge: string, bend: Bend): Uint8Array {
    const data = { type, challenge, origin: bend.origin ?? this.#origin, crossOrigin: false }
    return new TextEncoder().encode(JSON.stringify(data))
  }
}

const ES256 = -7
const UP = 0x01
const UV = 0x04
const BE = 0x08
const BS = 0x10
const AT = 0x40

/** rpIdHash(32) | flags(1) | signCount(4). Synced passkeys report a counter of 0, and so does this one. */
async function authenticatorData(
  rpId: string,
  counter: number,
  verified: boolean,
  attested: boolean,
): Promise<Uint8Array> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', buffer(new TextEncoder().encode(rpId))))
  const flags = UP | (verified ? UV : 0) | BE | BS | (attested ? AT : 0)
  const count = new Uint8Array(4)
  new DataView(count.buffer).setUint32(0, counter)
  return concat(hash, Uint8Array.of(flags), count)
}

/** {1: 2 (EC2), 3: -7 (ES256), -1: 1 (P-256), -2: x, -3: y} */
function coseKey(x: Uint8Array, y: Uint8Array): Uint8Array {
  return concat(
    Uint8Array.of(0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21),
    cborBytes(x),
    Uint8Array.of(0x22),
    cborBytes(y),
  )
}

function cborHead(major: number, length: number): Uint8Array {
  if (length < 24) return Uint8Array.of((major << 5) | length)
  if (length < 256) return Uint8Array.of((major << 5) | 24, length)
  return Uint8Array.of((major << 5) | 25, length >> 8, length & 0xff)
}

function cborBytes(bytes: Uint8Array): Uint8Array {
  return concat(cborHead(2, bytes.length), bytes)
}

function cborText(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text)
  return concat(cborHead(3, bytes.length), bytes)
}

/** WebCrypto gives r || s; WebAuthn wants the ASN.1 DER form. */
function derSignature(raw: Uint8Array): Uint8Array {
  const integer = (bytes: Uint8Array) => {
    let start = 0
    while (start < bytes.length - 1 && bytes[start] === 0) start++
    const plain = bytes.subarray(start)
    const body = (plain[0] ?? 0) & 0x80 ? concat(Uint8Array.of(0), plain) : plain
    return concat(Uint8Array.of(0x02, body.length), body)
  }
  const half = raw.length / 2
  const body = concat(integer(raw.subarray(0, half)), integer(raw.subarray(half)))
  return concat(Uint8Array.of(0x30, body.length), body)
}

function uint16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff)
}

function concat(...parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** A copy on an ArrayBuffer of its own, which is what WebCrypto's types ask for. */
function buffer(bytes: Uint8Array): ArrayBuffer {
  return bytes.slice().buffer as ArrayBuffer
}

function toBase64url(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

function fromBase64url(text: string): Uint8Array {
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0))
}
