import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { sha256 } from '../domain/canonical.ts'

/**
 * Checkpoints of the audit log: C2SP tlog-checkpoint in a C2SP signed note, and cosignatures as in C2SP
 * tlog-cosignature. Pure: whoever holds the log key signs `checkpointBody()` and joins the parts with
 * `noteSignatureLine()`.
 *
 *     <origin>\n<size>\n<base64 root>\n \n — <key name> <base64(key id[4] || signature)>\n …
 */
const SIGNATURE_PREFIX = '\u2014 '
const ED25519_NOTE = 0x01
const ED25519_COSIGNATURE = 0x04
/** The last second of the year 9999: a later one is no time that anybody saw. */
const LAST_SECOND = 253_402_300_799n
/** Notes are small; a bigger one is an attack on the reader. */
const NOTE_LIMIT = 65_536

export interface Checkpoint {
  origin: string
  size: number
  root: Buffer
}

export interface NoteSignature {
  name: string
  keyId: Buffer
  /** What follows the four bytes of key id. */
  signature: Buffer
}

export interface SignedCheckpoint extends Checkpoint {
  /** The signed text: everything before the empty line, with its last newline. */
  body: string
  signatures: NoteSignature[]
}

/** A key as a note names it: `name` is the origin for the log itself, the witness's own name for a witness. */
export interface NoteKey {
  name: string
  /** Raw Ed25519 public key, 32 bytes. */
  publicKey: Uint8Array
}

/** The log's origin line and key name. A restore begins a new epoch, hence a new origin. */
export function logOrigin(deployment: string, epoch: number): string {
  return `sallyport/${deployment}/audit/${epoch}`
}

/** The three signed lines of a checkpoint. `size` is the number of entries, `root` their RFC 6962 tree hash. */
export function checkpointBody(checkpoint: Checkpoint): string {
  if (!validName(checkpoint.origin))
    throw new TypeError('origin has spaces, plus signs or control characters')
  if (!Number.isSafeInteger(checkpoint.size) || checkpoint.size < 0)
    throw new RangeError('size is no entry count')
  if (checkpoint.root.length !== 32) throw new RangeError('root is not 32 bytes')
  return `${checkpoint.origin}\n${checkpoint.size}\n${Buffer.from(checkpoint.root).toString('base64')}\n`
}

/** First four bytes of SHA-256(name || 0x0A || type || public key): type 1 signs notes, type 4 cosigns. */
export function noteKeyId(
  key: NoteKey,
  type: typeof ED25519_NOTE | typeof ED25519_COSIGNATURE = ED25519_NOTE,
): Buffer {
  return sha256(key.name, Uint8Array.of(0x0a, type), key.publicKey).subarray(0, 4)
}

/** One signature line of a note, with its newline. `signature` is the 64 bytes over the body's UTF-8. */
export function noteSignatureLine(key: NoteKey, signature: Uint8Array): string {
  if (!validName(key.name)) throw new TypeError('key name has spaces, plus signs or control characters')
  return `${SIGNATURE_PREFIX}${key.name} ${Buffer.concat([noteKeyId(key), signature]).toString('base64')}\n`
}

/** Body, empty line, signature lines: the whole note. */
export function signedNote(body: string, signatureLines: readonly string[]): string {
  return `${body}\n${signatureLines.join('')}`
}

/** Reads a signed checkpoint; null when it is not one. Signatures are not verified here. */
export function parseCheckpoint(note: string): SignedCheckpoint | null {
  if (note.length > NOTE_LIMIT || !note.isWellFormed()) return null
  const cut = note.indexOf('\n\n')
  if (cut < 0) return null
  const body = note.slice(0, cut + 1)
  const lines = body.split('\n')
  // Extension lines are allowed by C2SP and unused here; refusing them keeps the two verifiers alike.
  if (lines.length !== 4) return null
  const [origin, size, root] = lines as [string, string, string]
  if (!validName(origin) || !/^(0|[1-9][0-9]{0,15})$/.test(size)) return null
  const rootBytes = strictBase64(root)
  if (rootBytes?.length !== 32 || !Number.isSafeInteger(Number(size))) return null
  const signatures = parseSignatureLines(note.slice(cut + 2))
  if (!signatures || signatures.length === 0) return null
  return { origin, size: Number(size), root: rootBytes, body, signatures }
}

/** Signature lines alone, of one name and key id the first; null when a line is malformed or the last lacks its newline. */
export function parseSignatureLines(lines: string): NoteSignature[] | null {
  if (lines === '') return []
  if (!lines.endsWith('\n')) return null
  const found: NoteSignature[] = []
  for (const line of lines.slice(0, -1).split('\n')) {
    const parts = line.startsWith(SIGNATURE_PREFIX) ? line.slice(SIGNATURE_PREFIX.length).split(' ') : []
    const [name, encoded] = parts
    const bytes = encoded === undefined ? null : strictBase64(encoded)
    if (parts.length !== 2 || !name || !validName(name) || !bytes || bytes.length < 5) return null
    found.push({ name, keyId: bytes.subarray(0, 4), signature: bytes.subarray(4) })
  }
  if (found.length > 16) return null
  const isSame = (a: NoteSignature, b: NoteSignature) => a.name === b.name && a.keyId.equals(b.keyId)
  return found.filter((line, at) => found.findIndex((other) => isSame(other, line)) === at)
}

/** Whether the note carries a valid signature of the log's key, whose name must be the checkpoint's origin. */
export function verifyCheckpoint(checkpoint: SignedCheckpoint, key: NoteKey): boolean {
  if (key.name !== checkpoint.origin) return false
  const id = noteKeyId(key)
  const ours = checkpoint.signatures.find((one) => one.name === key.name && one.keyId.equals(id))
  if (ours?.signature.length !== 64) return false
  return verify(null, Buffer.from(checkpoint.body), ed25519PublicKey(key.publicKey), ours.signature)
}

/**
 * The time (seconds since the epoch) at which the witness cosigned this checkpoint; null when it did not. The
 * witness signs "cosignature/v1\ntime <t>\n" followed by the body.
 */
export function verifyCosignature(
  checkpoint: SignedCheckpoint,
  line: NoteSignature,
  witness: NoteKey,
): number | null {
  if (line.name !== witness.name || !line.keyId.equals(noteKeyId(witness, ED25519_COSIGNATURE))) return null
  if (line.signature.length !== 72) return null
  const time = line.signature.readBigUInt64BE(0)
  if (time > LAST_SECOND) return null
  const signed = Buffer.from(`cosignature/v1\ntime ${time}\n${checkpoint.body}`)
  return verify(null, signed, ed25519PublicKey(witness.publicKey), line.signature.subarray(8))
    ? Number(time)
    : null
}

/** Raw 32 bytes as a key object that node:crypto verifies with. Throws on another length. */
export function ed25519PublicKey(raw: Uint8Array): KeyObject {
  return createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(raw).toString('base64url') },
    format: 'jwk',
  })
}

/** Standard base64 with padding, in its one canonical spelling. */
function strictBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : null
}

function validName(name: string): boolean {
  return name.length > 0 && name.length <= 200 && !/[\s+\p{Cc}]/u.test(name)
}
