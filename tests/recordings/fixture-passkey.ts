import {
  createECDH,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import {
  type ApprovalAssertion,
  type ApprovalDocument,
  approvalChallenge,
} from '../../broker/contract/approval-record.ts'
import { sha256 } from '../../broker/domain/canonical.ts'
import { bytesOf, ed25519 } from './fixture-keys.ts'

/**
 * Software passkeys for fixtures. ECDSA signatures are random, so those of the frozen vectors are kept in a file by
 * the hash of what they sign; the RSA key is kept there too.
 */
const KEPT = new URL('./vectors/frozen-signatures.json', import.meta.url)
interface Kept {
  rsaPrivateKey: string
  signatures: Record<string, string>
}
let cache: Kept | null = null

function kept(): Kept {
  cache ??= existsSync(KEPT)
    ? (JSON.parse(readFileSync(KEPT, 'utf8')) as Kept)
    : {
        rsaPrivateKey: generateKeyPairSync('rsa', { modulusLength: 2048 })
          .privateKey.export({ format: 'der', type: 'pkcs8' })
          .toString('base64'),
        signatures: {},
      }
  return cache
}

/** Writes what is needed to make the vectors again. */
export function keepSignatures(): void {
  writeFileSync(KEPT, `${JSON.stringify(kept(), null, 2)}\n`)
}

export type PasskeyKind = 'ES256' | 'EdDSA' | 'RS256'

export interface Passkey {
  kind: PasskeyKind
  credentialId: string
  /** COSE_Key, base64url. */
  publicKey: string
  key: KeyObject
}

export function passkey(kind: PasskeyKind, label: string): Passkey {
  const credentialId = bytesOf(`credential ${label}`, 24).toString('base64url')
  if (kind === 'EdDSA') {
    const pair = ed25519(`passkey ${label}`)
    const cose = Buffer.concat([Buffer.from('a4010103272006215820', 'hex'), pair.raw])
    return { kind, credentialId, publicKey: cose.toString('base64url'), key: pair.key }
  }
  if (kind === 'RS256') {
    const key = createPrivateKey({
      key: Buffer.from(kept().rsaPrivateKey, 'base64'),
      format: 'der',
      type: 'pkcs8',
    })
    const { n, e } = createPublicKey(key).export({ format: 'jwk' })
    const modulus = Buffer.from(n as string, 'base64url')
    const exponent = Buffer.from(e as string, 'base64url')
    const cose = Buffer.concat([
      Buffer.from('a401030339010020590100', 'hex'),
      modulus,
      Buffer.from('2143', 'hex'),
      exponent,
    ])
    return { kind, credentialId, publicKey: cose.toString('base64url'), key }
  }
  const d = bytesOf(`passkey ${label}`)
  const ecdh = createECDH('prime256v1')
  ecdh.setPrivateKey(d)
  const point = ecdh.getPublicKey()
  const [x, y] = [point.subarray(1, 33), point.subarray(33)]
  const cose = Buffer.concat([Buffer.from('a5010203262001215820', 'hex'), x, Buffer.from('225820', 'hex'), y])
  const jwk = { kty: 'EC', crv: 'P-256', ...{ x: x.toString('base64url'), y: y.toString('base64url') } }
  const key = createPrivateKey({ key: { ...jwk, d: d.toString('base64url') }, format: 'jwk' })
  return { kind, credentialId, publicKey: cose.toString('base64url'), key }
}

export interface AssertionChange {
  type?: string
  challenge?: string
  origin?: string
  crossOrigin?: boolean
  /** Another spelling of clientDataJSON, which is signed so. */
  clientData?: (json: string) => string
  rpId?: string
  flags?: number
  breakSignature?: boolean
  /** Cuts authenticatorData off before its counter ends. */
  short?: boolean
  /** Another COSE_Key for the same passkey; the log names it too. */
  coseKey?: (key: Buffer) => Buffer
}

export function assertionOf(
  by: Passkey,
  document: ApprovalDocument,
  rp: { id: string; origins: string[] },
  change: AssertionChange = {},
): ApprovalAssertion {
  const flags = change.flags ?? 0x1d
  const json = JSON.stringify({
    type: change.type ?? 'webauthn.get',
    challenge: change.challenge ?? approvalChallenge(document).toString('base64url'),
    origin: change.origin ?? rp.origins[0],
    crossOrigin: change.crossOrigin ?? false,
  })
  const clientDataJSON = Buffer.from(change.clientData?.(json) ?? json)
  const whole = Buffer.concat([sha256(change.rpId ?? rp.id), Buffer.of(flags, 0, 0, 0, 7)])
  const data = whole.subarray(0, change.short ? 36 : undefined)
  const cose = Buffer.from(by.publicKey, 'base64url')
  const signature = signed(by, Buffer.concat([data, sha256(clientDataJSON)]))
  if (change.breakSignature) signature[signature.length - 1] = (signature.at(-1) as number) ^ 1
  return {
    credentialId: by.credentialId,
    authenticatorData: data.toString('base64url'),
    clientDataJSON: clientDataJSON.toString('base64url'),
    signature: signature.toString('base64url'),
    publicKey: (change.coseKey?.(cose) ?? cose).toString('base64url'),
    backupEligible: (flags & 8) !== 0,
    backupState: (flags & 16) !== 0,
  }
}

function signed(by: Passkey, data: Buffer): Buffer {
  if (by.kind === 'EdDSA') return sign(null, data, by.key)
  if (by.kind === 'RS256') return sign('sha256', data, by.key)
  const { signatures } = kept()
  const name = sha256(by.publicKey, data).toString('hex')
  const known = signatures[name]
  if (
    known !== undefined &&
    verify('sha256', data, createPublicKey(by.key), Buffer.from(known, 'base64url'))
  ) {
    return Buffer.from(known, 'base64url')
  }
  const fresh = sign('sha256', data, by.key)
  signatures[name] = fresh.toString('base64url')
  return fresh
}
