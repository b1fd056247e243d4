import { GeneralEncrypt, type GeneralJWE, generalDecrypt, importJWK, type JWK } from 'jose'
import { z } from 'zod'
import { base64url } from '../../broker/contract/approval-record.ts'
import type { JsonWebKeyPublic } from '../../broker/domain/grant.ts'
import type { Stream } from '../../broker/domain/words.ts'
import { complaint, word } from './fields.ts'
import { parseJson } from './json.ts'
import { fault, good, type Result } from './result.ts'

/**
 * The wrap of a segment's data key: a General JWE (RFC 7516 section 7.2.1). Every recipient has `ECDH-ES+A256KW`
 * over P-256 or X25519; `enc` is A256GCM; `aad` names the one segment it is for, so a wrap moved to another
 * segment does not open.
 */
export const WRAP_ALG = 'ECDH-ES+A256KW'
export const WRAP_ENC = 'A256GCM'
export const WRAP_LIMIT = 16_384
/** The only protected header: base64url of {"enc":"A256GCM"}. */
const PROTECTED = Buffer.from('{"enc":"A256GCM"}').toString('base64url')

export interface SegmentName {
  recording: string
  stream: Stream
  segment: number
}

/** The JWE's `aad` before base64url: "<recording>/<stream>/<segment>". */
export function wrapAad(name: SegmentName): string {
  return `${name.recording}/${name.stream}/${name.segment}`
}

/** Exactly this many bytes. */
const bytes = (length: number) =>
  base64url(length).refine((value) => value.length === Math.ceil((length * 4) / 3), `${length} bytes`)
const coordinate = bytes(32)
export const keyWrap = z.strictObject({
  protected: z.literal(PROTECTED),
  aad: base64url(256),
  iv: bytes(12),
  ciphertext: bytes(32),
  tag: bytes(16),
  recipients: z
    .array(
      z.strictObject({
        encrypted_key: bytes(40),
        header: z.strictObject({
          alg: z.literal(WRAP_ALG),
          kid: word(200),
          epk: z.discriminatedUnion('kty', [
            z.strictObject({ kty: z.literal('EC'), crv: z.literal('P-256'), x: coordinate, y: coordinate }),
            z.strictObject({ kty: z.literal('OKP'), crv: z.literal('X25519'), x: coordinate }),
          ]),
        }),
      }),
    )
    .min(1)
    .max(8),
})
export type KeyWrap = z.infer<typeof keyWrap>

/** Wraps a data key to each recipient: replay or input, and escrow. JSON of the result is the key object. */
export async function wrapDataKey(
  dataKey: Uint8Array,
  name: SegmentName,
  recipients: readonly JsonWebKeyPublic[],
): Promise<KeyWrap> {
  const jwe = new GeneralEncrypt(dataKey)
    .setProtectedHeader({ enc: WRAP_ENC })
    .setAdditionalAuthenticatedData(Buffer.from(wrapAad(name), 'ascii'))
  // With one recipient jose moves `epk` into the protected header. One shape for all wraps: add it twice, drop one.
  const [only] = recipients
  for (const recipient of recipients.length === 1 && only ? [only, only] : recipients) {
    const key = await importJWK(recipient as JWK, WRAP_ALG)
    jwe.addRecipient(key).setUnprotectedHeader({ alg: WRAP_ALG, kid: recipient.kid })
  }
  const wrapped = await jwe.encrypt()
  return keyWrap.parse({ ...wrapped, recipients: wrapped.recipients.slice(0, recipients.length) })
}

/** Reads a key object. Codes: wrap-malformed, wrap-wrong-segment. */
export function parseWrap(json: string, name: SegmentName): Result<KeyWrap> {
  let value: unknown
  try {
    value = parseJson(json.length > WRAP_LIMIT ? '' : json)
  } catch {
    return fault('wrap-malformed', 'the key object is not JSON, or longer than 16 KiB')
  }
  const parsed = keyWrap.safeParse(value)
  if (!parsed.success) return fault('wrap-malformed', `key object, ${complaint(parsed.error)}`)
  if (Buffer.from(parsed.data.aad, 'base64url').toString('latin1') !== wrapAad(name)) {
    return fault('wrap-wrong-segment', `the key object is for another segment than ${wrapAad(name)}`)
  }
  return good(parsed.data)
}

/**
 * Opens a wrap with a private JWK (P-256 or X25519). Its `kid`, when it has one, chooses the recipient; without one
 * every recipient is tried. Codes: wrap-no-recipient, wrap-failed.
 */
export async function unwrapDataKey(wrap: KeyWrap, recipient: JWK): Promise<Result<Buffer>> {
  const mine = wrap.recipients.filter(
    (one) =>
      one.header.epk.crv === recipient.crv &&
      (recipient.kid === undefined || recipient.kid === one.header.kid),
  )
  if (mine.length === 0) return fault('wrap-no-recipient', 'the key object has no recipient for this key')
  for (const one of mine) {
    try {
      const key = await importJWK(recipient, WRAP_ALG)
      const jwe = { ...wrap, recipients: [one] } as GeneralJWE
      const { plaintext } = await generalDecrypt(jwe, key, {
        keyManagementAlgorithms: [WRAP_ALG],
        contentEncryptionAlgorithms: [WRAP_ENC],
      })
      if (plaintext.length === 32) return good(Buffer.from(plaintext))
    } catch {
      // The next recipient may be ours: a key without `kid` does not say.
    }
  }
  return fault('wrap-failed', 'the key object does not open with this key')
}
