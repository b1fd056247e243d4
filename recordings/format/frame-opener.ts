import { createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import { inflateRawSync } from 'node:zlib'
import { FLAG, TAG_BYTES } from './frame.ts'
import { fault, good, type Result } from './result.ts'
import type { ReadFrame } from './segment-reader.ts'

/** Opens frames of one segment with its data key. The chain must have been verified by the reader. */
export class FrameOpener {
  readonly #key: KeyObject

  constructor(dataKey: Uint8Array) {
    if (dataKey.length !== 32) throw new RangeError('a data key has 32 bytes')
    this.#key = createSecretKey(dataKey)
  }

  /** The chunk's plaintext. Codes: decrypt-failed, inflate-failed. */
  open(frame: ReadFrame): Result<Buffer> {
    const decipher = createDecipheriv('aes-256-gcm', this.#key, frame.nonce, { authTagLength: TAG_BYTES })
    const cut = frame.body.length - TAG_BYTES
    decipher.setAAD(frame.p)
    decipher.setAuthTag(frame.body.subarray(cut))
    let content: Buffer
    try {
      content = decipher.update(frame.body.subarray(0, cut))
      decipher.final()
    } catch {
      return fault('decrypt-failed', 'the chunk does not decrypt under its key (AES-GCM tag)')
    }
    return frame.flags & FLAG.deflate ? inflate(content, frame.plainLength) : good(content)
  }
}

/** The stream must end exactly at the end of the input and give exactly the stated length. */
function inflate(content: Buffer, length: number): Result<Buffer> {
  try {
    const { buffer, engine } = inflateRawSync(content, {
      info: true,
      maxOutputLength: length,
    }) as unknown as {
      buffer: Buffer
      engine: { bytesWritten: number }
    }
    if (buffer.length === length && engine.bytesWritten === content.length) return good(buffer)
  } catch {
    // Falls through: corrupt, cut short, or longer than it says.
  }
  return fault('inflate-failed', 'the chunk is not one complete deflate stream of the stated length')
}
