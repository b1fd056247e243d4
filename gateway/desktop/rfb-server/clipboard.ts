import { constants, deflateSync, inflateSync } from 'node:zlib'
import { CLIENT_TEXT_LIMIT, type ClientMessage, ClientProtocolError } from './client-messages.ts'
import { CLIPBOARD, TO_CLIENT } from './wire.ts'

/** Text from the asset's clipboard; what is longer is cut. */
const ASSET_TEXT_LIMIT = 256 * 1024
/**
 * What a browser's deflated text may unpack to, at once and by the second: of one frame's 256 KiB a thousand times as much
 * could be made, and all of it would be recorded and sent to the asset.
 */
const UNPACK_BURST = 4 * CLIENT_TEXT_LIMIT
const UNPACK_PER_SECOND = CLIENT_TEXT_LIMIT

export interface ClipboardPolicy {
  /** `clipboard-paste`: text from the browser reaches the asset. */
  in: boolean
  /** `clipboard-copy`: text from the asset reaches the browser. */
  out: boolean
}

/**
 * One viewer's clipboard, plain or extended (text only). What the policy does not allow is neither offered nor taken:
 * text that comes anyway is dropped, as noVNC sends what a person pastes without asking.
 */
export class Clipboard {
  readonly #policy: ClipboardPolicy
  readonly #send: (bytes: Uint8Array) => void
  readonly #receive: (text: string) => void
  #isExtended = false
  /** The asset's newest text, for a browser that has been told of it and may ask. */
  #offered: string | null = null
  /** The message that brings it, once somebody has asked: asking again and again must not deflate it each time. */
  #provide: Uint8Array | null = null
  #allowance = UNPACK_BURST
  #allowedAt = performance.now()

  constructor(policy: ClipboardPolicy, send: (bytes: Uint8Array) => void, receive: (text: string) => void) {
    this.#policy = policy
    this.#send = send
    this.#receive = receive
  }

  /** The browser knows the extended clipboard. */
  extend(): void {
    if (this.#isExtended || !(this.#policy.in || this.#policy.out)) return
    this.#isExtended = true
    const actions =
      CLIPBOARD.caps |
      (this.#policy.in ? CLIPBOARD.notify | CLIPBOARD.provide : 0) |
      (this.#policy.out ? CLIPBOARD.request | CLIPBOARD.peek : 0)
    const data = Buffer.alloc(8)
    data.writeUInt32BE(actions | CLIPBOARD.text, 0)
    data.writeUInt32BE(CLIENT_TEXT_LIMIT, 4)
    this.#send(cutText(data, true))
  }

  /** Text that the asset has put into its clipboard. */
  offer(text: string): void {
    if (!this.#policy.out) return
    const cut = text.slice(0, ASSET_TEXT_LIMIT)
    if (this.#isExtended) {
      this.#offered = cut
      this.#provide = null
      this.#send(flags(CLIPBOARD.notify | CLIPBOARD.text))
    } else {
      const latin1 = Array.from(cut, (char) => ((char.codePointAt(0) ?? 0) > 0xff ? '?' : char)).join('')
      this.#send(cutText(Buffer.from(latin1, 'latin1'), false))
    }
  }

  take(message: Extract<ClientMessage, { type: 'cut-text' | 'extended-cut-text' }>): void {
    if (message.type === 'extended-cut-text') this.#extended(message.data)
    else if (this.#policy.in) this.#receive(lines(Buffer.from(message.latin1).toString('latin1')))
  }

  #extended(data: Uint8Array): void {
    if (data.length < 4) throw new ClientProtocolError('an extended clipboard message has flags')
    const word = Buffer.from(data).readUInt32BE(0)
    const hasText = (word & CLIPBOARD.text) !== 0
    if ((word & CLIPBOARD.caps) !== 0) return
    if ((word & CLIPBOARD.provide) !== 0) {
      if (this.#policy.in && hasText) this.#receive(lines(this.#unpacked(data.subarray(4))))
    } else if ((word & CLIPBOARD.notify) !== 0) {
      if (this.#policy.in && hasText) this.#send(flags(CLIPBOARD.request | CLIPBOARD.text))
    } else if ((word & CLIPBOARD.request) !== 0) {
      if (!this.#policy.out || !hasText || this.#offered === null) return
      this.#provide ??= provide(this.#offered)
      this.#send(this.#provide)
    } else if ((word & CLIPBOARD.peek) !== 0) {
      if (this.#policy.out)
        this.#send(flags(CLIPBOARD.notify | (this.#offered === null ? 0 : CLIPBOARD.text)))
    } else throw new ClientProtocolError('an extended clipboard message says what it is for')
  }

  /** The text of a `provide`: inflated `u32 length | UTF-8, ended by 0`, and of other formats nothing. */
  #unpacked(compressed: Uint8Array): string {
    const now = performance.now()
    const earned = ((now - this.#allowedAt) / 1000) * UNPACK_PER_SECOND
    this.#allowance = Math.min(UNPACK_BURST, this.#allowance + earned)
    this.#allowedAt = now
    const data = inflated(compressed)
    this.#allowance -= data.length
    if (this.#allowance < 0) throw new ClientProtocolError('more text than a person pastes')
    if (data.length < 4 || data.readUInt32BE(0) > data.length - 4)
      throw new ClientProtocolError('a clipboard says another length than it has')
    return data
      .subarray(4, 4 + data.readUInt32BE(0))
      .toString('utf8')
      .replace(/\0$/, '')
  }
}

function inflated(compressed: Uint8Array): Buffer {
  try {
    // A browser's deflater flushes and does not end the stream.
    return inflateSync(compressed, {
      maxOutputLength: CLIENT_TEXT_LIMIT + 4,
      finishFlush: constants.Z_SYNC_FLUSH,
    })
  } catch {
    throw new ClientProtocolError(`a clipboard is deflated text of ${CLIENT_TEXT_LIMIT} bytes at most`)
  }
}

function provide(text: string): Uint8Array {
  const utf8 = Buffer.from(`${text.replaceAll(/\r\n|\r|\n/g, '\r\n')}\0`, 'utf8')
  const length = Buffer.alloc(4)
  length.writeUInt32BE(utf8.length)
  const word = Buffer.alloc(4)
  word.writeUInt32BE(CLIPBOARD.provide | CLIPBOARD.text)
  return cutText(Buffer.concat([word, deflateSync(Buffer.concat([length, utf8]))]), true)
}

function flags(word: number): Uint8Array {
  const data = Buffer.alloc(4)
  data.writeUInt32BE(word >>> 0)
  return cutText(data, true)
}

function cutText(data: Buffer, isExtended: boolean): Uint8Array {
  const head = Buffer.alloc(8)
  head[0] = TO_CLIENT.cutText
  head.writeInt32BE(isExtended ? -data.length : data.length, 4)
  return Buffer.concat([head, data])
}

function lines(text: string): string {
  return text.replaceAll(/\r\n?/g, '\n')
}
