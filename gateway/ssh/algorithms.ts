import type { Algorithms } from 'ssh2'

/**
 * What we offer an asset: no SHA-1, no CBC, no DSA, nothing that OpenSSH has retired. aes128-gcm stands first because
 * it is the fastest on machines with AES instructions and, unlike chacha20-poly1305 and encrypt-then-MAC modes, is not
 * open to the Terrapin prefix truncation (CVE-2023-48795) when the server has no strict key exchange.
 */
export const ALGORITHMS = {
  kex: [
    'curve25519-sha256',
    'curve25519-sha256@libssh.org',
    'ecdh-sha2-nistp256',
    'ecdh-sha2-nistp384',
    'ecdh-sha2-nistp521',
    'diffie-hellman-group16-sha512',
    'diffie-hellman-group18-sha512',
    'diffie-hellman-group14-sha256',
  ],
  serverHostKey: [
    'ssh-ed25519',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
    'rsa-sha2-512',
    'rsa-sha2-256',
  ],
  cipher: [
    'aes128-gcm@openssh.com',
    'aes256-gcm@openssh.com',
    'chacha20-poly1305@openssh.com',
    'aes128-ctr',
    'aes256-ctr',
  ],
  hmac: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256', 'hmac-sha2-512'],
  compress: ['none'],
} satisfies Algorithms

/** Host key algorithms that can be asked for when a pinned key is of `type` (the key type inside the blob). */
export function hostKeyAlgorithmsFor(types: readonly string[]): (typeof ALGORITHMS.serverHostKey)[number][] {
  const wanted = new Set(
    types.flatMap((type) => (type === 'ssh-rsa' ? ['rsa-sha2-512', 'rsa-sha2-256'] : [type])),
  )
  const pinned = ALGORITHMS.serverHostKey.filter((name) => wanted.has(name))
  const others = ALGORITHMS.serverHostKey.filter((name) => !wanted.has(name))
  // The others stay offered, behind: a server that changed its key's kind must be told apart from one that is too old.
  return [...pinned, ...others]
}

/** Whether this connection could be attacked by a truncated handshake: RFC 4253 ciphers without strict key exchange. */
export function openToTerrapin(cipher: string, mac: string, strict: boolean): boolean {
  if (strict) return false
  return cipher.startsWith('chacha20') || (!cipher.includes('gcm') && mac.includes('etm'))
}
