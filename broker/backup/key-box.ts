import { createCipheriv, createDecipheriv, randomBytes, scrypt } from 'node:crypto'
import { promisify } from 'node:util'
import type { Secret } from '../domain/secret.ts'
import { BackupError } from './format.ts'

/** "SPK1" | salt(16) | nonce(12) | ciphertext | tag(16); key by scrypt (RFC 7914), N=2^17 r=8 p=1; AES-256-GCM. */
const MAGIC = Buffer.from('SPK1')
const COST = { N: 2 ** 17, r: 8, p: 1, maxmem: 256 * 1024 * 1024 }
const derive = promisify<string, Buffer, number, typeof COST, Buffer>(scrypt)

/** Shorter ones are found by trying. */
export const PASSPHRASE_MIN = 12

export async function seal(plain: Buffer, passphrase: Secret): Promise<Buffer> {
  if (passphrase.reveal().length < PASSPHRASE_MIN) {
    throw new BackupError('backup-passphrase', `The passphrase needs at least ${PASSPHRASE_MIN} characters.`)
  }
  const salt = randomBytes(16)
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', await derive(text(passphrase), salt, 32, COST), nonce)
  cipher.setAAD(MAGIC)
  const body = Buffer.concat([cipher.update(plain), cipher.final()])
  return Buffer.concat([MAGIC, salt, nonce, body, cipher.getAuthTag()])
}

export async function open(box: Buffer, passphrase: Secret): Promise<Buffer> {
  if (box.length < 48 || !box.subarray(0, 4).equals(MAGIC)) {
    throw new BackupError('backup-malformed', 'keys.enc is not a key box of this version.')
  }
  const key = await derive(text(passphrase), box.subarray(4, 20), 32, COST)
  const decipher = createDecipheriv('aes-256-gcm', key, box.subarray(20, 32))
  decipher.setAAD(MAGIC)
  decipher.setAuthTag(box.subarray(box.length - 16))
  try {
    return Buffer.concat([decipher.update(box.subarray(32, box.length - 16)), decipher.final()])
  } catch {
    throw new BackupError('backup-passphrase', 'The passphrase is wrong, or keys.enc has been changed.')
  }
}

/** One spelling of accented letters, whatever keyboard typed them. */
function text(passphrase: Secret): string {
  return passphrase.reveal().normalize('NFKC')
}
