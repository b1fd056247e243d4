import type { NoVncChannel } from '@novnc/novnc'

const OPEN = 1
const CLOSED = 3

/**
 * noVNC's way to whatever speaks RFB with it, in place of a socket of its own: the session's line. It is open from the start, and ends with `end`; what stands behind it stays its owner's.
 */
export class RfbChannel implements NoVncChannel {
  readonly protocol = ''
  binaryType: BinaryType = 'arraybuffer'
  onopen: NoVncChannel['onopen'] = null
  onclose: NoVncChannel['onclose'] = null
  onerror: NoVncChannel['onerror'] = null
  readonly #send: (bytes: Uint8Array<ArrayBuffer>) => void
  #onmessage: NoVncChannel['onmessage'] = null
  /** What came before noVNC listened: the server's version, since it then waits for an answer. */
  #early: ArrayBuffer[] = []
  #isOver = false

  /** `send`: what noVNC says. */
  constructor(send: (bytes: Uint8Array<ArrayBuffer>) => void) {
    this.#send = send
  }

  get readyState(): number {
    return this.#isOver ? CLOSED : OPEN
  }

  get onmessage(): NoVncChannel['onmessage'] {
    return this.#onmessage
  }

  /** noVNC takes bytes only once its constructor is through, so what waits is handed over after that. */
  set onmessage(listener: NoVncChannel['onmessage']) {
    this.#onmessage = listener
    if (listener && this.#early.length > 0) queueMicrotask(() => this.#handOver())
  }

  send(bytes: Uint8Array<ArrayBuffer>): void {
    if (!this.#isOver) this.#send(bytes)
  }

  /** noVNC has had enough. */
  close(): void {
    queueMicrotask(() => this.end())
  }

  /** Bytes for noVNC. */
  receive(data: ArrayBuffer): void {
    if (this.#isOver) return
    if (this.#onmessage && this.#early.length === 0) this.#onmessage({ data })
    else this.#early.push(data)
  }

  /** Nothing comes any more. */
  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#early = []
    this.onclose?.({ code: 1000, reason: '', wasClean: true })
  }

  #handOver(): void {
    const early = this.#early
    this.#early = []
    for (const data of early) this.receive(data)
  }
}
