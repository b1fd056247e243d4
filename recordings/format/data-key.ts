import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

/** A fresh AES-256 key for one segment. */
export function newDataKey(): Buffer {
  return randomBytes(32)
}

/**
 * HMAC-SHA256(key, "sallyport/dek-commit/v1") as hex: AES-GCM alone does not commit to its key, so two keys could
 * open one ciphertext to two contents. The header says which key is meant.
 */
export function dataKeyCommitment(dataKey: Uint8Array): string {
  return createHmac('sha256', dataKey).update('sallyport/dek-commit/v1').digest('hex')
}

export function matchesCommitment(dataKey: Uint8Array, commitment: string): boolean {
  return timingSafeEqual(
    Buffer.from(dataKeyCommitment(dataKey)),
    Buffer.from(commitment.padEnd(64).slice(0, 64)),
  )
}
