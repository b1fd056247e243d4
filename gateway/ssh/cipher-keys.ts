import { createSecretKey, type KeyObject } from 'node:crypto'
import type { Client } from 'ssh2'

interface Ciphers {
  _protocol?: {
    _cipher?: { _encKey?: Buffer | KeyObject }
    _decipher?: { _decipherKey?: Buffer | KeyObject }
  }
}

/**
 * Without its native binding ssh2 makes a cipher object for every packet, and on Node 24 doing that from a Buffer costs
 * three times as much as from a KeyObject (18 us instead of 6, the larger part of receiving a terminal's small
 * packets). So the keys are made into KeyObjects once. Call on each `handshake` event: a new key exchange brings new
 * ciphers. Nothing but speed depends on it; with the binding, or another version of ssh2, it does nothing.
 */
export function unpackCipherKeys(client: Client): void {
  const { _cipher, _decipher } = (client as unknown as Ciphers)._protocol ?? {}
  if (Buffer.isBuffer(_cipher?._encKey)) _cipher._encKey = createSecretKey(_cipher._encKey)
  if (Buffer.isBuffer(_decipher?._decipherKey))
    _decipher._decipherKey = createSecretKey(_decipher._decipherKey)
}
