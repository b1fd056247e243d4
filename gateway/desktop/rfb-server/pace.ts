/** Some 60 pictures a second: more nobody sees. */
const BETWEEN_MS = 16
/** Updates that may be on their way: one being drawn, one being received, one being made. */
const AHEAD_UPDATES = 3
/** And their bytes, which is what fills the buffers of a slow link. */
const AHEAD_BYTES = 512 * 1024
/** How soon a full socket is looked at again; nothing tells when it has room. */
const RETRY_MS = 25

/**
 * When a browser gets its next update. Either it asks for each (RFC 6143 section 7.5.3), or it has turned continuous
 * updates on. Behind each update stands a fence, for browsers that know fences: what is not answered yet may be three
 * updates and half a megabyte. So whatever the link, nothing older than that is ever shown, and a browser that stops
 * reading is sent no more.
 */
export class Pace {
  readonly #ready: () => void
  /** Sizes of the updates whose fences are unanswered, oldest first. */
  readonly #ahead: { number: number; bytes: number }[] = []
  #aheadBytes = 0
  #isAsked = false
  #isWhole = false
  #isContinuous = false
  #nextNumber = 1
  #sentAt = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | null = null

  /** `ready` is called when an update that had to wait may be tried again. */
  constructor(ready: () => void) {
    this.#ready = ready
  }

  /** The browser has asked for an update; `isWhole`: for one even when nothing has changed. */
  asked(isWhole: boolean): void {
    this.#isAsked = true
    this.#isWhole ||= isWhole
  }

  continuous(isOn: boolean): void {
    this.#isContinuous = isOn
  }

  /** An update is owed even when nothing has changed. */
  get mustAnswer(): boolean {
    return this.#isWhole
  }

  /** `hasRoom`: the socket has sent most of what it was given. */
  mayBegin(hasRoom: boolean): boolean {
    if (!this.#isAsked && !this.#isContinuous) return false
    // An answer brings the next try.
    if (this.#ahead.length >= AHEAD_UPDATES || this.#aheadBytes >= AHEAD_BYTES) return false
    if (!hasRoom) return this.#later(RETRY_MS)
    const wait = this.#sentAt + BETWEEN_MS - performance.now()
    return wait <= 0 || this.#later(wait)
  }

  /** An update has been sent. */
  sent(): void {
    this.#isAsked = false
    this.#isWhole = false
    this.#sentAt = performance.now()
  }

  /** A fence is sent behind an update of so many bytes; its number is what stands in it. */
  fenced(bytes: number): number {
    const number = this.#nextNumber
    this.#nextNumber = (this.#nextNumber + 1) >>> 0
    this.#ahead.push({ number, bytes })
    this.#aheadBytes += bytes
    return number
  }

  /** A fence came back. False when it is not the oldest that is out. */
  answered(payload: Uint8Array): boolean {
    const oldest = this.#ahead[0]
    if (!oldest || payload.length !== 4 || Buffer.from(payload).readUInt32BE(0) !== oldest.number)
      return false
    this.#ahead.shift()
    this.#aheadBytes -= oldest.bytes
    return true
  }

  stop(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
  }

  #later(ms: number): false {
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      this.#ready()
    }, ms)
    this.#timer.unref()
    return false
  }
}
