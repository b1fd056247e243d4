import { createCipheriv } from 'node:crypto'

/**
 * The answer to VNC's challenge (RFC 6143 section 7.2.2): the 16 bytes, encrypted with DES under the password's first
 * eight bytes, each with its bits mirrored. OpenSSL 3 has no single DES without its legacy provider; triple DES under
 * one key three times is the same function.
 */
export function vncAuthAnswer(challenge: Uint8Array, password: Uint8Array): Buffer {
  const key = Buffer.alloc(24)
  for (let n = 0; n < 8; n++) key[n] = key[n + 8] = key[n + 16] = mirrored(password[n] ?? 0)
  try {
    const cipher = createCipheriv('des-ede3-ecb', key, null).setAutoPadding(false)
    return Buffer.concat([cipher.update(challenge), cipher.final()])
  } finally {
    key.fill(0)
  }
}

function mirrored(byte: number): number {
  let result = 0
  for (let bit = 0; bit < 8; bit++) if (byte & (1 << bit)) result |= 0x80 >> bit
  return result
}
