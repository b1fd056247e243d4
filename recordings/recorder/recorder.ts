import type { Stream } from '../../broker/domain/words.ts'
import { AsciicastEncoder, type AsciicastHeader } from '../format/asciicast.ts'
import type { Keyframe, ScreenHandle } from '../screen-model/port.ts'
import type { RecorderOptions, SessionRecorder } from './api.ts'
import { ModelFeed } from './model-feed.ts'
import { MediaRecording } from './recording.ts'

/**
 * Opens the recording of one terminal session: folders, session record and the first segments' wrapped keys are on disk
 * when it settles. Rejects when they cannot be, and then no session may open.
 */
export async function openRecorder(options: RecorderOptions): Promise<SessionRecorder> {
  const recorder = new TerminalRecorder(options)
  await recorder.open()
  return recorder
}

/** What came while a cut was asked for, in order. `position`: bytes of output before it. */
type Held =
  | { type: 'output'; position: number; atMs: number; bytes: Uint8Array<ArrayBuffer> }
  | { type: 'text'; position: number; atMs: number; code: 'r' | 'm'; text: string }

/** Raw bytes of one line. Escaped they may be six times as many, which bounds what a session keeps for its lines. */
const PIECE = 8 * 1024
const CONTENT_BYTES = 1024
const COLS = { min: 2, max: 500 }
const ROWS = { min: 1, max: 300 }

class TerminalRecorder extends MediaRecording<RecorderOptions, AsciicastEncoder> implements SessionRecorder {
  position = 0
  readonly #handle: ScreenHandle
  readonly #model: ModelFeed
  #size: { cols: number; rows: number }
  /** Where the open segment's keyframe stands: with nothing after it there is nothing to rotate for. */
  #segmentPosition = 0
  /** The cut that is asked for; null when output goes straight into the open segment. */
  #cut: { askedAtMs: number; position: number } | null = null
  #held: Held[] = []
  #heldBytes = 0

  constructor(options: RecorderOptions) {
    super(options, {
      media: 'asciicast-v2',
      samplingMs: 0,
      content: () => new AsciicastEncoder(CONTENT_BYTES),
      deflateScreen: true,
    })
    this.#size = clamped(options.size)
    this.#handle = options.screenModel.create(this.#size.cols, this.#size.rows)
    this.#model = new ModelFeed(this.#handle)
    this.#handle.onProgress(() => this.progress())
    this.#handle.onFault(() =>
      this.marker('sallyport: the screen model failed on this output and began again'),
    )
  }

  async open(): Promise<void> {
    try {
      await this.prepare()
      const keyframe = await this.#model.keyframe()
      this.#beginScreen(keyframe, this.now())
      this.inputStream.begin(this.now(), this.#inputHeader)
    } catch (error) {
      this.#handle.dispose()
      throw error
    }
    this.begin()
  }

  output(bytes: Uint8Array): boolean {
    this.mustBeOpen()
    const atMs = this.now()
    this.#model.feed(bytes)
    if (this.#cut) {
      this.#held.push({ type: 'output', position: this.position, atMs, bytes: new Uint8Array(bytes) })
      this.#heldBytes += bytes.length
      this.position += bytes.length
      if (this.#heldBytes > this.limits.holdBytes && !this.isAtCap()) this.#giveUpCut()
    } else {
      this.position += bytes.length
      this.#bytes('o', atMs, bytes)
      this.#considerCut(atMs)
    }
    return this.mayGoOn()
  }

  input(bytes: Uint8Array): boolean {
    this.mustBeOpen()
    const atMs = this.now()
    this.considerInputCut(atMs, this.#inputHeader)
    this.#bytes('i', atMs, bytes)
    return this.mayGoOn()
  }

  resize(cols: number, rows: number): void {
    if (this.isOver) return
    const size = clamped({ cols, rows })
    if (size.cols === this.#size.cols && size.rows === this.#size.rows) return
    this.#size = size
    this.#model.resize(size.cols, size.rows)
    this.#text('r', `${size.cols}x${size.rows}`)
  }

  screen(): Promise<Keyframe> {
    return this.#model.keyframe()
  }

  protected mark(text: string): void {
    this.#text('m', text)
  }

  protected isBehind(): boolean {
    const { holdBytes, segmentBytes, modelBudgetBytes } = this.limits
    // While a cut is asked for, some output flows into memory: the place for it may be a few bytes on.
    if (this.isAtCap() && (!this.#cut || this.#heldBytes > holdBytes)) return true
    return this.#model.lag > segmentBytes && this.options.screenModel.outstanding > modelBudgetBytes
  }

  protected progressed(): void {
    if (this.screenStream.segmentBytes > 0) this.#considerCut(this.now())
  }

  protected beforeFlush(): void {
    const isLate = this.#cut !== null && this.now() - this.#cut.askedAtMs >= this.limits.holdMs
    if (isLate && !this.isAtCap()) this.#giveUpCut()
  }

  protected stall(blockedForMs: number | null): string | null {
    const isStalled =
      blockedForMs !== null && this.#handle.lag > 0 && blockedForMs > this.limits.stallFailureMs
    return isStalled ? 'the screen model does not keep up any more' : null
  }

  protected release(isWritten: boolean): void {
    if (isWritten) this.#giveUpCut()
    else this.#takeHeld()
    this.#handle.dispose()
  }

  #bytes(code: 'o' | 'i', atMs: number, data: Uint8Array): void {
    const stream = code === 'i' ? this.inputStream : this.screenStream
    for (let at = 0; at < data.length; at += PIECE) {
      stream.add(atMs, (lines, micros) => lines.bytes(code, micros, data.subarray(at, at + PIECE)))
    }
  }

  #text(code: 'r' | 'm', text: string): void {
    const atMs = this.now()
    if (this.#cut) this.#held.push({ type: 'text', position: this.position, atMs, code, text })
    else this.#line(code, atMs, text)
  }

  #line(code: 'r' | 'm', atMs: number, text: string): void {
    this.screenStream.add(atMs, (lines, micros) => lines.text(code, micros, text))
  }

  // Cutting: asked for at a position, answered by the model with the place where it could.

  #considerCut(atMs: number): void {
    const { segmentBytes, segmentMs, cutLagBytes } = this.limits
    const { screenStream } = this
    const isOld = atMs - screenStream.segmentStartedAtMs >= segmentMs && this.position > this.#segmentPosition
    const isFull = isOld || screenStream.segmentBytes >= segmentBytes
    if (!isFull || this.#cut || !screenStream.isReady || this.#model.lag > cutLagBytes) return
    const cut = { askedAtMs: atMs, position: this.position }
    this.#cut = cut
    void this.#model.keyframe().then((keyframe) => {
      // An answer to a cut that was given up: its place has been written already.
      if (this.#cut === cut && !this.isOver) this.#cutAt(keyframe)
    })
  }

  #cutAt(keyframe: Keyframe): void {
    const held = this.#takeHeld()
    let next = 0
    for (; next < held.length; next++) {
      const item = held[next]
      if (!item || item.position >= keyframe.position) break
      if (item.type === 'output' && item.position + item.bytes.length > keyframe.position) {
        const split = keyframe.position - item.position
        this.#bytes('o', item.atMs, item.bytes.subarray(0, split))
        item.bytes = item.bytes.subarray(split)
        break
      }
      this.#replay(item)
    }
    // The moment of the keyframe is that of what follows it: times never go back inside a stream.
    this.#beginScreen(keyframe, held[next]?.atMs ?? this.now())
    this.#segmentPosition = keyframe.position
    for (const item of held.slice(next)) this.#replay(item)
    this.progress()
  }

  #beginScreen(keyframe: Keyframe, atMs: number): void {
    this.screenStream.begin(atMs, (lines, segment, micros, cut) => {
      lines.header(this.#cast('screen', segment, keyframe))
      for (let at = 0; at < keyframe.bytes.length; at += PIECE) {
        lines.bytes('o', micros, keyframe.bytes.subarray(at, at + PIECE))
        cut()
      }
    })
  }

  #giveUpCut(): void {
    for (const item of this.#takeHeld()) this.#replay(item)
  }

  #takeHeld(): Held[] {
    const held = this.#held
    this.#cut = null
    this.#held = []
    this.#heldBytes = 0
    return held
  }

  #replay(item: Held): void {
    if (item.type === 'text') {
      this.#line(item.code, item.atMs, item.text)
      return
    }
    this.#bytes('o', item.atMs, item.bytes)
    // Its copy is our own. Under flood there is one with every cut, too much to leave to the garbage collector.
    item.bytes.buffer.transfer(0)
  }

  readonly #inputHeader = (lines: AsciicastEncoder, segment: number) =>
    lines.header(this.#cast('input', segment, this.#size))

  #cast(stream: Stream, segment: number, size: { cols: number; rows: number }): AsciicastHeader {
    return {
      version: 2,
      width: size.cols,
      height: size.rows,
      timestamp: this.startedAtSeconds,
      sallyport: this.facts(stream, segment),
    }
  }
}

/** Sizes come from a browser. */
function clamped({ cols, rows }: { cols: number; rows: number }): { cols: number; rows: number } {
  const within = (value: number, { min, max }: { min: number; max: number }) =>
    Math.min(max, Math.max(min, Number.isFinite(value) ? Math.floor(value) : min))
  return { cols: within(cols, COLS), rows: within(rows, ROWS) }
}
