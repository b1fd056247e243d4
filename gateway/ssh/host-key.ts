import { createHash } from 'node:crypto'

/** An SSH public key blob (RFC 4253 section 6.6): its own type name and the fingerprint that OpenSSH prints. */
export function describeHostKey(blob: Uint8Array): { algorithm: string; fingerprint: string } {
  const bytes = Buffer.from(blob.buffer, blob.byteOffset, blob.byteLength)
  const length = bytes.length >= 4 ? bytes.readUInt32BE(0) : 0
  const algorithm = length > 0 && length <= 64 ? bytes.toString('latin1', 4, 4 + length) : 'unknown'
  const digest = createHash('sha256').update(bytes).digest('base64').replace(/=+$/, '')
  return {
    algorithm: /^[\x21-\x7e]+$/.test(algorithm) ? algorithm : 'unknown',
    fingerprint: `SHA256:${digest}`,
  }
}
